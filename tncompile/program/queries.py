"""Queries on programs: reads of values, numbers of contractions, logarithms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tncompile.program.operations import (
    Chunk,
    Convolve,
    Log,
    MatMul,
    Operation,
    results,
    sources,
)
from tncompile.program.program import Extent, Step, TensorProgram, product


def contraction_numbers(program: TensorProgram, origin: TensorProgram) -> dict[str, int]:
    """The number of the contraction, from one, that each product belongs to.

    `origin` is the program as planned, of which `program` may be a part.
    """
    first = first_contraction(origin)
    return {
        name: number - first + 1
        for step, number in _contractions(program)
        for name in results(step.operation)
    }


def first_contraction(program: TensorProgram) -> int:
    """The smallest number of a contraction in the plan's own count."""
    return min((number for _, number in _contractions(program)), default=0)


def _contractions(program: TensorProgram) -> Iterator[tuple[Step, int]]:
    for step in program.steps:
        if step.operation.is_contraction and step.contraction is not None:
            yield step, step.contraction


def multiply_adds(operation: Operation, program: TensorProgram) -> Extent:
    """How many products an operation adds up; none unless it is a contraction."""
    if not operation.is_contraction:
        return Extent(0)
    size = program.values[results(operation)[0]].size
    if isinstance(operation, MatMul):
        return size * program.values[operation.left].shape[-1]
    if isinstance(operation, Convolve):  # each entry meets a part of the weight
        each = operation.source if operation.transposed else operation.result
        return program.values[each].size * product(program.values[operation.weight].shape[1:])
    return size


def logarithms_of_scales(program: TensorProgram) -> set[str]:
    """Values that are logarithms of scales, and sums of them."""
    logarithms: set[str] = set()
    for step in program.steps:
        operation = step.operation
        read = sources(operation)
        if isinstance(operation, Log) or (read and logarithms.issuperset(read)):
            logarithms.update(results(operation))
    return logarithms


def count_reads(program: TensorProgram) -> Counter[str]:
    """How often each value is read, by steps and by the caller."""
    reads = Counter(name for step in program.steps for name in sources(step.operation))
    reads.update(program.returns)
    return reads


def loop_body(program: TensorProgram) -> range:
    """The steps of the loop after its chunks; none without a loop."""
    loop = program.loop
    if loop is None:
        return range(0)
    start = loop.start
    while isinstance(program.steps[start].operation, Chunk):
        start += 1
    return range(start, loop.stop)


def read_in_turns(program: TensorProgram) -> set[str]:
    """Values from before the loop that its iterations read."""
    if program.loop is None:
        return set()
    before = program.steps[: program.loop.start]
    before_loop = {name for step in before for name in results(step.operation)}
    body = (program.steps[k] for k in loop_body(program))
    return before_loop.intersection(name for step in body for name in sources(step.operation))
