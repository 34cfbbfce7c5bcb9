"""Tensors without data: shapes, strides and memory as PyTorch on a CPU would have them.

A program is run on ghosts to learn what it allocates, copies and computes before anything exists.
The rules are those of torch's own kernels: which reshapes are views, which layout an elementwise
result takes, which matrices BLAS accepts as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Shape = tuple[int, ...]


@dataclass(slots=True, eq=False)
class Allocation:
    """One allocation, freed when the last ghost lets go of it."""

    size: int  # bytes
    holders: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SymbolicTensor:
    """A tensor without data: a view of a block. `width` is the bytes of an element."""

    shape: Shape
    strides: Shape
    block: Allocation
    width: int

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        """What its elements take; an expanded one counts what is really there."""
        pairs = zip(self.shape, self.strides, strict=True)
        return self.width * math.prod(length for length, stride in pairs if stride != 0)

    @property
    def contiguous(self) -> bool:
        """Whether its elements lie in row-major order without gaps."""
        due = contiguous_strides(self.shape)
        return self.count == 0 or all(
            length == 1 or have == want
            for length, have, want in zip(self.shape, self.strides, due, strict=True)
        )

    @property
    def dense(self) -> bool:
        """Whether its elements lie without gaps or overlap, in whatever order of axes."""
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


class Allocator:
    """Bytes alive, the most that ever were, and what the operating system had to hand out anew.

    As glibc's allocator does it: blocks of `fresh` bytes or more are always new memory; smaller
    ones come from a heap that gives its free end back where that is more than `kept` bytes.
    """

    def __init__(self, fresh: int, kept: int) -> None:
        self.live = 0
        self.peak = 0
        self.faulted = 0
        self._fresh = fresh
        self._kept = kept
        self._heap = 0  # bytes alive in smaller blocks
        self._resident = 0  # bytes of the heap that are there, free or not
        self._settled = False

    def settle(self) -> None:
        """What is alive now was there before; as much as may be kept of earlier runs is free."""
        self.faulted = 0
        self._resident = self._heap + self._kept
        self._settled = True

    def new(self, shape: Shape, width: int, strides: Shape | None = None) -> SymbolicTensor:
        """A freshly allocated ghost, held once."""
        block = Allocation(width * math.prod(shape), 1)
        self.live += block.size
        self.peak = max(self.peak, self.live)
        if block.size >= self._fresh:
            self.faulted += block.size
        else:
            self._heap += block.size
            if self._heap > self._resident:
                self.faulted += self._heap - self._resident
                if self._settled:  # what outgrows the heap gives back half of it in each run
                    self.faulted += self._kept // 2
                    self._settled = False
                self._resident = self._heap
        return SymbolicTensor(
            shape, contiguous_strides(shape) if strides is None else strides, block, width
        )

    def keep(self, ghost: SymbolicTensor) -> SymbolicTensor:
        """Hold it once more."""
        ghost.block.holders += 1
        return ghost

    def free(self, ghost: SymbolicTensor) -> None:
        """Let go of it once; its block goes with the last holder."""
        ghost.block.holders -= 1
        if ghost.block.holders == 0:
            self.live -= ghost.block.size
            if ghost.block.size < self._fresh:
                self._heap -= ghost.block.size
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
