"""Queries on programs: reads of values, numbers of contractions, logarithms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tncompile.program.operation import Operation, results, sources
from tncompile.program.operations import (
    Argument,
    Chunk,
    Convolve,
    Embedding,
    Log,
    MatMul,
    Multiply,
    RavelIndex,
    UnravelIndex,
)
from tncompile.program.program import Extent, Step, TensorProgram, product

WORTH_PARTS = 128
"""Rows and columns of a real matrix from which the parts of a complex one are multiplied by it:
1024 × 256 times 256 × 256 took 10 ms in place of 20, 1024 × 64 times 64 × 64 0.25 in place of 0.20.
"""


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


def is_mixed(program: TensorProgram, operation: Operation) -> bool:
    """Whether one factor of a product may be real where the other one is complex.

    `torch.mm` and convolutions refuse that; elementwise products take it as it is.
    """
    if not isinstance(operation, MatMul | Convolve):
        return False
    left, right = (program.values[name].complex for name in sources(operation)[:2])
    return left != right or left is None


def multiplies_parts(program: TensorProgram, product: MatMul) -> bool:
    """Whether a real right factor is multiplied by the parts of a complex left one.

    That takes half of the arithmetic of complex factors, but copies the left one and the result.
    The parts of a right one lie side by side: they take no copy, and are always multiplied.
    """
    right = program.values[product.right]
    lengths = right.shape[-2:]
    long = all(length.names or length.factor >= WORTH_PARTS for length in lengths)
    return right.complex is not True and long


def multiply_adds(operation: Operation, program: TensorProgram) -> Extent:
    """How many products of real numbers an operation adds up; none unless it is a contraction."""
    if not operation.is_contraction:
        return Extent(0)
    size = program.values[results(operation)[0]].size * Extent(_real_products(operation, program))
    if isinstance(operation, MatMul):
        return size * program.values[operation.left].shape[-1]
    if isinstance(operation, Convolve):  # each entry meets a part of the weight
        each = operation.source if operation.transposed else operation.result
        entries = program.values[each].size * Extent(_real_products(operation, program))
        return entries * product(program.values[operation.weight].shape[1:])
    return size


def _real_products(operation: Operation, program: TensorProgram) -> int:
    """Products of real numbers that one product of the factors of a contraction takes."""
    left, right = (bool(program.values[name].complex) for name in sources(operation)[:2])
    match operation:
        case MatMul() if left and not right and not multiplies_parts(program, operation):
            return 4  # the right one is made complex
        case Convolve():
            return 1 + left + right  # torch adds parts up to save one of four
        case Multiply():
            return 4 if left or right else 1
    return (1 + left) * (1 + right)


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


def takes_number(program: TensorProgram, source: str) -> bool:
    """Whether the ids of an input, which have no axes, may be a number of Python all the way.

    They pick a row of a table, or digits of them do; nothing else is done with them.
    """
    numbers: set[str] = set()
    for step in program.steps:
        match step.operation:
            case Argument(result, input=name) if name == source:
                numbers.add(result)
            case UnravelIndex(result) | RavelIndex(result) if not program.values[result].shape:
                numbers |= {result} if numbers.intersection(sources(step.operation)) else set()
            case Embedding(_, table) if table not in numbers:
                pass
            case operation if numbers.intersection(sources(operation)):
                return False
    recomputed = program.loop is not None and program.loop.recompute
    return not (recomputed and numbers & read_in_turns(program))


def is_row(program: TensorProgram, operation: Operation) -> bool:
    """Whether one row of a table is picked: a view where its id is a number of Python."""
    return isinstance(operation, Embedding) and not program.values[operation.ids].shape


def only_multiplied(program: TensorProgram, name: str) -> bool:
    """Whether a value, or a view of it, goes into products of matrices alone.

    They take factors of any strides, and give results of their own.
    """
    if name in program.returns:
        return False
    for step in program.steps:
        operation = step.operation
        if name not in sources(operation):
            continue
        if operation.is_view or operation.may_alias:
            if not all(only_multiplied(program, result) for result in results(operation)):
                return False
        elif not isinstance(operation, MatMul) or operation.bias == name:
            return False
    return True
