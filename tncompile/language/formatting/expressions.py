"""Expressions, legs and bracketed lists as documents to lay out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.language.formatting.comments import Comments
from tncompile.language.formatting.layout import (
    COMMA_SOFT,
    HARD,
    LINE,
    SOFT,
    Doc,
    concat,
    group,
    nest,
)
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import children

# Binding strength, loosest first, as in section 4 of the language.
ANY, PIPE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, POSTFIX, ATOM = range(12)

_BINDING = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "//", "%", "@"), PRODUCT),
    "**": POWER,
}


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class ExpressionPrinter:
    """Writes the inner parts of statements; a list with comments in it keeps an item a line."""

    def __init__(self, comments: Comments) -> None:
        self.comments = comments
        self._docs: dict[int, Doc] = {}  # by the `id` of an expression

    # ── lists ────────────────────────────────────────────────────────────────────────────────────

    def listed(
        self,
        brackets: str,
        items: Sequence[tree.Node],
        docs: Sequence[Doc],
        offset: int,
        *,
        end: int | None = None,
        filled: bool = False,
    ) -> Doc:
        """Items between brackets: on one line, else a line an item (`filled`: as many as fit).

        In the source the opening bracket is the first one at or after `offset`; `end` bounds the
        search where brackets may be missing.
        """
        opening, closing = brackets[0], brackets[-1]
        commented = self._commented(items, docs, offset, end)
        if commented is not None:
            return concat(opening, nest(2, *commented), HARD, closing)
        if not items:
            return opening + closing
        pad = LINE if opening == "{" else SOFT
        spread: list[Doc] = [pad, docs[0]]
        for doc in docs[1:]:
            spread += [",", group(LINE, doc)] if filled else [",", LINE, doc]
        ending = COMMA_SOFT if opening != "{" else LINE
        return group(opening, nest(2, *spread), ending, closing)

    def _commented(
        self, items: Sequence[tree.Node], docs: Sequence[Doc], offset: int, end: int | None
    ) -> list[Doc] | None:
        """The lines of a list that has comments between its items, None where it has none."""
        if not self.comments.exist(offset, len(self.comments.source.text) if end is None else end):
            return None
        opening, closing = self.comments.bracket(offset)
        if not self.comments.exist(opening, closing) or (end is not None and opening >= end):
            return None
        bounds = [opening, *(item.span.end for item in items)]
        starts = [*(item.span.start for item in items), closing]
        gaps = [
            self.comments.take(bound, start) for bound, start in zip(bounds, starts, strict=True)
        ]
        if not any(gaps):
            return None
        lines: list[Doc] = [*self._own_lines(gaps[0])]
        for item, doc, gap in zip(items, docs, gaps[1:], strict=True):
            lines += [HARD, doc, ","]
            if gap and self.comments.line(gap[0].span.start) == self.comments.line(item.span.end):
                lines.append("  " + gap[0].text)
                gap = gap[1:]
            lines += self._own_lines(gap)
        return lines

    def _own_lines(self, comments: Sequence[tree.Comment]) -> list[Doc]:
        return [piece for comment in comments for piece in (HARD, comment.text)]

    def arguments(self, arguments: Sequence[tree.Argument], offset: int, end: int) -> Doc:
        """`(name = value, …)`."""
        docs = [self._argument(argument) for argument in arguments]
        return self.listed("()", arguments, docs, offset, end=end)

    def _argument(self, argument: tree.Argument) -> Doc:
        value = self.expression(argument.value)
        return concat(f"{argument.name.text} = ", value) if argument.name else value

    def subscripts(self, subscripts: Sequence[tree.Subscript], offset: int) -> Doc:
        """`[k in 0..n, …]`, or nothing."""
        docs = [self.subscript(subscript) for subscript in subscripts]
        return self.listed("[]", subscripts, docs, offset, filled=True) if docs else ""

    def subscript(self, subscript: tree.Subscript) -> Doc:
        """`k in 0..n`."""
        start, stop = self.expression(subscript.start), self.expression(subscript.stop)
        return concat(f"{subscript.name.text} in ", start, "..", stop)

    def members(self, members: Sequence[tree.Expression | tree.Star], offset: int) -> Doc:
        """`[k, *]`, or nothing."""
        docs = [
            "*" if isinstance(member, tree.Star) else self.expression(member) for member in members
        ]
        return self.listed("[]", members, docs, offset, filled=True) if docs else ""

    # ── legs ─────────────────────────────────────────────────────────────────────────────────────

    def legs(self, legs: Sequence[tree.Leg], offset: int) -> Doc:
        """`(..., i, (a b))`."""
        return self.listed("()", legs, [self._leg(leg) for leg in legs], offset, filled=True)

    def _leg(self, leg: tree.Leg) -> Doc:
        match leg:
            case tree.IndexLeg():
                return self._index_leg(leg)
            case tree.GroupLeg():
                return self._group_leg(leg)
            case tree.DotsLeg():
                return "..."
            case tree.SlicesLeg():
                return self.subscript(leg.subscript)
            case tree.ExpressionLeg():
                return self.expression(leg.size)
            case _:
                assert_never(leg)

    def _index_leg(self, leg: tree.IndexLeg) -> Doc:
        members = self.members(leg.subscripts, leg.name.span.end)
        face = f".{leg.face.text}" if leg.face else ""
        return concat(leg.name.text, members, face + ("?" if leg.optional else ""))

    def _group_leg(self, leg: tree.GroupLeg) -> Doc:
        docs = [self._index_leg(inner) for inner in leg.legs]
        plain = all(not inner.subscripts and not inner.face for inner in leg.legs)
        if plain and not leg.onehot and not self.comments.exist(leg.span.start, leg.span.end):
            names = [inner.name.text + ("?" if inner.optional else "") for inner in leg.legs]
            axis: Doc = f"({' '.join(names)})"
        else:
            axis = self.listed("()", leg.legs, docs, leg.span.start, filled=True)
        width: Doc = concat(" as ", self.expression(leg.width)) if leg.width else ""
        return concat("onehot" if leg.onehot else "", axis, width)

    # ── expressions ──────────────────────────────────────────────────────────────────────────────

    def expression(self, expression: tree.Expression, least: int = ANY) -> Doc:
        """An expression, in parentheses if it binds less than `least`.

        Operands are laid out before what holds them, so that no depth of nesting recurses.
        """
        pending = [expression]
        while pending:
            part = pending[-1]
            if id(part) in self._docs:
                pending.pop()
                continue
            missing = [each for each in _operands(part) if id(each) not in self._docs]
            if missing:
                pending += missing
            else:
                self._docs[id(part)] = self._bare(part)
        doc = self._docs[id(expression)]
        return concat("(", nest(1, doc), ")") if _binding(expression) < least else doc

    def _bare(self, expression: tree.Expression) -> Doc:
        match expression:
            case tree.Number(text):
                return text
            case tree.String(value):
                return quoted(value)
            case tree.Boolean(value):
                return "true" if value else "false"
            case tree.Reference(name):
                return name.text
            case tree.Dots():
                return "..."
            case tree.ListOf(items):
                docs = [self.expression(item) for item in items]
                return self.listed("[]", items, docs, expression.span.start, filled=True)
            case tree.TupleOf(items):
                docs = [self.expression(item) for item in items]
                if len(docs) == 1 and not isinstance(items[0], tree.Dots):
                    return concat("(", docs[0], ",)")
                return self.listed("()", items, docs, expression.span.start, filled=True)
            case tree.Unary(operator, operand):
                word = "not " if operator == "not" else operator
                return concat(word, self.expression(operand, _binding(expression)))
            case tree.Binary() | tree.Pipe():
                return self._chain(expression)
            case tree.Call() | tree.Item():
                return self._postfix(expression)
            case tree.Conditional(condition, chosen, otherwise):
                choice = concat("if ", self.expression(condition))
                then = concat(LINE, "then ", self.expression(chosen))
                return group(nest(2, choice, then, LINE, "else ", self.expression(otherwise)))
            case tree.Repeat(subscript, stage):
                head = concat("repeat ", self.subscript(subscript), " {")
                return group(head, nest(2, LINE, self.expression(stage)), LINE, "}")
            case _:
                assert_never(expression)

    def _chain(self, expression: tree.Binary | tree.Pipe) -> Doc:
        """Operators of one strength that group to the left.

        Conditions and stages stand below each other where they do not fit, sums fill their lines.
        """
        binding = _binding(expression)
        if isinstance(expression, tree.Binary) and expression.operator == "**":
            left = self.expression(expression.left, POSTFIX)
            return group(nest(2, left, LINE, "** ", self.expression(expression.right, SIGN)))
        links: list[Doc] = []
        first: tree.Expression = expression
        while isinstance(first, tree.Binary | tree.Pipe) and _binding(first) == binding:
            if isinstance(first, tree.Pipe):
                operator, right, first = "|>", first.stage, first.value
                doc = self.expression(right, OR)
            else:
                operator, right, first = first.operator, first.right, first.left
                doc = self.expression(right, binding + 1)
            link = concat(LINE, f"{operator} ", doc)
            links.append(group(link) if binding > COMPARISON else link)
        return group(nest(2, self.expression(first, binding), *reversed(links)))

    def _postfix(self, expression: tree.Call | tree.Item) -> Doc:
        """Calls and items in a row."""
        links: list[tree.Call | tree.Item] = []
        first: tree.Expression = expression
        while isinstance(first, tree.Call | tree.Item):
            links.append(first)
            first = first.function if isinstance(first, tree.Call) else first.value
        docs = [self.expression(first, POSTFIX)]
        for link in reversed(links):
            if isinstance(link, tree.Call):
                docs.append(self.arguments(link.arguments, link.function.span.end, link.span.end))
            else:
                docs.append(self.members(link.subscripts, link.value.span.end))
        return concat(*docs)


def _operands(expression: tree.Expression) -> list[tree.Expression]:
    """The expressions that one is written with; those of a whole chain, for a link of it."""
    if not isinstance(expression, tree.Binary | tree.Pipe | tree.Call | tree.Item):
        return list(children(expression))
    binding = _binding(expression)
    operands: list[tree.Expression] = []
    while _binding(expression) == binding:
        expression, *others = children(expression)
        operands += others
        if binding == POWER:
            break  # it groups to the right
    return [*operands, expression]


def _binding(expression: tree.Expression) -> int:
    match expression:
        case tree.Conditional():
            return ANY
        case tree.Pipe():
            return PIPE
        case tree.Binary():
            return _BINDING[expression.operator]
        case tree.Unary():
            return NOT if expression.operator == "not" else SIGN
        case tree.Call() | tree.Item():
            return POSTFIX
        case _:
            return ATOM
