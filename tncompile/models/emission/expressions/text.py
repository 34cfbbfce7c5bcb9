"""Python expressions that know what binds them, so that each gets just the parentheses it needs."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from tncompile.emission.text.writer import string
from tncompile.language.typing.operations import Contract
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Number, Numbers, Strings, Value
from tncompile.planning.paths.problem import Path


class Precedence(IntEnum):
    """How strongly an expression holds together, the loosest first."""

    COMPARISON = 0
    OR = 1  # `|`
    AND = 2  # `&`
    SUM = 3
    PRODUCT = 4
    UNARY = 5
    POWER = 6
    ATOM = 7


@dataclass(frozen=True, slots=True)
class Text:
    """A Python expression."""

    code: str
    precedence: Precedence = Precedence.ATOM

    def __str__(self) -> str:
        return self.code

    def within(self, least: Precedence) -> str:
        """The expression where only what binds as strongly as `least` may stand bare."""
        return self.code if self.precedence >= least else f"({self.code})"

    def method(self, name: str, *arguments: object) -> Text:
        """`x.name(arguments)`."""
        return Text(f"{self._head}.{name}({', '.join(map(str, arguments))})")

    def item(self, *slots: str) -> Text:
        """`x[slots]`."""
        return Text(f"{self._head}[{', '.join(slots)}]")

    def attribute(self, name: str) -> Text:
        """`x.name`."""
        return Text(f"{self._head}.{name}")

    @property
    def _head(self) -> str:
        head = self.within(Precedence.ATOM)
        return f"({head})" if head.isdigit() else head


class Context(Protocol):
    """What the `forward` around an expression has.

    `like` is a float tensor, whose dtype and device are those of constants that are made here.
    """

    @property
    def like(self) -> str:
        """The name of that tensor."""

    @property
    def dtype(self) -> str:
        """The dtype of floats."""
        return f"{self.like}.dtype"

    @property
    def device(self) -> str:
        """The device of constants; empty if it need not be said."""
        return f"{self.like}.device"

    def size(self, size: Size) -> str:
        """An expression of a size, in the names of run-time sizes that `forward` binds."""

    def leading(self, value: Value | None) -> str:
        """An expression of the sizes of `...`, as a value has them: `x.shape[:-2]`."""

    def order(self, operation: Contract) -> Path:
        """The pairs of operands of a `network { … }` to multiply, in order."""

    def use(self, helper: str) -> None:
        """Ask for something at the head of the module: `F`, `math`, or one of `HELPERS`."""


def call(function: str, *arguments: object) -> Text:
    """`function(arguments)`."""
    return Text(f"{function}({', '.join(map(str, arguments))})")


def infix(left: Text, operator: str, right: Text) -> Text:
    """`left operator right`."""
    level = _OPERATORS[operator]
    first, second = level, Precedence(level + 1)  # operators group to the left,
    if level is Precedence.COMPARISON:
        first = second  # comparisons are chained,
    if level is Precedence.POWER:
        first, second = Precedence.ATOM, Precedence.UNARY  # and powers group to the right
    one, two = left.within(first), right.within(second)
    if level is Precedence.POWER and _SIMPLE.fullmatch(one) and _SIMPLE.fullmatch(two):
        return Text(f"{one}**{two}", level)
    return Text(f"{one} {operator} {two}", level)


_SIMPLE = re.compile(r"-?[\w.]+(?:e[-+]\d+)?")
"""What `ruff format` writes powers of without spaces."""


def prefix(operator: str, text: Text) -> Text:
    """`-x`, `~x`."""
    least = Precedence.ATOM if " ** " in text.code else Precedence.UNARY
    return Text(f"{operator}{text.within(least)}", Precedence.UNARY)


_OPERATORS = {
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), Precedence.COMPARISON),
    "|": Precedence.OR,
    "&": Precedence.AND,
    **dict.fromkeys("+-", Precedence.SUM),
    **dict.fromkeys(("*", "/", "//", "%", "@"), Precedence.PRODUCT),
    "**": Precedence.POWER,
}


def bracket(items: Sequence[object]) -> str:
    """A tuple: `(2, 3)`, `(2,)`, `()`."""
    return f"({', '.join(map(str, items))}{',' if len(items) == 1 else ''})"


def one_or_tuple(items: Sequence[object]) -> str:
    """The only item alone, several as a tuple."""
    return str(items[0]) if len(items) == 1 else bracket(items)


def size_text(size: Size, context: Context) -> Text:
    """A size, with the precedence that its expression turns out to have.

    >>> parsed("2 * t // 3").precedence
    <Precedence.PRODUCT: 4>
    """
    number = size.value
    return parsed(context.size(size)) if number is None else number_text(number, context)


def parsed(code: str) -> Text:
    """An expression over sizes, such as `n + 1`."""
    match ast.parse(code, mode="eval").body:
        case ast.BinOp(op=ast.Add() | ast.Sub()):
            return Text(code, Precedence.SUM)
        case ast.BinOp(op=ast.Pow()):
            return Text(code, Precedence.POWER)
        case ast.BinOp():
            return Text(code, Precedence.PRODUCT)
        case ast.UnaryOp():
            return Text(code, Precedence.UNARY)
        case ast.Name() | ast.Constant() | ast.Call() | ast.Subscript() | ast.Attribute():
            return Text(code)
        case _:
            return Text(f"({code})")


def number_text(number: Number, context: Context) -> Text:
    """A number, a string, or a list of numbers."""
    match number:
        case str():
            return Text(string(number))
        case Strings(words):
            return Text(f"[{', '.join(map(string, words))}]")
        case bool():
            return Text(str(number))
        case float() if not math.isfinite(number) or number == math.pi:
            context.use("math")
            name = "nan" if number != number else "pi" if number == math.pi else "inf"
            text = Text(f"math.{name}")
            return prefix("-", text) if number < 0 else text
        case int() | float():
            return Text(repr(number), Precedence.UNARY if number < 0 else Precedence.ATOM)
        case _:
            items = number.items if isinstance(number, Numbers) else number
            return Text(f"[{', '.join(number_text(item, context).code for item in items)}]")
