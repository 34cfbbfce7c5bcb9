"""One pairwise contraction as operations: which product, on which views, with the fewest copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.schedule import MatmulLayout, Order
from tncompile.program.layout import as_matrix
from tncompile.program.operations import Multiply
from tncompile.program.program import ONE, Value

SUMMED = 2**14
"""Numbers from which an operand gets an axis of length 1 before it is repeated over a batch: torch
sums the gradient of an axis that `expand` added even where it is of length 1, at a batch of 1."""


LONG = 2**16
"""Numbers from which two vectors are multiplied entry by entry and added: a product of a row and a
column adds one by one, and 10**7 squares in float32 lose a sixtieth of their sum."""


@dataclass(frozen=True, slots=True)
class Consumer:
    """What will be done with a result: the indices it then shares with its partner.

    `batch` indices are shared and kept, `summed` ones shared and summed. For the output of the
    network, `order` is the order in which its axes are wanted.
    """

    batch: frozenset[str] = frozenset()
    summed: frozenset[str] = frozenset()
    order: Order | None = None


def contract(
    builder: ProgramBuilder,
    left: Value,
    right: Value,
    result_legs: frozenset[str],
    consumer: Consumer,
    layout: MatmulLayout | None = None,
) -> Value:
    """The product of two split values, summed over all but `result_legs`; a split value again.

    Without a `form` the one is taken that copies least here and in the next contraction.
    """
    left = builder.sum(left, set(_indices(left)) - set(_indices(right)) - result_legs)
    right = builder.sum(right, set(_indices(right)) - set(_indices(left)) - result_legs)
    left_indices, right_indices = _indices(left), _indices(right)
    summed = tuple(
        index for index in left_indices if index in right_indices and index not in result_legs
    )
    if not summed:
        return _multiply(builder, left, right)
    if len(summed) == len(left_indices) == len(right_indices) and builder.count(summed) >= LONG:
        return builder.sum(_multiply(builder, left, right), set(summed))
    layout = layout or _best_layout(builder, left, right, result_legs, consumer)
    first, second = (right, left) if layout.swapped else (left, right)
    result = builder.matmul(
        _operand(builder, first, layout.batch, layout.rows, layout.summed),
        _operand(builder, second, layout.batch, layout.summed, layout.columns),
    )
    return builder.split(result)


def _indices(value: Value) -> Order:
    return tuple(index for axis in value.axes for index in axis)


def _multiply(builder: ProgramBuilder, left: Value, right: Value) -> Value:
    """Nothing is summed: an elementwise product, the larger operand in its own order."""
    if builder.count(_indices(left)) < builder.count(_indices(right)):
        left, right = right, left
    axes = tuple((index,) for index in dict.fromkeys((*_indices(left), *_indices(right))))
    return builder.elementwise(Multiply, builder.arrange(left, axes), builder.arrange(right, axes))


def _layouts(
    left_indices: Order, right_indices: Order, result_legs: frozenset[str], consumer: Consumer
) -> Iterator[MatmulLayout]:
    """Every order of the groups that an operand or the consumer suggests, both orientations."""
    shared = (
        tuple(index for index in left_indices if index in right_indices),
        tuple(index for index in right_indices if index in left_indices),
    )
    batches, sums = (
        dict.fromkeys(tuple(k for k in order if (k in result_legs) == stays) for order in shared)
        for stays in (True, False)
    )
    lefts = _orders(tuple(index for index in left_indices if index not in right_indices), consumer)
    rights = _orders(tuple(index for index in right_indices if index not in left_indices), consumer)
    for batch, summed, left, right in product(batches, sums, lefts, rights):
        yield MatmulLayout(False, batch, left, summed, right)
        yield MatmulLayout(True, batch, right, summed, left)


def _orders(group: Order, consumer: Consumer) -> tuple[Order, ...]:
    """The order in memory, then those in which the consumer finds its groups side by side."""
    if consumer.order is not None:
        wanted = tuple(index for index in consumer.order if index in group)
        return tuple(dict.fromkeys((group, wanted)))
    batch = tuple(index for index in group if index in consumer.batch)
    summed = tuple(index for index in group if index in consumer.summed)
    others = tuple(index for index in group if index not in consumer.batch | consumer.summed)
    return tuple(dict.fromkeys((group, batch + summed + others, batch + others + summed)))


def _best_layout(
    builder: ProgramBuilder,
    left: Value,
    right: Value,
    result_legs: frozenset[str],
    consumer: Consumer,
) -> MatmulLayout:
    """The form that copies least here and in the next contraction, the first one among equals."""
    left_indices, right_indices = _indices(left), _indices(right)
    runs = builder.runs(left), builder.runs(right)
    counts = builder.count(left_indices), builder.count(right_indices)

    mixed = None  # which operand is the complex one of a product of a real and a complex one
    if (left.complex is True) != (right.complex is True):
        mixed = right.complex is True

    @cache
    def copied(operand: int, batch: Order, rows: Order, columns: Order) -> int:
        """Elements of an operand that must be copied before the product can run."""
        fits = as_matrix(runs[operand], (batch, rows, columns), ONE) is not None
        return 0 if fits else counts[operand]

    def cost(layout: MatmulLayout) -> int:
        first = copied(layout.swapped, layout.batch, layout.rows, layout.summed)
        second = copied(not layout.swapped, layout.batch, layout.summed, layout.columns)
        if mixed == layout.swapped:  # a real right factor of a complex one is made complex
            second += counts[not layout.swapped]
        return first + second + _misfit(builder, layout, consumer)

    return min(_layouts(left_indices, right_indices, result_legs, consumer), key=cost)


def _misfit(builder: ProgramBuilder, layout: MatmulLayout, consumer: Consumer) -> int:
    """Elements of the result that its consumer would have to copy."""
    if consumer.order is not None:
        wanted = tuple(index for index in consumer.order if index in layout.result)
        return 0 if layout.result == wanted else builder.count(layout.result)
    blocks: list[int] = []
    for index in layout.result:
        block = 0 if index in consumer.batch else 1 if index in consumer.summed else 2
        if not blocks or blocks[-1] != block:
            blocks.append(block)
    fits = len(blocks) == len(set(blocks)) and blocks[-1:] != [0]
    return 0 if fits else builder.count(layout.result)


def _operand(
    builder: ProgramBuilder, value: Value, batch: Order, rows: Order, columns: Order
) -> Value:
    """The value as a matrix, or a stack of matrices where there are batch indices.

    One that carries none of them is repeated along them: a view of stride 0.
    """
    carried = set(_indices(value))
    repeated = bool(batch) and not carried.intersection(batch)
    groups: tuple[Order, ...] = (rows, columns)
    if repeated and builder.length(batch).names and builder.count(carried) >= SUMMED:
        groups = ((), rows, columns)
    elif batch and not repeated:
        groups = (batch, rows, columns)
    own_batch = () if repeated else batch
    if as_matrix(builder.runs(value), (own_batch, rows, columns), ONE) is not None:
        arranged = builder.arrange(value, groups)
    else:
        flat = tuple((index,) for group in groups for index in group)
        order = tuple(value.axes.index(axis) for axis in flat)
        arranged = builder.copy(builder.permute(value, order), groups)
    return builder.expand(arranged, (batch, rows, columns)) if repeated else arranged
