"""Strides that torch gives to results, and what BLAS takes."""

from __future__ import annotations

from tncompile.simulation.tensors import Shape, SymbolicTensor


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


def elementwise_strides(shape: Shape, operands: tuple[SymbolicTensor, ...]) -> Shape:
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


def broadcast_strides(ghost: SymbolicTensor, shape: Shape) -> Shape:
    """Its strides when repeated to a shape of equal rank: 0 along what is repeated."""
    return tuple(
        0 if length == 1 and wide != 1 else stride
        for length, stride, wide in zip(ghost.shape, ghost.strides, shape, strict=True)
    )


def blas_takes(ghost: SymbolicTensor) -> bool:
    """Whether a matrix is taken by `mm` without a copy: one stride 1, the other wide enough."""
    (rows, columns), (down, along) = ghost.shape[-2:], ghost.strides[-2:]
    return (along == 1 and down >= max(1, columns)) or (down == 1 and along >= max(1, rows))


def batch_takes(ghost: SymbolicTensor) -> bool:
    """Whether `bmm` takes a stack of matrices as it is."""
    (rows, columns), (down, along) = ghost.shape[-2:], ghost.strides[-2:]
    return (along == 1 and (rows == 1 or down >= columns)) or (
        down == 1 and (columns == 1 or along >= rows)
    )


def column_major(ghost: SymbolicTensor) -> bool:
    """Whether a matrix, or a stack of matrices, goes to BLAS as a transposed one."""
    columns, (down, along) = ghost.shape[-1], ghost.strides[-2:]
    return not (along == 1 and down >= max(1, columns)) and down == 1


def shared_run(ghost: SymbolicTensor, strides: Shape) -> int:
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
