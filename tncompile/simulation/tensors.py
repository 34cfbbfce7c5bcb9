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
class Block:
    """One allocation, freed when the last ghost lets go of it."""

    size: int  # bytes
    holders: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Ghost:
    """A tensor without data: a view of a block. `width` is the bytes of an element."""

    shape: Shape
    strides: Shape
    block: Block
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


class Memory:
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

    def new(self, shape: Shape, width: int, strides: Shape | None = None) -> Ghost:
        """A freshly allocated ghost, held once."""
        block = Block(width * math.prod(shape), 1)
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
        return Ghost(shape, contiguous_strides(shape) if strides is None else strides, block, width)

    def keep(self, ghost: Ghost) -> Ghost:
        """Hold it once more."""
        ghost.block.holders += 1
        return ghost

    def free(self, ghost: Ghost) -> None:
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


def viewed_strides(shape: Shape, strides: Shape, wanted: Shape) -> Shape | None:
    """The strides under which the same memory has another shape; None where that takes a copy.

    >>> viewed_strides((6, 4), (4, 1), (2, 3, 4))
    (12, 4, 1)
    >>> viewed_strides((4, 6), (1, 4), (24,)) is None
    True
    """
    if not shape:
        return (1,) * len(wanted)
    found = [1] * len(wanted)
    axis = len(wanted) - 1
    base, run, made = strides[-1], 1, 1
    for k in range(len(shape) - 1, -1, -1):
        run *= shape[k]
        if k and (shape[k - 1] == 1 or strides[k - 1] == run * base):
            continue
        while axis >= 0 and (made < run or wanted[axis] == 1):
            found[axis] = made * base
            made *= wanted[axis]
            axis -= 1
        if made != run:
            return None
        if k:
            base, run, made = strides[k - 1], 1, 1
    return tuple(found) if axis < 0 else None


def elementwise_strides(shape: Shape, operands: tuple[Ghost, ...]) -> Shape:
    """The layout that an elementwise result takes: the order of axes in which operands lie.

    >>> memory = Memory(2**25, 2**26)
    >>> turned = memory.new((2, 3), 4, (1, 2))
    >>> elementwise_strides((2, 3), (turned, turned))
    (1, 2)
    """
    return iterated_strides(shape, [broadcast_strides(ghost, shape) for ghost in operands])


def iterated_strides(shape: Shape, given: list[Shape]) -> Shape:
    """The layout that torch's iterator gives a result of operands with these strides."""
    order = list(range(len(shape) - 1, -1, -1))  # fastest axis first
    for start in range(1, len(order)):
        moving = start
        for other in range(start - 1, -1, -1):
            comparison = _compare(given, shape, order[other], order[moving])
            if comparison > 0:
                order[other], order[moving] = order[moving], order[other]
                moving = other
            elif comparison < 0:
                break
    strides = [0] * len(shape)
    step = 1
    for axis in order:
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def _compare(given: list[Shape], shape: Shape, first: int, second: int) -> int:
    """Which of two axes runs faster in the first operand that tells: -1 the first, 1 the second."""
    for strides in given:
        if strides[first] == 0 or strides[second] == 0:
            continue
        if strides[first] != strides[second]:
            return -1 if strides[first] < strides[second] else 1
        if shape[first] > shape[second]:
            return 1
    return 0


def broadcast_strides(ghost: Ghost, shape: Shape) -> Shape:
    """Its strides when repeated to a shape of equal rank: 0 along what is repeated."""
    return tuple(
        0 if length == 1 and wide != 1 else stride
        for length, stride, wide in zip(ghost.shape, ghost.strides, shape, strict=True)
    )


def blas_takes(ghost: Ghost) -> bool:
    """Whether a matrix is taken by `mm` without a copy: one stride 1, the other wide enough."""
    (rows, columns), (down, along) = ghost.shape[-2:], ghost.strides[-2:]
    return (along == 1 and down >= max(1, columns)) or (down == 1 and along >= max(1, rows))


def batch_takes(ghost: Ghost) -> bool:
    """Whether `bmm` takes a stack of matrices as it is."""
    (rows, columns), (down, along) = ghost.shape[-2:], ghost.strides[-2:]
    return (along == 1 and (rows == 1 or down >= columns)) or (
        down == 1 and (columns == 1 or along >= rows)
    )


def column_major(ghost: Ghost) -> bool:
    """Whether a matrix, or a stack of matrices, goes to BLAS as a transposed one."""
    columns, (down, along) = ghost.shape[-1], ghost.strides[-2:]
    return not (along == 1 and down >= max(1, columns)) and down == 1


def shared_run(ghost: Ghost, strides: Shape) -> int:
    """How many elements lie together both in a ghost and in a copy of it with these strides.

    >>> memory = Memory(2**25, 2**26)
    >>> shared_run(memory.new((6, 4, 8), 4, (8, 48, 1)), (32, 8, 1))
    8
    """
    run = 1
    axes = sorted((step, k) for k, step in enumerate(strides) if ghost.shape[k] != 1)
    for step, k in axes:
        if step != run or ghost.strides[k] != run:
            break
        run *= ghost.shape[k]
    return run


def common_run(shape: Shape, strides: Shape, operands: list[Shape]) -> int:
    """How many elements an elementwise call handles in its inner loop.

    `strides` are those of the result, `operands` those of what it reads: 0 where it is repeated.

    >>> common_run((5, 3, 4), (12, 4, 1), [(12, 4, 1), (0, 4, 1)])
    12
    """
    run = 1
    axes = sorted((step, k) for k, step in enumerate(strides) if shape[k] != 1)
    first = axes[0][1] if axes else 0
    for step, k in axes:
        together = all(held[k] == held[first] * run for held in operands)
        if step != run or not together:
            break
        run *= shape[k]
    return run
