"""Expressions, legs and bracketed lists as documents to lay out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from tncompile.language.formatting.comments import Comments
from tncompile.language.formatting.layout import HARD, LINE, SOFT, Break, Doc, concat, group, nest
from tncompile.language.syntax import tree
from tncompile.language.syntax.walk import walk

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

    def __init__(self, comments: Comments, *, model: bool = False) -> None:
        self.comments = comments
        self.model = model
        self._docs: dict[int, Doc] = {}  # by the `id` of an expression, as the next
        self._chains: dict[int, Doc] = {}  # its operands and operators, not yet a group
        self._choices: dict[int, Doc] = {}  # its cases, not yet a group

    # ── lists ────────────────────────────────────────────────────────────────────────────────────

    def listed(
        self,
        brackets: str,
        items: Sequence[tree.Node],
        offset: int,
        *,
        end: int | None = None,
        filled: bool = True,
    ) -> Doc:
        """Items between brackets: on one line, else as many a line as fit, or one if not `filled`.

        In the source the opening bracket is the first one at or after `offset`; `end` bounds the
        search where brackets may be missing.
        """
        opening, closing = brackets[0], brackets[1]
        docs = [self.part(item) for item in items]
        commented = self._commented(items, docs, offset, end)
        if commented is not None:
            return concat(opening, nest(2, *commented), HARD, closing)
        if not items:
            return brackets
        pad, ending = (LINE, LINE) if opening == "{" else (SOFT, Break("", ","))
        following = [part for doc in docs[1:] for part in (",", nest(0, LINE, doc, grouped=filled))]
        return group(opening, nest(2, pad, docs[0], *following), ending, closing)

    def _commented(
        self, items: Sequence[tree.Node], docs: Sequence[Doc], offset: int, end: int | None
    ) -> list[Doc] | None:
        """The lines of a list that has comments between its items, None where it has none."""
        if not self.comments.exist(offset, len(self.comments.source.text) if end is None else end):
            return None
        opening, closing = self.comments.bracket(offset)
        if not self.comments.exist(opening, closing) or (end is not None and opening >= end):
            return None
        ends = [opening, *(item.span.end for item in items)]
        starts = [*(item.span.start for item in items), closing]
        gaps = [self.comments.take(*between) for between in zip(ends, starts, strict=True)]
        if not any(gaps):
            return None
        lines: list[Doc] = []
        for doc, behind, gap in zip(["", *docs], ends, gaps, strict=True):
            if doc:
                lines += [HARD, doc, ","]
                if gap and self.comments.line(gap[0].span.start) == self.comments.line(behind):
                    lines.append("  " + gap.pop(0).text)
            lines += [part for comment in gap for part in (HARD, comment.text)]
        return lines

    def arguments(self, arguments: Sequence[tree.Argument], offset: int, end: int) -> Doc:
        """`(name = value, …)`."""
        return self.listed("()", arguments, offset, end=end, filled=False)

    def members(self, members: Sequence[tree.Node], offset: int) -> Doc:
        """`[k in 0..n, …]` or `[k, *]`, or nothing."""
        return self.listed("[]", members, offset) if members else ""

    def part(self, node: tree.Node) -> Doc:
        """An item of a list: a leg, an argument, a subscript, a name or an expression."""
        match node:
            case tree.Name(text):
                return text
            case tree.Star():
                return "*"
            case tree.Argument(name, value):
                return concat(f"{name.text} = " if name else "", self.expression(value))
            case tree.Subscript(name, start, stop):
                head, limit = f"{name.text} in ", self.expression(stop)
                return concat(head, self.expression(start), "..", limit)
            case tree.Slice(start, stop):
                return concat(self.expression(start), "..", self.expression(stop))
            case tree.Parameter(name, tree.Type(word, length), default):
                size = concat("[", self.expression(length), "]") if length else ""
                preset = concat(" = ", self.expression(default)) if default else ""
                return concat(f"{name.text}: {word.text}", size, preset)
            case tree.IndexLeg(name, subscripts, face, optional):
                members = self.members(subscripts, name.span.end)
                suffix = (f".{face.text}" if face else "") + ("?" if optional else "")
                return concat(name.text, members, suffix)
            case tree.GroupLeg(legs, onehot, width):
                bare = not onehot and not self.comments.exist(node.span.start, node.span.end)
                if bare and all(not leg.subscripts and not leg.face for leg in legs):
                    names = [leg.name.text + ("?" if leg.optional else "") for leg in legs]
                    axis: Doc = f"({' '.join(names)})"
                else:
                    axis = self.listed("()", legs, node.span.start)
                cut = concat(" as ", self.expression(width)) if width else ""
                return concat("onehot" if onehot else "", axis, cut)
            case tree.Operand(name, subscripts, legs):
                if name is None:
                    return self.listed("()", legs, node.span.start)
                end = subscripts[-1].span.end if subscripts else name.span.end
                members = self.members(subscripts, name.span.end)
                return concat(name.text, members, self.listed("()", legs, end))
            case _:
                assert isinstance(node, tree.Expression)
                return self.expression(node)

    # ── expressions ──────────────────────────────────────────────────────────────────────────────

    def expression(self, expression: tree.Expression, least: int = ANY) -> Doc:
        """An expression, in parentheses if it binds less than `least`.

        Operands are laid out before what holds them, so that no depth of nesting recurses.
        """
        if id(expression) not in self._docs:
            for node in reversed([*walk(expression)]):
                self._docs[id(node)] = self._bare(node)
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
                return self.listed("[]", items, expression.span.start)
            case tree.TupleOf(items):
                if len(items) == 1 and not isinstance(items[0], tree.Dots):
                    return concat("(", self.expression(items[0]), ",)")
                return self.listed("()", items, expression.span.start)
            case tree.Unary(operator, operand):
                word = "not " if operator == "not" else operator
                return concat(word, self.expression(operand, _binding(expression)))
            case tree.Binary() | tree.Pipe():
                return self._chain(expression)
            case tree.Call(function, arguments):
                end = expression.span.end
                written = self.arguments(arguments, function.span.end, end)
                return concat(self.expression(function, POSTFIX), written)
            case tree.Item(value, subscripts):
                members = self.members(subscripts, value.span.end)
                return concat(self.expression(value, POSTFIX), members)
            case tree.Conditional(condition, chosen, otherwise):
                last = self._choices.get(id(otherwise)) if self.model else None
                cases = self.choice(condition, chosen, last or self.expression(otherwise))
                self._choices[id(expression)] = cases
                return group(nest(2, cases))
            case tree.Repeat(subscript, stage):
                head = concat("repeat ", self.part(subscript), " {")
                return group(head, nest(2, LINE, self.expression(stage)), LINE, "}")
            case tree.NetworkExpression(operands, output):
                first, *rest = map(self.part, operands)
                following = [doc for each in rest for doc in (",", group(LINE, each))]
                legs = self.listed("()", output, operands[-1].span.end)
                inner = nest(2, LINE, first, *following, LINE, "-> ", legs)
                return group("network {", inner, LINE, "}")
            case _:
                assert_never(expression)

    def choice(self, condition: tree.Expression, chosen: tree.Node, otherwise: Doc) -> Doc:
        """The cases of a choice, one a line where they do not fit on one; in models with `if`."""
        then = nest(0, LINE, "then ", self.part(chosen), grouped=self.model)
        return concat("if ", self.expression(condition), then, LINE, "else ", otherwise)

    def _chain(self, expression: tree.Binary | tree.Pipe) -> Doc:
        """Operators of one strength that group to the left.

        Conditions and stages stand below each other where they do not fit, sums fill their lines.
        """
        binding = _binding(expression)
        if isinstance(expression, tree.Pipe):
            operator, left, right = "|>", expression.value, self.expression(expression.stage, OR)
        elif expression.operator == "**":
            base = self.expression(expression.left, POSTFIX)
            return group(nest(2, base, LINE, "** ", self.expression(expression.right, SIGN)))
        else:
            operator, left = expression.operator, expression.left
            right = self.expression(expression.right, binding + 1)
        before = self._chains.get(id(left)) if _binding(left) == binding else None
        link = nest(0, LINE, f"{operator} ", right, grouped=binding > COMPARISON)
        chain = concat(before or self.expression(left, binding), link)
        self._chains[id(expression)] = chain
        return group(nest(2, chain))


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
