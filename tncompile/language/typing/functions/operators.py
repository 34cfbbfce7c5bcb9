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
    PlacedValue,
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
    taken = [PlacedValue(typing.as_value(each), each.span) for each in operands]
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


def _check_integers(symbol: str, operands: Sequence[PlacedValue]) -> None:
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


def _matmul(typing: Typing, left: PlacedValue, right: PlacedValue) -> Shape:
    """As `torch.matmul`, where that says the same for any number of axes in `...`."""
    one, two = left.value.shape, right.value.shape
    there, label = Label(left.place, f"this is `{one}`"), f"this is `{two}`"
    note = "`@` sums the last axis of the left side with the one before the last of the right"
    plain = not two.dots and len(two.sizes) in (1, 2)
    if not one.sizes or not two.sizes or not (plain or min(len(one.sizes), len(two.sizes)) > 1):
        short = right if one.sizes and len(two.sizes) < 2 else left
        other = left if short is right else right
        message = f"`@` takes rows and a matrix, or two axes or more: `{one}` and `{two}`"
        labels = (Label(other.place, f"this is `{other.value.shape}`"),)
        label, hint = f"this is `{short.value.shape}`", _as_network(left, right)
        raise failure(Code.MODEL_SHAPES, message, short.place, label, note, hint, labels)
    summed = max(-2, -len(two.sizes))
    inner, outer = one.axis(-1), two.axis(summed)
    message = f"`{one}` @ `{two}`: axis -1 of the left is {inner}, "
    message += f"axis {summed} of the right is {outer}"
    advice = None if inner.names and outer.names else "make the two sizes equal"
    if inner == two.axis(-1):
        advice = "turn the right side around: `transpose(…, -2, -1)`"
    typing.same(inner, outer, Misfit(message, right.place, label, (there,), note, advice))
    if plain:
        return Shape((*one.sizes[:-1], *two.sizes[1:]), one.dots)
    leading = broadcast_shapes(
        typing,
        Shape(one.sizes[:-2], one.dots),
        Shape(two.sizes[:-2], two.dots),
        right.place,
        left.place,
        behind=(one, two),
    )
    return Shape((*leading.sizes, one.axis(-2), two.axis(-1)), leading.dots)


def _as_network(left: PlacedValue, right: PlacedValue) -> str:
    """The `network { … }` that multiplies two values along the last axis of the left one."""
    one, two = left.value.shape, right.value.shape
    if not one.sizes or not two.sizes:
        return "multiply by a scalar with `*`"
    names = [
        operand.place.text if operand.place.text.isidentifier() else name
        for operand, name in ((left, "a"), (right, "b"))
    ]
    free = [each for each in "ijklmnopqrstuvw" if each not in names]
    dots = [["..."] if shape.dots else [] for shape in (one, two)]
    rows, columns = free[: len(one.sizes)], free[len(one.sizes) :][: len(two.sizes) - 1]
    turned = one.axis(-1) == two.axis(-1)
    inner = [*columns, rows[-1]] if turned else [*columns[:-1], rows[-1], *columns[-1:]]
    kept = ["..."] if one.dots or two.dots else []
    legs = [[*dots[0], *rows], [*dots[1], *inner], [*kept, *rows[:-1], *columns]]
    texts = [f"({', '.join(each)})" for each in legs]
    network = f"network {{ {names[0]}{texts[0]}, {names[1]}{texts[1]} -> {texts[2]} }}"
    let = (
        "" if names[0] not in "ab" and names[1] not in "ab" else ", with `let` for what has no name"
    )
    return f"write what is summed: `{network}`{let}"


def operator_kinds(function: str) -> Kinds | None:
    """The kinds of the operator whose operation is called so."""
    return _KINDS.get(function)


_KINDS = {each.function: each.kinds for each in (*BINARY.values(), *UNARY.values())}
