"""Along one axis: entries and parts of it, and values joined along a new one."""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.program.operations import Cat, IndexSelect, Select, Slice, Split, Unbind
from tncompile.program.program import Extent, Value


def select(builder: ProgramBuilder, source: Value, axis: int, position: int) -> Value:
    """One entry along an axis: a view."""
    result = _entry(builder, source, axis)
    return builder.add(Select(result.name, source.name, axis, position), result)


def unbind(builder: ProgramBuilder, source: Value, axis: int) -> tuple[Value, ...]:
    """All entries along an axis of known length: views."""
    entries = [_entry(builder, source, axis) for _ in range(source.shape[axis].factor)]
    builder.add(Unbind(tuple(value.name for value in entries), source.name, axis), *entries)
    return tuple(entries)


def _entry(builder: ProgramBuilder, source: Value, axis: int) -> Value:
    """A value of its own without that axis, in the memory of the source."""
    return replace(
        source,
        name=builder.fresh(source.name),
        axes=source.axes[:axis] + source.axes[axis + 1 :],
        shape=source.shape[:axis] + source.shape[axis + 1 :],
        strides=source.strides[:axis] + source.strides[axis + 1 :],
    )


def divide(builder: ProgramBuilder, source: Value, axis: int, parts: Axes) -> tuple[Value, ...]:
    """Parts of an axis that make up all of it, each over indices of its own: views."""
    before, after = slice(0, axis), slice(axis + 1, None)
    pieces = [
        replace(
            source,
            axes=(*source.axes[before], part, *source.axes[after]),
            shape=(*source.shape[before], builder.length(part), *source.shape[after]),
        )
        for part in parts
    ]
    if len(pieces) == 1:
        return tuple(pieces)
    pieces = [replace(value, name=builder.fresh(source.name)) for value in pieces]
    lengths = tuple(value.shape[axis].factor for value in pieces)
    builder.add(Split(tuple(value.name for value in pieces), source.name, axis, lengths), *pieces)
    return tuple(pieces)


def cut(builder: ProgramBuilder, source: Value, axis: int, positions: range, index: str) -> Value:
    """Entries `positions` along an axis, which then runs over `index`: a view."""
    if len(positions) == source.shape[axis].factor and positions.step == 1:
        return rename(builder, source, axis, index)
    name = builder.fresh(source.name)
    step = Extent(positions.step)
    result = replace(
        source,
        name=name,
        axes=(*source.axes[:axis], (index,), *source.axes[axis + 1 :]),
        shape=(*source.shape[:axis], Extent(len(positions)), *source.shape[axis + 1 :]),
        strides=(
            *source.strides[:axis],
            source.strides[axis] * step,
            *source.strides[axis + 1 :],
        ),
    )
    return builder.add(
        Slice(name, source.name, axis, positions.start, positions.stop, positions.step), result
    )


def rename(builder: ProgramBuilder, source: Value, axis: int, index: str) -> Value:
    """The same value, its axis now said to run over `index`; no operation."""
    axes = (*source.axes[:axis], (index,), *source.axes[axis + 1 :])
    return replace(source, axes=axes)


def members(
    builder: ProgramBuilder, source: Value, axis: int, positions: tuple[int, ...], index: str
) -> Value:
    """Entries along an axis, which then runs over `index`: a view where evenly spaced.

    Else they are gathered along the first axis: a copy.
    """
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    even = range(positions[0], positions[-1] + 1, step) if step > 0 else range(0)
    if tuple(even) == positions:
        return cut(builder, source, axis, even, index)
    order = (axis, *(k for k in range(len(source.axes)) if k != axis))
    return gather(builder, builder.permute(source, order), positions, index)


def gather(builder: ProgramBuilder, source: Value, positions: tuple[int, ...], index: str) -> Value:
    """Entries of the first axis by position: a copy."""
    name = builder.fresh(source.name)
    result = builder.value(name, ((index,), *source.axes[1:]), (source,))
    return builder.add(IndexSelect(name, source.name, positions), result)


def concatenate(builder: ProgramBuilder, values: tuple[Value, ...], index: str) -> Value:
    """Values joined along their first axes, which then run over `index`: a copy."""
    name = builder.fresh("joined")
    result = builder.value(name, ((index,), *values[0].axes[1:]), values)
    return builder.add(Cat(name, tuple(value.name for value in values)), result)
