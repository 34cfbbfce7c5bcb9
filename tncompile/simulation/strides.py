"""Strides that torch gives to results, matrices that BLAS takes, contiguous runs of copies."""

from __future__ import annotations

from tncompile.program.layout import Product, fastest_first, is_transposed
from tncompile.simulation.tensors import Shape, SymbolicTensor


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
    return tuple(
        0 if length == 1 and wide != 1 else stride
        for length, stride, wide in zip(tensor.shape, tensor.strides, shape, strict=True)
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
