"""The end of lowering: steps to a program, without what nothing reads, the loop in one piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tncompile.program import operations as op
from tncompile.program.operation import results, sources
from tncompile.program.program import Loop, Step, TensorProgram, Value
from tncompile.program.rewriting import finished, straightened


def assembled(
    values: Mapping[str, Value],
    made: Sequence[Step],
    returned: Sequence[Value],
    runtime: tuple[str, ...],
    loop: Loop | None,
) -> TensorProgram:
    """The program that returns these values.

    Steps that nothing reads are left out, dead values are dropped. The loop is one piece; it is
    undone where no step reads an input of several chunks.
    """
    returns = tuple(value.name for value in returned)
    read = set(returns)
    steps: list[Step] = []
    for step in reversed(made):
        if read.intersection(results(step.operation)):
            read.update(sources(step.operation))
            steps.append(step)
    steps.reverse()
    program = TensorProgram(values, (), returns, runtime)
    if loop is None:
        return finished(program, steps)
    before, chunks, body, after = _around_loop(steps, loop, values)
    start, stop = len(before), len(steps) - len(after)
    steps = before + chunks + body + after
    looped = replace(program, loop=replace(loop, start=start, stop=stop))
    if not chunks:
        return straightened(replace(looped, steps=tuple(steps)))
    return finished(looped, steps)


def _around_loop(
    steps: list[Step], loop: Loop, values: Mapping[str, Value]
) -> tuple[list[Step], ...]:
    """The steps before the loop, its chunks, its other steps, and those after it.

    Each step that depends on no part comes before the loop. One that is repeated along the part
    belongs to it as much as one that reads an input.
    """
    inside: set[str] = set()
    sections: tuple[list[Step], ...] = [], [], [], []
    before, chunks, body, after = sections
    for step in steps:
        targets = results(step.operation)
        shapes = [values[name].shape for name in targets]
        if body and isinstance(body[-1].operation, op.ConcatChunks):
            after.append(step)
        elif isinstance(step.operation, op.Chunk):
            chunks.append(step)
            inside.update(targets)
        elif inside.intersection(sources(step.operation)) or any(
            loop.part in length.names for shape in shapes for length in shape
        ):
            body.append(step)
            inside.update(targets)
        else:
            before.append(step)
    return sections
