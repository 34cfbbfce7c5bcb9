"""One pairwise contraction as operations: which product, on which views, with the fewest copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.schedule import MatmulLayout, Order
from tncompile.program.layout import Run, is_matrix, merged
from tncompile.program.operations import Multiply
from tncompile.program.program import Value

SUMMED = 2**14
"""Numbers from which an operand gets an axis of length 1 before it is repeated over a batch: torch
sums the gradient of an axis that `expand` added even where it is of length 1, at a batch of 1."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What will be done with a result: the indices it then shares with its partner.

    `batch` indices are shared and kept, `summed` ones shared and summed. For the output of the
    network, `order` is the order in which its axes are wanted.
    """

    batch: frozenset[str] = frozenset()
    summed: frozenset[str] = frozenset()
    order: Order | None = None


def contract(
    assembler: ProgramBuilder,
    left: Value,
    right: Value,
    kept: frozenset[str],
    ahead: Ahead,
    form: MatmulLayout | None = None,
) -> Value:
    """The product of two split values, all indices outside `kept` summed; a split value again.

    Without a `form` the one is taken that copies least here and in the next contraction.
    """
    left = assembler.sum(left, _alone(left, right) - kept)
    right = assembler.sum(right, _alone(right, left) - kept)
    ours, theirs = _indices(left), _indices(right)
    summed = tuple(index for index in ours if index in theirs and index not in kept)
    if not summed:
        return _multiply(assembler, left, right)
    form = form or _best_form(assembler, left, right, kept, ahead)
    first, second = (right, left) if form.swapped else (left, right)
    result = assembler.matmul(
        _operand(assembler, first, form.batch, form.rows, form.summed),
        _operand(assembler, second, form.batch, form.summed, form.columns),
    )
    return assembler.split(result)


def _indices(value: Value) -> Order:
    return tuple(index for axis in value.axes for index in axis)


def _alone(one: Value, other: Value) -> set[str]:
    return set(_indices(one)) - set(_indices(other))


def _multiply(assembler: ProgramBuilder, left: Value, right: Value) -> Value:
    """Nothing is summed: an elementwise product, the larger operand in its own order."""
    if assembler.count(_indices(left)) < assembler.count(_indices(right)):
        left, right = right, left
    ours, theirs = _indices(left), _indices(right)
    extra = tuple(index for index in theirs if index not in ours)
    order = (*ours, *extra)
    axes = tuple((index,) for index in order)
    return assembler.elementwise(
        Multiply, assembler.arrange(left, axes), assembler.arrange(right, axes)
    )


def _forms(
    ours: Order, theirs: Order, kept: frozenset[str], ahead: Ahead
) -> Iterator[MatmulLayout]:
    """Every order of the groups that an operand or the consumer suggests, both orientations."""
    batches = dict.fromkeys(
        tuple(index for index in one if index in other and index in kept)
        for one, other in ((ours, theirs), (theirs, ours))
    )
    sums = dict.fromkeys(
        tuple(index for index in one if index in other and index not in kept)
        for one, other in ((ours, theirs), (theirs, ours))
    )
    lefts = _orders(tuple(index for index in ours if index not in theirs), ahead)
    rights = _orders(tuple(index for index in theirs if index not in ours), ahead)
    for batch, summed, left, right in product(batches, sums, lefts, rights):
        yield MatmulLayout(False, batch, left, summed, right)
        yield MatmulLayout(True, batch, right, summed, left)


def _orders(group: Order, ahead: Ahead) -> tuple[Order, ...]:
    """The order in memory, then those in which the consumer finds its groups side by side."""
    if ahead.order is not None:
        wanted = tuple(index for index in ahead.order if index in group)
        return tuple(dict.fromkeys((group, wanted)))
    batch = tuple(index for index in group if index in ahead.batch)
    summed = tuple(index for index in group if index in ahead.summed)
    others = tuple(index for index in group if index not in ahead.batch | ahead.summed)
    return tuple(dict.fromkeys((group, batch + summed + others, batch + others + summed)))


def _best_form(
    assembler: ProgramBuilder, left: Value, right: Value, kept: frozenset[str], ahead: Ahead
) -> MatmulLayout:
    """The form that copies least here and in the next contraction, the first one among equals."""
    ours, theirs = _indices(left), _indices(right)
    held = assembler.runs(left), assembler.runs(right)
    counts = assembler.count(ours), assembler.count(theirs)
    fitting: dict[tuple[bool, Order, Order, Order], bool] = {}

    def copied(form: MatmulLayout) -> int:
        """Elements that must be copied before the product can run."""
        total = 0
        for second, rows, columns in (
            (False, form.rows, form.summed),
            (True, form.summed, form.columns),
        ):
            operand = second is not form.swapped
            key = operand, form.batch, rows, columns
            if key not in fitting:
                fitting[key] = _fits(held[operand], form.batch, rows, columns)
            total += 0 if fitting[key] else counts[operand]
        return total

    return min(
        _forms(ours, theirs, kept, ahead),
        key=lambda form: copied(form) + _misfit(assembler, form, ahead),
    )


def _fits(held: dict[str, Run], batch: Order, rows: Order, columns: Order) -> bool:
    """Whether these groups are a stack of matrices that BLAS takes without a copy."""
    parts = [merged(tuple(held[index] for index in group)) for group in (batch, rows, columns)]
    if parts[0] is None or parts[1] is None or parts[2] is None:
        return False
    return is_matrix(parts[1], parts[2])


def _misfit(assembler: ProgramBuilder, form: MatmulLayout, ahead: Ahead) -> int:
    """Elements of the result that its consumer would have to copy."""
    if ahead.order is not None:
        wanted = tuple(index for index in ahead.order if index in form.result)
        return 0 if form.result == wanted else assembler.count(form.result)
    blocks: list[int] = []
    for index in form.result:
        block = 0 if index in ahead.batch else 1 if index in ahead.summed else 2
        if not blocks or blocks[-1] != block:
            blocks.append(block)
    fits = len(blocks) == len(set(blocks)) and blocks[-1:] != [0]
    return 0 if fits else assembler.count(form.result)


def _operand(
    assembler: ProgramBuilder, value: Value, batch: Order, rows: Order, columns: Order
) -> Value:
    """The value as a matrix, or a stack of matrices where there are batch indices.

    One that carries none of them is repeated along them: a view of stride 0.
    """
    carried = set(_indices(value))
    repeated = bool(batch) and not carried.intersection(batch)
    groups: tuple[Order, ...] = (rows, columns)
    if repeated and assembler.length(batch).names and assembler.count(carried) >= SUMMED:
        groups = ((), rows, columns)
    elif batch and not repeated:
        groups = (batch, rows, columns)
    if _fits(assembler.runs(value), () if repeated else batch, rows, columns):
        arranged = assembler.arrange(value, groups)
    else:
        flat = tuple((index,) for group in groups for index in group)
        order = tuple(value.axes.index(axis) for axis in flat)
        arranged = assembler.copy(assembler.permute(value, order), groups)
    if not repeated:
        return arranged
    if len(groups) == 3:
        return assembler.expand(arranged, (batch, rows, columns))
    return assembler.repeat(arranged, batch)
