"""Symbolic tensors: shapes, strides and memory as torch on a CPU would have them, without data.

Of strides there are those that torch gives to results, those of matrices that BLAS takes, and the
contiguous runs of copies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tncompile.program.layout import Product, fastest_first, is_transposed

Shape = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Allocation:
    """Memory that is freed with its last holder."""

    size: int  # bytes
    holders: int = 0


@dataclass(slots=True, eq=False)
class SymbolicTensor:
    """A view of an allocation; `width` is the bytes of an element.

    Torch conjugates complex tensors by a mark, and computes it where an operation has to know.
    Nothing assigns to its fields; a search makes millions, and frozen they take thrice as long.
    """

    shape: Shape
    strides: Shape
    allocation: Allocation
    width: int
    conjugate: bool = False

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """The bytes of its elements, those that an expanded axis repeats counted once."""
        size = self.width
        for length, stride in zip(self.shape, self.strides, strict=True):
            if stride:
                size *= length
        return size

    @property
    def contiguous(self) -> bool:
        """Whether it is row-major without gaps."""
        step = 1
        for length, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if length != 1:
                if stride != step:
                    return 0 in self.shape
                step *= max(length, 1)
        return True

    @property
    def dense(self) -> bool:
        """Whether it has neither gaps nor overlap, in any order of axes."""
        run = 1
        for stride, length in sorted(zip(self.strides, self.shape, strict=True)):
            if length != 1:
                if stride != run:
                    return False
                run *= length
        return True

    def as_strided(self, shape: Shape, strides: Shape) -> SymbolicTensor:
        """The same memory with other axes, no further holder of it."""
        return SymbolicTensor(shape, strides, self.allocation, self.width, self.conjugate)

    def conjugated(self) -> SymbolicTensor:
        """The same memory with the other mark, no further holder of it."""
        return replace(self, conjugate=not self.conjugate)


class Allocator:
    """Bytes alive, their peak, and the bytes that the operating system newly handed out.

    It works as glibc's: an allocation of `fresh` bytes or more is always new memory; smaller ones
    come from a heap that returns its free end where that exceeds `kept` bytes.
    """

    def __init__(self, fresh: int, kept: int) -> None:
        self.live = 0
        self.peak = 0
        self.faulted = 0
        self._fresh = fresh
        self._kept = kept
        self._heap = 0  # bytes alive in smaller allocations
        self._resident = 0  # bytes of the heap, free or not
        self._at_baseline = False

    def mark_baseline(self) -> None:
        """Start counting: what is alive was there before, and earlier runs left `kept` bytes."""
        self.faulted = 0
        self._resident = self._heap + self._kept
        self._at_baseline = True

    def new(self, shape: Shape, width: int, strides: Shape | None = None) -> SymbolicTensor:
        """A newly allocated tensor with one holder, row-major unless there are strides."""
        allocation = Allocation(width * math.prod(shape), 1)
        self.live += allocation.size
        if self.live > self.peak:
            self.peak = self.live
        if allocation.size >= self._fresh:
            self.faulted += allocation.size
        else:
            self._heap += allocation.size
            if self._heap > self._resident:
                self.faulted += self._heap - self._resident
                if self._at_baseline:  # a run that outgrows the heap returns half of it at its end
                    self.faulted += self._kept // 2
                    self._at_baseline = False
                self._resident = self._heap
        if strides is None:
            strides = contiguous_strides(shape)
        return SymbolicTensor(shape, strides, allocation, width)

    def received(self, shape: Shape, width: int) -> SymbolicTensor:
        """A tensor that another module made, in memory that was there before."""
        self._resident += width * math.prod(shape)
        return self.new(shape, width)

    def keep(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """Add a holder."""
        tensor.allocation.holders += 1
        return tensor

    def free(self, tensor: SymbolicTensor) -> None:
        """Remove a holder; the allocation is freed with the last one."""
        allocation = tensor.allocation
        allocation.holders -= 1
        if allocation.holders == 0:
            self.live -= allocation.size
            if allocation.size < self._fresh:
                self._heap -= allocation.size
                if self._resident - self._heap > self._kept:
                    self._resident = self._heap


def contiguous_strides(shape: Shape) -> Shape:
    """The strides of a row-major tensor.

    >>> contiguous_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides: list[int] = []
    step = 1
    for length in reversed(shape):
        strides.append(step)
        step *= length or 1
    return tuple(strides[::-1])


def viewed_strides(shape: Shape, strides: Shape, target: Shape) -> Shape | None:
    """The strides of the same memory in the target shape; None where that takes a copy.

    >>> viewed_strides((6, 4), (4, 1), (2, 3, 4))
    (12, 4, 1)
    >>> viewed_strides((4, 6), (1, 4), (24,)) is None
    True
    """
    if not shape:
        return (1,) * len(target)
    result = [1] * len(target)
    axis = len(target) - 1
    # Axes from `k` on that lie at one stride `base` are `run` elements, of which target axes from
    # `axis` on have covered `covered`.
    base, run, covered = strides[-1], 1, 1
    for k in range(len(shape) - 1, -1, -1):
        run *= shape[k]
        if k and (shape[k - 1] == 1 or strides[k - 1] == run * base):
            continue
        while axis >= 0 and (covered < run or target[axis] == 1):
            result[axis] = covered * base
            covered *= target[axis]
            axis -= 1
        if covered != run:
            return None
        if k:
            base, run, covered = strides[k - 1], 1, 1
    return tuple(result) if axis < 0 else None


def elementwise_strides(shape: Shape, operands: tuple[SymbolicTensor, ...]) -> Shape:
    """The strides of an elementwise result, whose axes are ordered as those of its operands.

    >>> transposed = Allocator(2**25, 2**26).new((2, 3), 4, (1, 2))
    >>> elementwise_strides((2, 3), (transposed, transposed))
    (1, 2)
    """
    return iterated_strides(shape, [broadcast_strides(tensor, shape) for tensor in operands])


def iterated_strides(shape: Shape, operands: list[Shape]) -> Shape:
    """The strides that torch's `TensorIterator` gives to a result, from those of its operands."""
    strides, step = [0] * len(shape), 1
    for axis in fastest_first(shape, operands):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def broadcast_strides(tensor: SymbolicTensor, shape: Shape) -> Shape:
    """The strides of a tensor expanded to a shape of equal rank: 0 along repeated axes."""
    if tensor.shape == shape:
        return tensor.strides
    return tuple(
        [
            0 if length == 1 and wide != 1 else stride
            for length, stride, wide in zip(tensor.shape, tensor.strides, shape, strict=True)
        ]
    )


def blas_takes(matrices: SymbolicTensor, call: Product) -> bool:
    """Whether `mm` takes a matrix, each one of a stack, or `bmm` a stack without a copy."""
    rows, columns = zip(matrices.shape[-2:], matrices.strides[-2:], strict=True)
    return is_transposed(rows, columns, 1, call) is not None


def column_major(matrices: SymbolicTensor) -> bool:
    """Whether a matrix, or a stack of matrices, goes to BLAS as a transposed one."""
    rows, columns = zip(matrices.shape[-2:], matrices.strides[-2:], strict=True)
    return is_transposed(rows, columns, 1, "mm") is True


def shared_run(tensor: SymbolicTensor, strides: Shape) -> int:
    """The elements that are contiguous both in a tensor and in a copy with these strides.

    >>> shared_run(Allocator(2**25, 2**26).new((6, 4, 8), 4, (8, 48, 1)), (32, 8, 1))
    8
    """
    run = 1
    axes = sorted((step, k) for k, step in enumerate(strides) if tensor.shape[k] != 1)
    for step, k in axes:
        if step != run or tensor.strides[k] != run:
            break
        run *= tensor.shape[k]
    return run


def common_run(shape: Shape, strides: Shape, operands: list[Shape]) -> int:
    """The elements in the inner loop of an elementwise call.

    `strides` are those of the result, `operands` those of its operands: 0 where one is repeated.

    >>> common_run((5, 3, 4), (12, 4, 1), [(12, 4, 1), (0, 4, 1)])
    12
    """
    run = 1
    axes = sorted((step, k) for k, step in enumerate(strides) if shape[k] != 1)
    first = axes[0][1] if axes else 0
    for step, k in axes:
        contiguous = all(operand[k] == operand[first] * run for operand in operands)
        if step != run or not contiguous:
            break
        run *= shape[k]
    return run
