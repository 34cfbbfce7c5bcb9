"""Functions of ids: entries looked up by them, and sums over where they point.

`take` and `gather` have the option `dim`, an axis of the first operand and of both; `onehot` has
`n`, `scatter_sum` has `size`, sizes. Operands are in the order of the signature.
"""

from __future__ import annotations

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import count, size
from tncompile.language.typing.functions.declaring.binding import (
    Bound,
    Function,
    X,
    axis,
    option,
    value,
)
from tncompile.language.typing.functions.declaring.kinds import ANY, NUMBERS, Kinds
from tncompile.language.typing.state import Misfit
from tncompile.language.typing.values import Shape


def _without_dots(bound: Bound, k: int, axes: int | None = None) -> None:
    """TN601 where an operand has `...`, no axis, or another number of axes than `axes`."""
    operand = bound.operands[k]
    shape = operand.value.shape
    if not shape.dots and (len(shape.sizes) == axes if axes else shape.sizes):
        return
    wanted = "one axis" if axes else "its entries on the first of its axes"
    message = f"`{bound.function.name}` needs a value with {wanted} here, not `{shape}`"
    note, hint = f"this value has {wanted}", "bring it there: `reshape(…)`, `transpose(…)`"
    if shape.dots:
        note, hint = "`...` is any number of axes", "write the axis in the legs of the input"
    label = f"this is `{shape}`"
    raise failure(Code.MODEL_SHAPES, message, operand.place, label, note, hint)


def _take(bound: Bound) -> Shape:
    if bound.options["dim"] is not None:
        _without_dots(bound, 1, axes=1)
        return bound.x.shape.replaced(bound.axis(), bound.operands[1].value.shape.sizes[0])
    _without_dots(bound, 0)
    ids = bound.operands[1].value.shape
    return Shape((*ids.sizes, *bound.x.shape.sizes[1:]), ids.dots)


def _gather(bound: Bound) -> Shape:
    x, ids = bound.operands
    one, two, dim = x.value.shape, ids.value.shape, bound.axis()
    label, there = f"this is `{two}`", Label(x.place, f"this is `{one}`")
    if len(one.sizes) != len(two.sizes) or one.dots != two.dots:
        message = f"`gather` of `{one}` by ids `{two}`: they have other axes"
        note = "the ids have as many axes as the value, as in torch; nothing broadcasts"
        hint = "give the ids an axis of 1 where entries are picked: `reshape(ids, (..., n, 1))`"
        raise failure(Code.MODEL_SHAPES, message, ids.place, label, note, hint, there)
    for k, (most, some) in enumerate(zip(one.sizes, two.sizes, strict=True)):
        if (axis := k - len(one.sizes)) != dim:
            message = f"`gather` of `{one}` by ids `{two}`: axis {axis} is {most} and {some}"
            note = "ids reach no further than the value on all axes but that of `dim`"
            hint = f"give the ids at most {most} entries there"
            misfit = Misfit(message, ids.place, label, (there,), note, hint)
            bound.typing.at_most(some, most, misfit)
    return two


def _onehot(bound: Bound) -> Shape:
    return Shape((*bound.x.shape.sizes, bound.size("n")), bound.x.shape.dots)


def _segment_sum(bound: Bound) -> Shape:
    _without_dots(bound, 0)
    _without_dots(bound, 1, axes=1)
    return Shape((*bound.operands[1].value.shape.sizes, *bound.x.shape.sizes[1:]))


def _scatter_sum(bound: Bound) -> Shape:
    _without_dots(bound, 0)
    _without_dots(bound, 1, axes=1)
    x, to = bound.operands
    one, two = x.value.shape, to.value.shape
    message = f"`scatter_sum` of `{one}` to `{two}`: axis {-len(one.sizes)} is {one.sizes[0]}"
    message += f", and there are {two.sizes[0]} ids"
    label, there = f"this is `{two}`", Label(x.place, f"this is `{one}`")
    note = "each entry of the first axis has one id: where it is added"
    rows, ids = one.sizes[0], two.sizes[0]
    hint = None if rows.names and ids.names else f"give {rows} ids"
    bound.typing.same(rows, ids, Misfit(message, to.place, label, (there,), note, hint))
    return Shape((bound.size("size"), *one.sizes[1:]))


IDS = value("ids", "int")

FUNCTIONS = (
    Function("take", (value("table"), IDS, axis(needed=False)), ANY, _take),
    Function("gather", (X, IDS, axis()), ANY, _gather),
    Function("onehot", (IDS, option("n", count)), Kinds(gives="float"), _onehot),
    Function("segment_sum", (X, value("offsets", "int")), NUMBERS, _segment_sum),
    Function("scatter_sum", (X, value("to", "int"), option("size", size)), NUMBERS, _scatter_sum),
)
