"""The text of a tensor program: one line a step."""

from __future__ import annotations

from tncompile.program.operations import (
    Argument,
    Chunk,
    ConcatChunks,
    LoadParameter,
    Mask,
    OneHot,
    Operation,
    Permute,
    Rescale,
    Select,
    Slice,
    Split,
    StackParameters,
    Sum,
    Times,
    Unbind,
    UnravelIndex,
    results,
    sources,
)
from tncompile.program.program import Extent, TensorProgram, Value


def describe_program(program: TensorProgram) -> str:
    """Result, shape, operation and operands of each step, then what is returned.

    The batch axes `...` are one axis of length `B`.
    """
    lines: list[str] = []
    loop = program.loop
    for number, step in enumerate(program.steps):
        if loop is not None and number == loop.start:
            again = ", made again by the backward pass" if loop.recompute else ""
            lines.append(f"for every {loop.rows} of {_extent(Extent(1, (loop.index,)))}{again}:")
        if loop is not None and number == loop.stop:
            lines.append("after that:")
        made = ", ".join(
            f"{name}({_shape(program.values[name])})" for name in results(step.operation)
        )
        kind = type(step.operation).__name__
        given = ", ".join((*sources(step.operation), *_details(step.operation)))
        note = f"  # {step.note}" if step.note else ""
        lines.append(f"{made} = {kind}({given}){note}")
        dead = [name for name in step.drops if name in program.values]
        if dead:
            lines.append(f"drop {', '.join(dead)}")
    returned = program.result if program.log is None else f"{program.result}, {program.log}"
    lines.append(f"return {returned}")
    return "\n".join(lines) + "\n"


def _shape(value: Value) -> str:
    return ", ".join(
        f"{' '.join(axis) or '1'}: {_extent(length)}"
        for axis, length in zip(value.axes, value.shape, strict=True)
    )


def _extent(length: Extent) -> str:
    names = ["B" if name == "..." else name for name in length.names]
    return "·".join([*names, *([str(length.factor)] if length.factor != 1 or not names else [])])


def _details(operation: Operation) -> tuple[str, ...]:
    """What an operation needs besides its operands."""
    match operation:
        case Argument(_, given):
            return (given,)
        case LoadParameter(_, key, conjugate):
            return (f"{key} conj" if conjugate else key,)
        case StackParameters(_, keys, conjugate):
            return (f"{keys[0]} … {keys[-1]}, {len(keys)} in all{' conj' if conjugate else ''}",)
        case Mask(_, width):
            return (f"first {width}",)
        case Chunk(_, _, axis) | ConcatChunks(_, _, axis):
            return (f"axis {axis}",)
        case Permute(_, _, order):
            return (f"order {order}",)
        case Slice(_, _, axis, start, stop, step):
            return (f"axis {axis}, {start}:{stop}:{step}",)
        case Select(_, _, axis, position):
            return (f"axis {axis} at {position}",)
        case Unbind(_, _, axis):
            return (f"axis {axis}",)
        case Split(_, _, axis, lengths):
            return (f"axis {axis} as {lengths}",)
        case Sum(_, _, axes) | Rescale(_, _, _, axes):
            return (f"axes {axes}",)
        case Times(_, _, count):
            return (f"{count}",)
        case UnravelIndex(_, _, divisor, size, _):
            return (f"// {divisor} % {size}",)
        case OneHot(_, _, size):
            return (f"size {size}",)
        case _:
            return ()
