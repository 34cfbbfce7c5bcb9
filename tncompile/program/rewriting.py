"""Tensor programs rewritten: values renamed, loops undone, dead values dropped anew."""

from __future__ import annotations

from collections.abc import Container, Hashable, Sequence
from dataclasses import replace
from itertools import chain, count

from tncompile.program import operations as op
from tncompile.program.operation import Operation, attributes, renamed, results, sources
from tncompile.program.program import Extent, Loop, Step, TensorProgram
from tncompile.program.verifying import checked


def free(name: str, names: Container[str]) -> str:
    """The name, or one like it that no value has."""
    return next(k for k in chain([name], (f"{name}_{n}" for n in count())) if k not in names)


def fingerprint(program: TensorProgram) -> Hashable:
    """What a program does, whatever its values are called; what it serves is left out, too."""
    numbers: dict[str, int] = {}
    steps: list[Hashable] = []
    for step in program.steps:
        defined, read = results(step.operation), sources(step.operation)
        numbers.update({name: len(numbers) + k for k, name in enumerate(defined)})
        shapes = tuple(program.values[name].shape for name in defined)
        steps.append((computation(step.operation), tuple(numbers[k] for k in read), shapes))
    returned = tuple(numbers[name] for name in program.returns)
    return tuple(steps), returned, program.loop


def computation(operation: Operation) -> Hashable:
    """What an operation does, whatever its operands and results are called."""
    return type(operation).__name__, *(value for _, value in attributes(operation))


# ── operations left out ────────────────────────────────────────────────────────────────────────


def straightened(program: TensorProgram) -> TensorProgram:
    """The same program with all of the batch at once: its loop undone."""
    loop = program.loop
    if loop is None:
        return program
    values = {
        name: replace(
            value, shape=undivided(value.shape, loop), strides=undivided(value.strides, loop)
        )
        for name, value in program.values.items()
    }
    return _without(replace(program, values=values, loop=None), (op.Chunk, op.ConcatChunks))


def without_hooks(program: TensorProgram) -> TensorProgram:
    """The same program for where no gradient of a parameter is wanted: none is copied, no chunk
    is computed again."""
    loop = None if program.loop is None else replace(program.loop, recompute=False)
    return _without(replace(program, loop=loop), (op.ContiguousGrad,))


def _without(
    program: TensorProgram, kinds: tuple[type[op.Chunk | op.ConcatChunks | op.ContiguousGrad], ...]
) -> TensorProgram:
    """The program without operations of some kinds: who reads their results reads their sources."""
    if not any(isinstance(step.operation, kinds) for step in program.steps):
        return program
    names: dict[str, str] = {}
    steps: list[Step] = []
    start = stop = 0
    for k, step in enumerate(program.steps):
        operation = step.operation
        if isinstance(operation, kinds):
            names[operation.result] = names.get(operation.source, operation.source)
            continue
        steps.append(replace(step, operation=renamed(operation, names)))
        if program.loop is not None:
            start += k < program.loop.start
            stop += k < program.loop.stop
    memory = {name: program.values[source].storage for name, source in names.items()}
    values = {
        name: replace(value, storage=memory.get(value.storage, value.storage))
        for name, value in program.values.items()
        if name not in names
    }
    returns = tuple(names.get(name, name) for name in program.returns)
    loop = None if program.loop is None else replace(program.loop, start=start, stop=stop)
    return finished(replace(program, values=values, returns=returns, loop=loop), steps)


def undivided(extents: tuple[Extent, ...], loop: Loop) -> tuple[Extent, ...]:
    """Lengths or strides for all of the batch in place of one chunk."""
    names = {loop.part: loop.index}
    return tuple(
        Extent(extent.factor, tuple(sorted(names.get(name, name) for name in extent.names)))
        for extent in extents
    )


def finished(program: TensorProgram, steps: Sequence[Step]) -> TensorProgram:
    """The program with these steps, each of which drops what nothing reads after it.

    What was made before the loop is read in every iteration, so it is dropped at the loop's end.
    """
    loop = program.loop
    span = range(0) if loop is None else range(loop.start, loop.stop)
    inside = {name for k in span for name in results(steps[k].operation)}
    last: dict[str, int] = {}
    for k, step in enumerate(steps):
        for name in sources(step.operation):
            last[name] = span[-1] if k in span and name not in inside else k
    dying: dict[int, list[str]] = {}
    for name, k in last.items():
        dying.setdefault(k, []).append(name)
    dropping: list[Step] = []
    for k, step in enumerate(steps):
        unread = [name for name in results(step.operation) if name not in last]
        drops = tuple(name for name in (*dying.get(k, ()), *unread) if name not in program.returns)
        dropping.append(step if step.drops == drops else replace(step, drops=drops))
    values = {name: program.values[name] for step in steps for name in results(step.operation)}
    return checked(replace(program, values=values, steps=tuple(dropping)))
