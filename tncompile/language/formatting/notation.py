"""Expressions, legs and bracketed lists as documents to lay out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, assert_never

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
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import (
    Argument,
    Binary,
    Boolean,
    Call,
    Comment,
    Conditional,
    Dots,
    DotsLeg,
    Expression,
    ExpressionLeg,
    GroupLeg,
    IndexLeg,
    Item,
    Leg,
    ListOf,
    Number,
    Pipe,
    Reference,
    Repeat,
    SlicesLeg,
    Star,
    String,
    Subscript,
    TupleOf,
    Unary,
)

# Binding strength, loosest first, as in §4 of the language.
ANY, PIPE, OR, AND, NOT, COMPARISON, SUM, PRODUCT, SIGN, POWER, POSTFIX, ATOM = range(12)

_BINDING = {
    "or": OR,
    "and": AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "//", "%", "@"), PRODUCT),
    "**": POWER,
}


class _Spanned(Protocol):
    @property
    def span(self) -> Span: ...


def quoted(text: str) -> str:
    """A string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class Notation:
    """Writes the inner parts of statements; lists with comments in them keep a line an item."""

    def __init__(self, comments: Comments) -> None:
        self.comments = comments
        self._docs: dict[int, Doc] = {}  # by the identity of an expression of the program

    # ── lists ────────────────────────────────────────────────────────────────────────────────────

    def listed(
        self,
        brackets: str,
        items: Sequence[_Spanned],
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
        self, items: Sequence[_Spanned], docs: Sequence[Doc], offset: int, end: int | None
    ) -> list[Doc] | None:
        """The lines of a list that has comments between its items, None where it has none."""
        if not self.comments.some(offset, len(self.comments.source.text) if end is None else end):
            return None
        opening, closing = self.comments.bracket(offset)
        if not self.comments.some(opening, closing) or (end is not None and opening >= end):
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

    def _own_lines(self, comments: Sequence[Comment]) -> list[Doc]:
        return [piece for comment in comments for piece in (HARD, comment.text)]

    def arguments(self, arguments: Sequence[Argument], offset: int, end: int) -> Doc:
        """`(name = value, …)`."""
        docs = [self._argument(argument) for argument in arguments]
        return self.listed("()", arguments, docs, offset, end=end)

    def _argument(self, argument: Argument) -> Doc:
        value = self.expression(argument.value)
        return concat(f"{argument.name.text} = ", value) if argument.name else value

    def subscripts(self, subscripts: Sequence[Subscript], offset: int) -> Doc:
        """`[k in 0..n, …]`, or nothing."""
        docs = [self.subscript(subscript) for subscript in subscripts]
        return self.listed("[]", subscripts, docs, offset, filled=True) if docs else ""

    def subscript(self, subscript: Subscript) -> Doc:
        """`k in 0..n`."""
        start, stop = self.expression(subscript.start), self.expression(subscript.stop)
        return concat(f"{subscript.name.text} in ", start, "..", stop)

    def members(self, members: Sequence[Expression | Star], offset: int) -> Doc:
        """`[k, *]`, or nothing."""
        docs = ["*" if isinstance(member, Star) else self.expression(member) for member in members]
        return self.listed("[]", members, docs, offset, filled=True) if docs else ""

    # ── legs ─────────────────────────────────────────────────────────────────────────────────────

    def legs(self, legs: Sequence[Leg], offset: int) -> Doc:
        """`(..., i, (a b))`."""
        return self.listed("()", legs, [self._leg(leg) for leg in legs], offset, filled=True)

    def _leg(self, leg: Leg) -> Doc:
        match leg:
            case IndexLeg():
                return self._index_leg(leg)
            case GroupLeg():
                return self._group_leg(leg)
            case DotsLeg():
                return "..."
            case SlicesLeg():
                return self.subscript(leg.subscript)
            case ExpressionLeg():
                return self.expression(leg.size)
            case _:
                assert_never(leg)

    def _index_leg(self, leg: IndexLeg) -> Doc:
        members = self.members(leg.subscripts, leg.name.span.end)
        face = f".{leg.face.text}" if leg.face else ""
        return concat(leg.name.text, members, face + ("?" if leg.optional else ""))

    def _group_leg(self, leg: GroupLeg) -> Doc:
        docs = [self._index_leg(inner) for inner in leg.legs]
        plain = all(not inner.subscripts and not inner.face for inner in leg.legs)
        if plain and not leg.onehot and not self.comments.some(leg.span.start, leg.span.end):
            names = [inner.name.text + ("?" if inner.optional else "") for inner in leg.legs]
            axis: Doc = f"({' '.join(names)})"
        else:
            axis = self.listed("()", leg.legs, docs, leg.span.start, filled=True)
        width: Doc = concat(" as ", self.expression(leg.width)) if leg.width else ""
        return concat("onehot" if leg.onehot else "", axis, width)

    # ── expressions ──────────────────────────────────────────────────────────────────────────────

    def expression(self, expression: Expression, least: int = ANY) -> Doc:
        """An expression, in parentheses if it binds less than `least`.

        What it is made of comes first, so that no depth of nesting is met by recursion.
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

    def _bare(self, expression: Expression) -> Doc:
        match expression:
            case Number():
                return expression.text
            case String():
                return quoted(expression.value)
            case Boolean():
                return "true" if expression.value else "false"
            case Reference():
                return expression.name.text
            case Dots():
                return "..."
            case ListOf():
                docs = [self.expression(item) for item in expression.items]
                return self.listed("[]", expression.items, docs, expression.span.start, filled=True)
            case TupleOf():
                return self._tuple(expression)
            case Unary():
                word = "not " if expression.operator == "not" else expression.operator
                return concat(word, self.expression(expression.operand, _binding(expression)))
            case Binary() | Pipe():
                return self._chain(expression)
            case Call() | Item():
                return self._postfix(expression)
            case Conditional():
                return self._conditional(expression)
            case Repeat():
                subscript = self.subscript(expression.subscript)
                stage = self.expression(expression.stage)
                return group("repeat ", subscript, " {", nest(2, LINE, stage), LINE, "}")
            case _:
                assert_never(expression)

    def _tuple(self, expression: TupleOf) -> Doc:
        docs = [self.expression(item) for item in expression.items]
        if len(docs) == 1 and not isinstance(expression.items[0], Dots):
            return concat("(", docs[0], ",)")
        return self.listed("()", expression.items, docs, expression.span.start, filled=True)

    def _conditional(self, expression: Conditional) -> Doc:
        return group(
            nest(
                2,
                concat("if ", self.expression(expression.condition)),
                concat(LINE, "then ", self.expression(expression.chosen)),
                concat(LINE, "else ", self.expression(expression.otherwise)),
            )
        )

    def _chain(self, expression: Binary | Pipe) -> Doc:
        """Operators of one strength that group to the left.

        Conditions and stages stand below each other where they do not fit, sums fill their lines.
        """
        binding = _binding(expression)
        if isinstance(expression, Binary) and expression.operator == "**":
            left = self.expression(expression.left, POSTFIX)
            return group(nest(2, left, LINE, "** ", self.expression(expression.right, SIGN)))
        links: list[Doc] = []
        first: Expression = expression
        while isinstance(first, Binary | Pipe) and _binding(first) == binding:
            if isinstance(first, Pipe):
                operator, right, first = "|>", first.stage, first.value
                doc = self.expression(right, OR)
            else:
                operator, right, first = first.operator, first.right, first.left
                doc = self.expression(right, binding + 1)
            link = concat(LINE, f"{operator} ", doc)
            links.append(group(link) if binding > COMPARISON else link)
        return group(nest(2, self.expression(first, binding), *reversed(links)))

    def _postfix(self, expression: Call | Item) -> Doc:
        """Calls and items in a row."""
        links: list[Callable[[], Doc]] = []
        first: Expression = expression
        while isinstance(first, Call | Item):
            links.append(self._link(first))
            first = first.function if isinstance(first, Call) else first.value
        head = self.expression(first, POSTFIX)
        return concat(head, *(link() for link in reversed(links)))

    def _link(self, link: Call | Item) -> Callable[[], Doc]:
        if isinstance(link, Call):
            called = link
            return lambda: self.arguments(
                called.arguments, called.function.span.end, called.span.end
            )
        item = link
        return lambda: self.members(item.subscripts, item.value.span.end)


def _operands(expression: Expression) -> list[Expression]:
    """The expressions that one is written with; those of a whole chain, for one."""
    match expression:
        case ListOf(items) | TupleOf(items):
            return list(items)
        case Unary():
            return [expression.operand]
        case Conditional():
            return [expression.condition, expression.chosen, expression.otherwise]
        case Repeat(subscript, stage):
            return [subscript.start, subscript.stop, stage]
        case Binary() | Pipe():
            return _chain_operands(expression)
        case Call() | Item():
            return _postfix_operands(expression)
        case _:
            return []


def _chain_operands(expression: Binary | Pipe) -> list[Expression]:
    binding = _binding(expression)
    found: list[Expression] = []
    first: Expression = expression
    while isinstance(first, Binary | Pipe) and _binding(first) == binding:
        found.append(first.stage if isinstance(first, Pipe) else first.right)
        first = first.value if isinstance(first, Pipe) else first.left
        if binding == POWER:
            break  # the one that groups to the right
    return [*found, first]


def _postfix_operands(expression: Call | Item) -> list[Expression]:
    found: list[Expression] = []
    first: Expression = expression
    while isinstance(first, Call | Item):
        if isinstance(first, Call):
            found += [argument.value for argument in first.arguments]
            first = first.function
        else:
            found += first.subscripts
            first = first.value
    return [*found, first]


def _binding(expression: Expression) -> int:
    match expression:
        case Conditional():
            return ANY
        case Pipe():
            return PIPE
        case Binary():
            return _BINDING[expression.operator]
        case Unary():
            return NOT if expression.operator == "not" else SIGN
        case Call() | Item():
            return POSTFIX
        case _:
            return ATOM
