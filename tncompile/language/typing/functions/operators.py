"""Operators on values.

`+ - * / // % **` are called `add sub mul div floordiv mod pow`, `@` is `matmul`, `== != < <= > >=`
are `eq ne lt le gt ge`, unary `-` is `neg`, and `and or not` are called so. None has options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.evaluating import arithmetic
from tncompile.language.syntax.source import Span
from tncompile.language.typing.functions.declaring.broadcasting import broadcast, broadcast_shapes
from tncompile.language.typing.functions.declaring.kinds import (
    NUMBERS,
    REAL_NUMBERS,
    TRUTHS,
    Kinds,
    Operand,
)
from tncompile.language.typing.operations import Literal
from tncompile.language.typing.state import Misfit, Typed, Typing
from tncompile.language.typing.values import Shape, Term


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator: what its operation is called, and its kinds."""

    function: str
    kinds: Kinds


COMPARED = Kinds(gives="bool")
ORDERED = Kinds(highest="float", gives="bool")

BINARY: Mapping[str, Operator] = {
    "+": Operator("add", NUMBERS),
    "-": Operator("sub", NUMBERS),
    "*": Operator("mul", NUMBERS),
    "/": Operator("div", Kinds("float")),
    "//": Operator("floordiv", REAL_NUMBERS),
    "%": Operator("mod", REAL_NUMBERS),
    "**": Operator("pow", NUMBERS),
    "@": Operator("matmul", NUMBERS),
    "==": Operator("eq", COMPARED),
    "!=": Operator("ne", COMPARED),
    "<": Operator("lt", ORDERED),
    "<=": Operator("le", ORDERED),
    ">": Operator("gt", ORDERED),
    ">=": Operator("ge", ORDERED),
    "and": Operator("and", TRUTHS),
    "or": Operator("or", TRUTHS),
}
UNARY: Mapping[str, Operator] = {"-": Operator("neg", NUMBERS), "not": Operator("not", TRUTHS)}


def apply_operator(
    typing: Typing, symbol: str, operands: Sequence[Typed], span: Span, operator: Span
) -> Term:
    """What an operator gives; `span` is the whole expression, `operator` that of the symbol."""
    found = (UNARY if len(operands) == 1 else BINARY)[symbol]
    taken = [Operand(typing.as_value(each), each.span) for each in operands]
    found.kinds.check(symbol, taken)
    values = [operand.value for operand in taken]
    kinds = [value.kind for value in values]
    if found.kinds.taken(kinds) == "int":
        _check_integers(symbol, taken)
    if len(taken) == 1:
        shape = values[0].shape
    elif symbol == "@":
        shape = _matmul(typing, *taken)
    else:
        shape = broadcast(typing, values[0], values[1], taken[1].place, taken[0].place)
    return typing.apply(found.function, values, found.kinds.given(kinds), shape, span)


def _check_integers(symbol: str, operands: Sequence[Operand]) -> None:
    """What torch has no integer for: division by the number 0, negative powers."""
    last = operands[-1]
    if not isinstance(last.value.operation, Literal):
        return
    number = last.value.operation.number
    if symbol in ("//", "%") and number == 0:
        raise arithmetic.divides_by_zero(last.place)
    if symbol == "**" and isinstance(number, int) and number < 0:
        message, label = "integers have no negative powers", f"this is {number}"
        note = "the power of an int by an int is an int"
        hint = f"write `{float(number)}` for floats"
        there = Label(operands[0].place, f"this is {operands[0].value.kind}")
        raise failure(Code.KINDS, message, last.place, label, note, hint, there)


def _matmul(typing: Typing, left: Operand, right: Operand) -> Shape:
    one, two = left.value.shape, right.value.shape
    there, label = Label(left.place, f"this is `{one}`"), f"this is `{two}`"
    note = "`@` sums the last axis of the left side with the one before the last of the right"
    for operand, others in ((left, (right,)), (right, (left,))):
        shape = operand.value.shape
        if len(shape.sizes) < 2:
            message = f"`@` takes two axes or more: `{one}` and `{two}`"
            hint = "write a product with a vector as a `network { … }`, or `reshape` it first"
            labels = tuple(Label(each.place, f"this is `{each.value.shape}`") for each in others)
            label = f"this is `{shape}`"
            raise failure(Code.MODEL_SHAPES, message, operand.place, label, note, hint, labels)
    inner, outer = one.axis(-1), two.axis(-2)
    message = f"`{one}` @ `{two}`: axis -1 of the left is {inner}, axis -2 of the right is {outer}"
    advice = None if inner.names and outer.names else "make the two sizes equal"
    if inner == two.axis(-1):
        advice = "turn the right side around: `transpose(…, -2, -1)`"
    typing.same(inner, outer, Misfit(message, right.place, label, (there,), note, advice))
    leading = broadcast_shapes(
        typing,
        Shape(one.sizes[:-2], one.dots),
        Shape(two.sizes[:-2], two.dots),
        right.place,
        left.place,
        behind=(one, two),
    )
    return Shape((*leading.sizes, one.axis(-2), two.axis(-1)), leading.dots)


def operator_kinds(function: str) -> Kinds | None:
    """The kinds of the operator whose operation is called so."""
    return _KINDS.get(function)


_KINDS = {each.function: each.kinds for each in (*BINARY.values(), *UNARY.values())}
