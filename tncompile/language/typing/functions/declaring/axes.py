"""Axes as arguments of functions: counted from the right, or the name of a run-time size."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import written_at, wrong_type
from tncompile.language.typing.operations import Read, Stored
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import Numbers, Shape, Tuple, Value


def dim_of(argument: Typed, value: Value, typing: Typing, *, more: int = 0) -> int:
    """The axis that an argument names, as a negative number; TN605 where there is none.

    `more` axes are there beside those of the value: 1 for the new one of `stack`.
    """
    term, shape = argument.term, value.shape
    axes = len(shape.sizes) + more
    if isinstance(term, Size):
        return _named(argument, term, value, typing)
    number = typing.number(argument)
    if type(number) is not int:
        hint = "write a negative number, or the name of a run-time size"
        raise wrong_type(argument.span, term, "an axis", hint)
    if -axes <= number < 0:
        return number
    if number >= 0 and shape.dots:
        message = f"the axes of `{shape}` are counted from the right"
        note = "`...` is any number of axes, so an axis has no number from the left"
        hint = "the last axis is `-1`"
        if 1 <= number <= axes:
            hint = f"write `{number - 1 - axes}`, if `...` is meant to be one axis"
        raise _no_axis(argument, message, "counted from the left", note, hint, value)
    if 0 <= number < axes:
        return number - axes
    what = "a new axis of" if more else "an axis of"
    message = f"{number} is not {what} `{shape}`"
    hint = "the only one is `-1`" if axes == 1 else f"they are `-1` to `-{axes}`"
    hint = hint if axes else "it has no axes"
    note = "axes are counted from the right: the last is -1"
    raise _no_axis(argument, message, "no such axis", note, hint, value)


def dims_of(argument: Typed, value: Value, typing: Typing) -> tuple[int, ...]:
    """The axes that an argument names, one or a list; TN605 where one is none, or named twice."""
    match argument.term:
        case Tuple(items) | Numbers(items):
            written: Sequence[object] = items
        case tuple():
            written = argument.term
        case _:
            return (dim_of(argument, value, typing),)
    axes: list[int] = []
    for item in written:
        if not isinstance(item, bool | int | float | str | Size):
            typing.number(argument)  # a tuple of values
            raise wrong_type(argument.span, argument.term, "a list of axes")
        axis = dim_of(Typed(item, argument.span, argument.name), value, typing)
        if axis in axes:
            message = f"axis {axis} of `{value.shape}` is named twice"
            note, hint = "a list of axes names each of them once", "name another one"
            raise _no_axis(argument, message, "twice here", note, hint, value)
        axes.append(axis)
    if not axes:
        message, note = "a list of no axes", "at least one axis is named"
        raise _no_axis(argument, message, "empty", note, "write the axes: `[-2, -1]`", value)
    return tuple(axes)


def without(shape: Shape, axes: Sequence[int], *, keep: bool = False) -> Shape:
    """The shape without some axes, or with one entry on each."""
    count = len(shape.sizes)
    gone = {axis + count for axis in axes}
    kept = (
        Size.number(1) if k in gone else size
        for k, size in enumerate(shape.sizes)
        if keep or k not in gone
    )
    return Shape(tuple(kept), shape.dots)


def source(value: Value) -> Label:
    """Where a value comes from, with its shape."""
    match value.operation:
        case Read(source=declared):
            span = declared.declared
        case Stored(tensor=tensor):
            span = tensor.declared
        case _:
            span = value.span
    return Label(span, f"this is `{value.text}`")


def _named(argument: Typed, size: Size, value: Value, typing: Typing) -> int:
    places = [k for k, each in enumerate(value.shape.sizes) if each == size]
    if len(places) == 1:
        return places[0] - len(value.shape.sizes)
    count = "no axis" if not places else f"{len(places)} axes"
    message = f"`{value.shape}` has {count} of the size `{size}`"
    note = "the name of a run-time size stands for the one axis of just that size"
    hint = "count the axis from the right: the last is -1"
    raise _no_axis(argument, message, "not one axis", note, hint, value)


def _no_axis(
    argument: Typed, message: str, label: str, note: str, hint: str, value: Value
) -> Failed:
    place, there = written_at(argument), source(value)
    return failure(Code.NO_SUCH_AXIS, message, place, label, note, hint, there)
