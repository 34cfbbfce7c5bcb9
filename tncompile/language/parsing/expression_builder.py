"""The syntax tree, bottom up: tokens and expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import (
    Argument,
    Binary,
    Boolean,
    Call,
    Conditional,
    Dots,
    Expression,
    Item,
    ListOf,
    Name,
    Number,
    Pipe,
    Reference,
    Repeat,
    String,
    Subscript,
    TupleOf,
    Unary,
)

NESTING = frozenset(
    {"binary", "unary", "conditional", "call", "item", "pipe", "repeat", "list_of", "tuple_of"}
)
"""The functions whose nodes count as a level of nesting."""


@dataclass(frozen=True, slots=True)
class Token:
    """A keyword, an operator or a doc as written."""

    text: str
    span: Span

    @property
    def name(self) -> Name:
        """The word as a name."""
        return Name(self.text, span=self.span)


def terminal_value(terminal: str, text: str, span: Span) -> object:
    """What the tree builder sees of a token."""
    match terminal:
        case "NAME":
            return Name(text, span=span)
        case "NUMBER":
            return Number(text, span=span)
        case "STRING":
            return String(re.sub(r"\\(.)", r"\1", text[1:-1]), span=span)
        case "DOC":
            return text[3:-3].replace("\r\n", "\n")
        case _:
            return Token(text, span)


def name_of(word: Name | Token) -> Name:
    """A word as a name, a keyword included."""
    return word if isinstance(word, Name) else word.name


# ── expressions ──────────────────────────────────────────────────────────────────────────────────


def _conditional(
    span: Span, condition: Expression, chosen: Expression, otherwise: Expression
) -> Conditional:
    return Conditional(condition, chosen, otherwise, span=span)


def _pipe(span: Span, value: Expression, stage: Expression) -> Pipe:
    return Pipe(value, stage, span=span)


def _repeat(span: Span, subscript: Subscript, stage: Expression) -> Repeat:
    return Repeat(subscript, stage, span=span)


def _binary(span: Span, left: Expression, operator: Token, right: Expression) -> Binary:
    return Binary(operator.text, left, right, operator_span=operator.span, span=span)


def _unary(span: Span, operator: Token, operand: Expression) -> Unary:
    return Unary(operator.text, operand, span=span)


def _call(span: Span, function: Expression, arguments: tuple[Argument, ...]) -> Call:
    return Call(function, arguments, span=span)


def _item(span: Span, value: Expression, *subscripts: Expression) -> Item:
    return Item(value, subscripts, span=span)


def _reference(span: Span, word: Name | Token) -> Reference:
    return Reference(name_of(word), span=span)


def _boolean(span: Span, word: Token) -> Boolean:
    return Boolean(word.text == "true", span=span)


def _list_of(span: Span, *items: Expression) -> ListOf:
    return ListOf(items, span=span)


def _tuple_of(span: Span, *items: Expression) -> TupleOf:
    return TupleOf(items, span=span)


def _dots(span: Span) -> Dots:
    return Dots(span=span)


def _positional(span: Span, value: Expression) -> Argument:
    return Argument(None, value, span=span)


def _named(span: Span, word: Name | Token, value: Expression) -> Argument:
    return Argument(name_of(word), value, span=span)


EXPRESSION_BUILDERS: Mapping[str, Callable[..., object]] = {
    "conditional": _conditional,
    "pipe": _pipe,
    "repeat": _repeat,
    "binary": _binary,
    "unary": _unary,
    "call": _call,
    "item": _item,
    "reference": _reference,
    "boolean": _boolean,
    "list_of": _list_of,
    "tuple_of": _tuple_of,
    "dots": _dots,
    "positional": _positional,
    "named": _named,
}
