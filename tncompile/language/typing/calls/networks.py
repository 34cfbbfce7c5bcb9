"""A call of a network: ids, run-time axes, windows, logarithms."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolved import (
    ResolvedAxis,
    ResolvedInput,
    ResolvedNetwork,
    ResolvedWindow,
)
from tncompile.language.syntax.source import Span
from tncompile.language.typing.calls.inputs import (
    BoundSizes,
    Slot,
    Taken,
    Types,
    bind,
    in_order,
    taken,
)
from tncompile.language.typing.model import Part
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import Kind, Shape


def call_network(
    typing: Typing, part: Part, network: ResolvedNetwork, call: Call
) -> tuple[CallPart, Types]:
    """The call, and what it gives: the sign and the logarithm where the network has `log`."""
    windows = {f"{w.name}.{'out' if w.transposed else 'in'}": w for w in network.windows}
    slots = [_slot(network, source, windows) for source in network.inputs]
    pairs = in_order(call, part.name, slots, network.block.name.span, by_name=False)
    for source, (slot, argument) in zip(network.inputs, pairs, strict=True):
        _check_id(part.name, source, slot, argument, call.place(argument))
    inputs = taken(typing, call, part.name, pairs)
    names = {index.name for index in network.indices if index.kind == "batch"}
    names |= {_size_name(window) for window in network.windows}
    bound = bind(typing, part.name, inputs, names, stretch=True)
    for each in inputs:
        _check_windows(part.name, network, each, bound)
    given = {f"{w.name}.{'in' if w.transposed else 'out'}": w for w in network.windows}
    output = network.output
    dots = any(axis.kind == "dots" for axis in output.axes)
    sizes = [_axis(network, axis, given, left=True) for axis in output.axes if axis.kind != "dots"]
    shape = bound.shape(Shape(tuple(sizes), dots))
    kinds = {each.value.kind for each in inputs if "float" in each.slot.kinds}
    is_complex = "complex" in kinds or any(each.complex for each in network.parameters)
    kind: Kind = "complex" if is_complex else "float"
    operation = CallPart(
        tuple(each.value for each in inputs),
        part=part,
        inputs=tuple(slot.name for slot in slots),
        bindings=bound.sizes,
        span=call.span,
        turns=typing.turns,
    )
    return operation, [(kind, shape), ("float", shape)] if output.log else [(kind, shape)]


def _slot(
    network: ResolvedNetwork, source: ResolvedInput, windows: Mapping[str, ResolvedWindow]
) -> Slot:
    ids = any(axis.kind == "onehot" for axis in source.axes)
    axes = [axis for axis in source.axes if axis.kind in ("legs", "slices")]
    shape = Shape(
        tuple([_axis(network, axis, windows) for axis in axes]),
        any(axis.kind == "dots" for axis in source.axes),
    )
    kinds: tuple[Kind, ...] = ("int",) if ids else ("float", "complex")
    spans = tuple(axis.span for axis in axes)
    return Slot(source.name, kinds, shape, source.statement.name.span, spans)


def _axis(
    network: ResolvedNetwork,
    axis: ResolvedAxis,
    windows: Mapping[str, ResolvedWindow],
    *,
    left: bool = False,
) -> Size:
    """The size of an axis; that of a window is what is `left` of the size that comes in."""
    if axis.kind == "slices":
        return Size.number(axis.size or 0)
    index = network.index[axis.indices[0]] if axis.indices else None
    if index is not None and index.kind == "batch":
        return Size.name(index.name)
    if index is not None and index.kind == "window":
        window = windows[index.name]
        size = Size.name(_size_name(window))
        return _left_of(window, size) if left else size
    size_of = [network.index[name].size or 1 for name in axis.indices]
    return Size.number(math.prod(size_of) if axis.width is None else axis.width)


def _size_name(window: ResolvedWindow) -> str:
    """What the size of the input along a window is called: `h`, `h.0` in a family."""
    return ".".join([window.family, *map(str, window.subscripts)])


def _left_of(window: ResolvedWindow, size: Size) -> Size:
    reach, outside = window.dilation * (window.size - 1), window.left + window.right
    if window.transposed:
        return (size - 1) * window.stride - outside + reach + 1 + window.extra
    return (size + outside - reach - 1) // window.stride + 1


def _check_id(part: str, source: ResolvedInput, slot: Slot, argument: Typed, place: Span) -> None:
    """TN601 for a number that is no id of an input of ids."""
    axis = next((axis for axis in source.axes if axis.kind == "onehot"), None)
    if axis is None or type(argument.term) is not int:
        return
    count = axis.size if axis.width is None else axis.width
    if count is None or 0 <= argument.term < count:
        return
    message = f"`{part}` has ids 0 to {count - 1} for {slot.text}, not {argument.term}"
    note = "an id says which entry is picked, counted from 0"
    hint = f"write a number from 0 to {count - 1}"
    there = Label(axis.span, f"{count} ids")
    raise failure(Code.MODEL_SHAPES, message, place, "no such id", note, hint, there)


def _check_windows(part: str, network: ResolvedNetwork, each: Taken, bound: BoundSizes) -> None:
    """TN601 where nothing comes out of a window, whatever the sizes are."""
    for window in network.windows:
        name = _size_name(window)
        if Size.name(name) not in each.slot.shape.sizes:
            continue
        left = _left_of(window, bound.sizes[name]).value
        if left is not None and left < 1:
            message = f"`{part}` gives nothing along `{window.name}` for {each.value.shape}"
            note = "a window needs an input that its kernel fits into"
            hint = "give it a longer input, or the window more padding"
            label = f"{bound.sizes[name]} entries along `{window.name}`"
            there = Label(window.declaration.name.span, f"its kernel has {window.size} entries")
            raise failure(Code.MODEL_SHAPES, message, each.place, label, note, hint, there)
