"""Symbolic layouts: which axes can be merged, split and multiplied without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from tncompile.program import operations as op
from tncompile.program.program import ONE, Extent, Value, product

Shape = tuple[Extent, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """One index inside a layout: how long it is and how far apart its entries are."""

    index: str
    length: Extent
    stride: Extent


def contiguous(shape: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """The strides of a row-major tensor.

    >>> contiguous((Extent(2), Extent(3), Extent(4)))[0]
    Extent(factor=12, names=())
    """
    strides: list[Extent] = []
    step = ONE
    for length in reversed(shape):
        strides.append(step)
        step = step * length
    return tuple(reversed(strides))


def runs(value: Value, lengths: dict[str, Extent]) -> dict[str, Run]:
    """Every index of a value with its own length and stride, flattened axes split."""
    runs_of: dict[str, Run] = {}
    for axis, stride in zip(value.axes, value.strides, strict=True):
        step = stride
        inner: list[Run] = []
        for index in reversed(axis):
            inner.append(Run(index, lengths[index], step))
            step = step * lengths[index]
        runs_of.update((run.index, run) for run in reversed(inner))
    return runs_of


def merged(group: tuple[Run, ...]) -> tuple[Extent, Extent] | None:
    """Length and stride of the axis that these indices form; None where it takes a copy."""
    long = [run for run in group if run.length != ONE]
    for outer, inner in pairwise(long):
        if outer.stride != inner.stride * inner.length:
            return None
    length = product(tuple(run.length for run in long))
    return length, long[-1].stride if long else ONE


def is_matrix(rows: tuple[Extent, Extent], columns: tuple[Extent, Extent]) -> bool:
    """Whether BLAS takes a matrix of these (length, stride) pairs as it is, maybe transposed.

    One stride must be 1 and the other at least the length along the first.
    """
    return _row_major(rows, columns) or _row_major(columns, rows)


def _row_major(rows: tuple[Extent, Extent], columns: tuple[Extent, Extent]) -> bool:
    if columns[1] != ONE and columns[0] != ONE:
        return False
    return rows[0] == ONE or _covers(rows[1], columns[0])


def _covers(stride: Extent, length: Extent) -> bool:
    """Whether the stride is at least the length for every run-time size."""
    if not set(length.names) <= set(stride.names):
        return False
    return stride.factor >= length.factor


def along_nothing(shape: tuple[Extent, ...], strides: tuple[Extent, ...]) -> tuple[Extent, ...]:
    """Strides of a view; an axis of length 1 has that of all behind it, as torch gives it.

    It leads nowhere, but elementwise results are laid out by comparing strides.
    """
    extents: list[Extent] = []
    behind = ONE
    for length, stride in zip(reversed(shape), reversed(strides), strict=True):
        extents.append(behind if length == ONE else stride)
        behind = extents[-1] * length
    return tuple(reversed(extents))


def elementwise_strides(
    shape: tuple[Extent, ...], operands: tuple[Value, ...], sizes: Mapping[str, int]
) -> tuple[Extent, ...]:
    """The strides that torch gives to an elementwise result: the order of its operands, dense.

    Axes are sorted by the first operand that tells two of them apart, as `TensorIterator` does; an
    axis along which an operand broadcasts tells nothing. Strides are compared at `sizes`.
    """
    rank = len(shape)
    held = [
        tuple(
            0 if own == ONE and length != ONE else stride.at(sizes)
            for own, length, stride in zip(value.shape, shape, value.strides, strict=True)
        )
        for value in operands
    ]
    lengths = tuple(length.at(sizes) for length in shape)
    order = list(reversed(range(rank)))
    for k in range(1, rank):
        moving = k
        for other in range(k - 1, -1, -1):
            verdict = _slower(held, lengths, order[other], order[moving])
            if verdict < 0:
                break
            if verdict > 0:
                order[other], order[moving] = order[moving], order[other]
                moving = other
    strides = [ONE] * rank
    step = ONE
    for axis in order:
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def _slower(held: list[tuple[int, ...]], lengths: tuple[int, ...], one: int, other: int) -> int:
    """1 where axis `one` is slower than axis `other`, -1 where it is faster, 0 where unknown."""
    for strides in held:
        if strides[one] == 0 or strides[other] == 0:
            continue
        if strides[one] != strides[other]:
            return 1 if strides[one] > strides[other] else -1
        if lengths[one] > lengths[other]:
            return 1
    return 0


def equal_strides(stride: Extent, other: Extent) -> bool:
    """Whether two strides are the same; zero times any length is zero."""
    return stride == other or stride.factor == other.factor == 0


def view_strides(operation: op.Operation, source: Value, shape: Shape) -> Shape | None:
    """The strides of a view of this shape; None where it would take a copy."""
    strides = source.strides
    match operation:
        case op.View():
            return _reshaped(source, shape)
        case op.Expand():
            front = (ONE,) * (len(shape) - len(source.shape))
            lengths = zip(front + source.shape, shape, front + strides, strict=True)
            return tuple(stride if old == new else Extent(0) for old, new, stride in lengths)
        case op.Permute(_, _, order):
            return tuple(strides[k] for k in order)
        case op.Slice(_, _, axis, _, _, step):
            return (*strides[:axis], strides[axis] * Extent(step), *strides[axis + 1 :])
        case op.Select(_, _, axis, _) | op.Unbind(_, _, axis):
            return strides[:axis] + strides[axis + 1 :]
        case _:
            return strides


def _reshaped(source: Value, shape: Shape) -> Shape | None:
    """The strides of a source reshaped: its axes merged to the longest blocks, these divided."""
    blocks: list[tuple[Extent, Extent]] = []  # length and stride
    for length, stride in zip(source.shape, source.strides, strict=True):
        if length == ONE:
            continue
        if blocks and equal_strides(blocks[-1][1], stride * length):
            length = blocks.pop()[0] * length
        blocks.append((length, stride))
    strides: list[Extent] = []
    covered = ONE  # of the last block
    for length in reversed(shape):
        if blocks and covered == blocks[-1][0] and length != ONE:
            blocks.pop()
            covered = ONE
        strides.append(covered * blocks[-1][1] if blocks else ONE)
        covered = covered * length
    fits = len(blocks) == 1 and covered == blocks[0][0]
    return tuple(reversed(strides)) if fits or (not blocks and covered == ONE) else None
