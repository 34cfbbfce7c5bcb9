"""Along one axis: entries and parts of it, and values joined along a new one."""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.program import operations as op
from tncompile.program.program import Value


def select(builder: ProgramBuilder, source: Value, axis: int, position: int) -> Value:
    """One entry along an axis: a view."""
    axes = source.axes[:axis] + source.axes[axis + 1 :]
    return builder.derive(op.Select, source, axes, axis, position)


def unbind(builder: ProgramBuilder, source: Value, axis: int) -> tuple[Value, ...]:
    """All entries along an axis of known length: views."""
    axes = source.axes[:axis] + source.axes[axis + 1 :]
    return builder.derive_all(op.Unbind, source, [axes] * source.shape[axis].factor, axis)


def divide(builder: ProgramBuilder, source: Value, axis: int, parts: Axes) -> tuple[Value, ...]:
    """Parts of an axis that make up all of it, each over indices of its own: views."""
    axes = [(*source.axes[:axis], part, *source.axes[axis + 1 :]) for part in parts]
    if len(axes) == 1:
        return (replace(source, axes=axes[0]),)
    lengths = tuple(builder.length(part).factor for part in parts)
    return builder.derive_all(op.Split, source, axes, axis, lengths)


def cut(builder: ProgramBuilder, source: Value, axis: int, positions: range, index: str) -> Value:
    """Entries `positions` along an axis, which then runs over `index`: a view."""
    axes = (*source.axes[:axis], (index,), *source.axes[axis + 1 :])
    if len(positions) == source.shape[axis].factor and positions.step == 1:
        return replace(source, axes=axes)
    bounds = positions.start, positions.stop, positions.step
    return builder.derive(op.Slice, source, axes, axis, *bounds)


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
    result = builder.value(source.name, ((index,), *source.axes[1:]), (source,))
    return builder.add(op.IndexSelect(result.name, source.name, positions), result)


def concatenate(builder: ProgramBuilder, values: tuple[Value, ...], index: str) -> Value:
    """Values joined along their first axes, which then run over `index`: a copy."""
    result = builder.value("joined", ((index,), *values[0].axes[1:]), values)
    return builder.add(op.Cat(result.name, tuple(value.name for value in values)), result)
