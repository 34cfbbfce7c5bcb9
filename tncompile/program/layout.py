"""Symbolic layouts: which axes can be merged, split and multiplied without a copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeVar

from tncompile.program import operations as op
from tncompile.program.operation import Operation
from tncompile.program.program import ONE, Extent, Value

Shape = tuple[Extent, ...]

Length = TypeVar("Length", int, Extent)

Axis = tuple[Length, Length]
"""Length and stride of an axis or of an index, as numbers or for all run-time sizes."""

Product = Literal["mm", "bmm"]
"""The functions of torch that multiply matrices."""


LONG = 8
"""The size that every run-time axis has where only its being longer than 1 counts."""


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


def channels_last(shape: tuple[Extent, ...], channels: int = 1) -> tuple[Extent, ...]:
    """The strides of (N, channels, lengths…) with the channels innermost.

    >>> [stride.factor for stride in channels_last((Extent(2), Extent(3), Extent(4)))]
    [12, 1, 3]
    """
    order = [*(k for k in range(len(shape)) if k != channels), channels]
    strides = contiguous(tuple(shape[k] for k in order))
    return tuple(strides[order.index(k)] for k in range(len(shape)))


def lies_channels_last(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether torch takes (N, channels, lengths…) of two or three lengths for channels-last.

    Its own rule (`c10/core/MemoryFormat.h`), in which the strides of axes of length 1 count, too.
    """
    if len(shape) not in (4, 5) or strides[1] == 0:
        return False
    least = 0
    for axis in (1, *range(len(shape) - 1, 1, -1), 0):
        if shape[axis] == 0 or strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * max(shape[axis], 1)
    return True


def convolves_channels_last(
    source: Sequence[int], strides: Sequence[int], weight: Sequence[int], steps: Sequence[int]
) -> bool:
    """Whether torch convolves with the channels innermost, from the shapes and strides of both.

    Either operand can ask for it, so a weight that lies so makes the result channels-last whatever
    the source is. Along one axis the source is made row major first, and only the weight can.
    """
    if len(source) == 3:
        first, second, length = weight
        wide = (steps[0], steps[1], length * steps[2], steps[2])
        return lies_channels_last((first, second, 1, length), wide)
    return lies_channels_last(source, strides) or lies_channels_last(weight, steps)


def results_channels_last(source: Value, weight: Value) -> bool:
    """Whether a convolution of two values is channels-last, where run-time axes are long."""
    sizes = defaultdict[str, int](lambda: LONG)
    extents = source.shape, source.strides, weight.shape, weight.strides
    return convolves_channels_last(*([each.at(sizes) for each in four] for four in extents))


def runs(value: Value, lengths: Mapping[str, Extent]) -> dict[str, Axis[Extent]]:
    """Every index of a value with its own length and stride, flattened axes split."""
    runs_of: dict[str, Axis[Extent]] = {}
    for axis, step in zip(value.axes, value.strides, strict=True):
        runs_of |= dict.fromkeys(axis, (ONE, ONE))  # in the order of the indices
        for index in reversed(axis):
            runs_of[index] = lengths[index], step
            step = step * lengths[index]
    return runs_of


def merged(axes: Iterable[Axis[Length]], one: Length) -> Axis[Length] | None:
    """The axis that these form together; None where it takes a copy. `one` is the length 1."""
    whole, step = one, one
    for length, stride in axes:
        if length != one:
            if whole != one and step != stride * length:
                return None
            whole, step = whole * length, stride
    return whole, step


def as_matrix(
    runs: Mapping[str, Axis[Length]], groups: Iterable[Iterable[str]], one: Length
) -> bool | None:
    """Whether BLAS takes indices grouped as batch, rows and columns transposed; None: a copy."""
    axes: list[Axis[Length]] = []
    for group in groups:
        if (axis := merged([runs[index] for index in group], one)) is None:
            return None
        axes.append(axis)
    return is_transposed(axes[1], axes[2], one)


def is_transposed(
    rows: Axis[Length], columns: Axis[Length], one: Length, call: Product | None = None
) -> bool | None:
    """Whether BLAS takes a matrix of these axes transposed; None where it takes a copy."""
    if is_row_major(rows, columns, one, call):
        return False
    return True if is_row_major(columns, rows, one, call) else None


def is_row_major(
    rows: Axis[Length], columns: Axis[Length], one: Length, call: Product | None = None
) -> bool:
    """Whether the columns of a matrix lie side by side and its rows do not overlap.

    An axis of length 1 may lie anyhow, but for a `call` of torch with such strides: `mm` compares
    those of both axes before it looks at lengths, `bmm` that of the columns.
    """
    if columns[1] != one and (call is not None or columns[0] != one):
        return False
    if call != "mm" and rows[0] == one:
        return True
    stride, length = rows[1], columns[0]
    if isinstance(stride, int):
        return stride >= length
    return stride.factor >= length.factor and set(length.names) <= set(stride.names)


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

    Strides are compared at `sizes`; an axis along which an operand broadcasts counts as 0.
    """
    operand_strides = [
        tuple(
            0 if own == ONE and length != ONE else stride.at(sizes)
            for own, length, stride in zip(value.shape, shape, value.strides, strict=True)
        )
        for value in operands
    ]
    strides, step = [ONE] * len(shape), ONE
    for axis in fastest_first([length.at(sizes) for length in shape], operand_strides):
        strides[axis] = step
        step = step * shape[axis]
    return tuple(strides)


def fastest_first(shape: Sequence[int], operands: Sequence[Sequence[int]]) -> list[int]:
    """The axes of an elementwise result as torch's `TensorIterator` orders them in memory.

    Two axes are ordered by the first of the operands' strides that tell them apart; a stride of 0
    tells nothing.
    """

    def comparison(first: int, second: int) -> int:
        """-1 where the first axis is the faster one, 1 where the second is, 0 where none tells."""
        for strides in operands:
            if strides[first] == 0 or strides[second] == 0:
                continue
            if strides[first] != strides[second]:
                return -1 if strides[first] < strides[second] else 1
            if shape[first] > shape[second]:
                return 1
        return 0

    order = list(range(len(shape) - 1, -1, -1))
    for start in range(1, len(order)):
        moving = start
        for other in range(start - 1, -1, -1):
            compared = comparison(order[other], order[moving])
            if compared < 0:
                break
            if compared > 0:
                order[other], order[moving] = order[moving], order[other]
                moving = other
    return order


def equal_strides(stride: Extent, other: Extent) -> bool:
    """Whether two strides are the same; zero times any length is zero."""
    return stride == other or stride.factor == other.factor == 0


def view_strides(operation: Operation, source: Value, shape: Shape) -> Shape | None:
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
