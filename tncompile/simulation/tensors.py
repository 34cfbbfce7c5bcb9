"""Symbolic tensors: shapes, strides and memory as torch on a CPU would have them, without data."""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Allocation:
    """Memory that is freed with its last holder."""

    size: int  # bytes
    holders: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicTensor:
    """A view of an allocation; `width` is the bytes of an element."""

    shape: Shape
    strides: Shape
    allocation: Allocation
    width: int

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """The bytes of its elements, those that an expanded axis repeats counted once."""
        pairs = zip(self.shape, self.strides, strict=True)
        return self.width * math.prod(length for length, stride in pairs if stride != 0)

    @property
    def contiguous(self) -> bool:
        """Whether it is row-major without gaps."""
        row_major = contiguous_strides(self.shape)
        return self.count == 0 or all(
            length == 1 or stride == step
            for length, stride, step in zip(self.shape, self.strides, row_major, strict=True)
        )

    @property
    def dense(self) -> bool:
        """Whether it has neither gaps nor overlap, in any order of axes."""
        run = 1
        for stride, length in sorted(
            (stride, length)
            for length, stride in zip(self.shape, self.strides, strict=True)
            if length != 1
        ):
            if stride != run:
                return False
            run *= length
        return True

    def as_strided(self, shape: Shape, strides: Shape) -> SymbolicTensor:
        """The same memory with other axes, no further holder of it."""
        return SymbolicTensor(shape, strides, self.allocation, self.width)


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
        self.peak = max(self.peak, self.live)
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
        step *= max(length, 1)
    return tuple(reversed(strides))
