"""Functions that lay out the entries of one value anew.

`reshape` has the option `shape`, `expand` the option `size`: shapes, with `...` if the result has
it. `flatten` has `start_dim` and `end_dim`, `transpose` has `dim0` and `dim1`, all axes. `permute`
has `dim`: axis k of the result is axis `dim[k]` of the operand, for all axes after `...`. `flip`
has `dim`, axes; `roll` has `shifts`, sizes, one for each axis of `dim`.
"""

from __future__ import annotations

from tncompile.language.diagnostics.collector import Failed, counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import legs, shifts
from tncompile.language.typing.functions.declaring.axes import source
from tncompile.language.typing.functions.declaring.binding import (
    AXES,
    Bound,
    Function,
    X,
    axis,
    option,
)
from tncompile.language.typing.functions.declaring.broadcasting import ALIGNED
from tncompile.language.typing.functions.declaring.kinds import ANY
from tncompile.language.typing.sizes import product
from tncompile.language.typing.state import Misfit
from tncompile.language.typing.values import Shape


def _unfit(bound: Bound, name: str, message: str, note: str, hint: str) -> Failed:
    """TN601 at the legs that do not fit the operand."""
    there = Label(bound.operands[0].place, f"this is `{bound.x.shape}`")
    span, label = bound.place(name), f"not for `{bound.x.shape}`"
    return failure(Code.MODEL_SHAPES, message, span, label, note, hint, there)


def _reshape(bound: Bound) -> Shape:
    old, new = bound.x.shape, bound.shape("shape")
    if old.dots != new.dots:
        which = "only the value has" if old.dots else "only the legs have"
        message = f"`{old}` cannot be reshaped to `{new}`: {which} `...`"
        note = "`...` is any number of axes: it is on both sides, or on neither"
        hint = f"write `{Shape(new.sizes, True)}`" if old.dots else "leave `...` out"
        raise _unfit(bound, "shape", message, note, hint)
    entries, wanted = product(old.sizes), product(new.sizes)
    behind = " behind `...`" if old.dots else ""
    message = f"`{old}` cannot be reshaped to `{new}`: {entries} entries{behind} are not {wanted}"
    there = Label(bound.operands[0].place, f"this is `{old}`")
    note = "a reshape keeps the number of entries"
    label = f"{wanted} entries"
    hint = f"make the product of the legs {entries}"
    misfit = Misfit(message, bound.place("shape"), label, (there,), note, hint)
    bound.typing.same(entries, wanted, misfit)
    return new


def _flatten(bound: Bound) -> Shape:
    start, end, shape = bound.axis("start_dim"), bound.axis("end_dim"), bound.x.shape
    count = len(shape.sizes)
    if start > end:
        message = f"axis {start} of `{shape}` does not come before axis {end}"
        note, hint = "`flatten` joins the axes from `start_dim` to `end_dim`", "swap the two"
        label, there = "after the last one", source(bound.x)
        raise failure(
            Code.NO_SUCH_AXIS, message, bound.place("start_dim"), label, note, hint, there
        )
    joined = product(shape.sizes[count + start : count + end + 1])
    sizes = (*shape.sizes[: count + start], joined, *shape.sizes[count + end + 1 :])
    return Shape(sizes, shape.dots)


def _transpose(bound: Bound) -> Shape:
    one, two = bound.axis("dim0"), bound.axis("dim1")
    sizes = list(bound.x.shape.sizes)
    sizes[one], sizes[two] = sizes[two], sizes[one]
    return Shape(tuple(sizes), bound.x.shape.dots)


def _permute(bound: Bound) -> Shape:
    axes, shape = bound.axes(), bound.x.shape
    if len(axes) != len(shape.sizes):
        after = " after `...`" if shape.dots else ""
        message = f"`{shape}` has {len(shape.sizes)} axes{after}; {len(axes)} are named"
        note, hint = "`permute` names each axis once, in the new order", "name all of them"
        label, there = f"{len(axes)} of {len(shape.sizes)}", source(bound.x)
        raise failure(Code.NO_SUCH_AXIS, message, bound.place("dim"), label, note, hint, there)
    return Shape(tuple(shape.sizes[axis] for axis in axes), shape.dots)


def _expand(bound: Bound) -> Shape:
    old, new = bound.x.shape, bound.shape("size")
    few, many = len(old.sizes), len(new.sizes)
    if few > many or (old.dots and (few != many or not new.dots)):
        message = f"`{old}` cannot be expanded to `{new}`"
        if old.dots and not new.dots:
            note = "`...` stays where the value has it"
            hint = f"write `{Shape(new.sizes, True)}`"
        elif old.dots:
            note = "behind `...` there are equally many axes before and after"
            hint = "add axes of size 1 first: `reshape(x, (..., 1, n))`"
        else:
            note, hint = "an expanded value has all its axes, aligned at the right", "add legs"
        raise _unfit(bound, "size", message, note, hint)
    place, there = bound.place("size"), Label(bound.operands[0].place, f"this is `{old}`")
    for k in range(1, few + 1):
        size, wanted = old.sizes[-k], new.sizes[-k]
        if size.value != 1:
            message = f"`{old}` cannot be expanded to `{new}`: axis {-k} is {size}, not {wanted}"
            advice = None if size.names and wanted.names else f"write {size} there"
            label = f"{wanted} on axis {-k}"
            misfit = Misfit(message, place, label, (there,), ALIGNED, advice)
            bound.typing.same(size, wanted, misfit)
    return new


def _same(bound: Bound) -> Shape:
    return bound.x.shape


def _rolled(bound: Bound) -> Shape:
    amounts, axes = bound.sizes("shifts"), bound.axes()
    if len(amounts) != len(axes):
        message = f"{counted(len(amounts), 'shift')} for {len(axes)} axes"
        note, hint = "there is one shift for each axis", "make the lists equally long"
        label = counted(len(amounts), "shift")
        raise failure(Code.LENGTH_MISMATCH, message, bound.place("shifts"), label, note, hint)
    return bound.x.shape


FUNCTIONS = (
    Function("reshape", (X, option("shape", legs)), ANY, _reshape),
    Function("flatten", (X, axis("start_dim"), axis("end_dim", -1)), ANY, _flatten),
    Function("transpose", (X, axis("dim0"), axis("dim1")), ANY, _transpose),
    Function("permute", (X, AXES), ANY, _permute),
    Function("expand", (X, option("size", legs)), ANY, _expand),
    Function("flip", (X, AXES), ANY, _same),
    Function("roll", (X, option("shifts", shifts), AXES), ANY, _rolled),
)
