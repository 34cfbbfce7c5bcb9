"""Along one axis: entries and parts of it, and values joined along a new one."""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.program.operations import Cat, IndexSelect, Select, Slice, Split, Unbind
from tncompile.program.program import Extent, Value


def select(assembler: ProgramBuilder, source: Value, axis: int, position: int) -> Value:
    """One entry along an axis: a view."""
    made = _entry(assembler, source, axis)
    return assembler.add(Select(made.name, source.name, axis, position), made)


def unbind(assembler: ProgramBuilder, source: Value, axis: int) -> tuple[Value, ...]:
    """All entries along an axis of known length: views."""
    made = [_entry(assembler, source, axis) for _ in range(source.shape[axis].factor)]
    assembler.add(Unbind(tuple(value.name for value in made), source.name, axis), *made)
    return tuple(made)


def _entry(assembler: ProgramBuilder, source: Value, axis: int) -> Value:
    """A value of its own without that axis, in the memory of the source."""
    return replace(
        source,
        name=assembler.fresh(source.name),
        axes=source.axes[:axis] + source.axes[axis + 1 :],
        shape=source.shape[:axis] + source.shape[axis + 1 :],
        strides=source.strides[:axis] + source.strides[axis + 1 :],
    )


def divide(assembler: ProgramBuilder, source: Value, axis: int, parts: Axes) -> tuple[Value, ...]:
    """Parts of an axis that make up all of it, each over indices of its own: views."""
    before, after = slice(0, axis), slice(axis + 1, None)
    made = [
        replace(
            source,
            axes=(*source.axes[before], part, *source.axes[after]),
            shape=(*source.shape[before], assembler.length(part), *source.shape[after]),
        )
        for part in parts
    ]
    if len(made) == 1:
        return tuple(made)
    made = [replace(value, name=assembler.fresh(source.name)) for value in made]
    lengths = tuple(value.shape[axis].factor for value in made)
    assembler.add(Split(tuple(value.name for value in made), source.name, axis, lengths), *made)
    return tuple(made)


def cut(assembler: ProgramBuilder, source: Value, axis: int, positions: range, index: str) -> Value:
    """Entries `positions` along an axis, which then runs over `index`: a view."""
    if len(positions) == source.shape[axis].factor and positions.step == 1:
        return rename(assembler, source, axis, index)
    name = assembler.fresh(source.name)
    step = Extent(positions.step)
    made = replace(
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
    return assembler.add(
        Slice(name, source.name, axis, positions.start, positions.stop, positions.step), made
    )


def rename(assembler: ProgramBuilder, source: Value, axis: int, index: str) -> Value:
    """The same value, its axis now said to run over `index`; no operation."""
    axes = (*source.axes[:axis], (index,), *source.axes[axis + 1 :])
    return replace(source, axes=axes)


def members(
    assembler: ProgramBuilder, source: Value, axis: int, positions: tuple[int, ...], index: str
) -> Value:
    """Entries along an axis, which then runs over `index`: a view where evenly spaced.

    Else they are gathered along the first axis: a copy.
    """
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    even = range(positions[0], positions[-1] + 1, step) if step > 0 else range(0)
    if tuple(even) == positions:
        return cut(assembler, source, axis, even, index)
    order = (axis, *(k for k in range(len(source.axes)) if k != axis))
    return gather(assembler, assembler.permute(source, order), positions, index)


def gather(
    assembler: ProgramBuilder, source: Value, positions: tuple[int, ...], index: str
) -> Value:
    """Entries of the first axis by position: a copy."""
    name = assembler.fresh(source.name)
    made = assembler.value(name, ((index,), *source.axes[1:]), (source,))
    return assembler.add(IndexSelect(name, source.name, positions), made)


def concatenate(assembler: ProgramBuilder, given: tuple[Value, ...], index: str) -> Value:
    """Values joined along their first axes, which then run over `index`: a copy."""
    name = assembler.fresh("joined")
    made = assembler.value(name, ((index,), *given[0].axes[1:]), given)
    return assembler.add(Cat(name, tuple(value.name for value in given)), made)
