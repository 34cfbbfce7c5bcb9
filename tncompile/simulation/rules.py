"""The cost of each operation and of its derivative, as torch and autograd run them.

A rule allocates what the operation allocates, counts its work, and returns an `OpResult`. A tensor
returned by a rule has one more holder than before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tncompile.program import operations as op
from tncompile.program.registry import Registry
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.strides import (
    batch_takes,
    blas_takes,
    elementwise_strides,
    iterated_strides,
)
from tncompile.simulation.tensors import Shape, SymbolicTensor

WORTH_CONTIGUOUS = 2**14
"""Elements from which a gradient is worth a call that makes it contiguous."""

Gradients = list[SymbolicTensor | None]
Backward = Callable[[Gradients], Gradients]


@dataclass(frozen=True, slots=True)
class OpResult:
    """The first result of an operation, the tensors that autograd saves, and the derivative.

    `backward` maps the gradients of all results to one gradient per operand, None where it needs
    none.
    """

    result: SymbolicTensor
    saved: tuple[SymbolicTensor, ...] = ()
    backward: Backward = lambda gradients: []
    others: tuple[SymbolicTensor, ...] = ()  # results after the first


@dataclass(frozen=True, slots=True)
class Call:
    """An operation about to run; `shape` is that of its first result."""

    kernels: KernelModel
    operands: list[SymbolicTensor]
    requires_grad: tuple[bool, ...]  # of each operand
    shape: Shape


SIMULATED: Registry[OpResult] = Registry()
"""The rule of each operation: a function of its `Call` and the operation."""

simulates = SIMULATED.register


def only(gradients: Gradients) -> SymbolicTensor:
    """The gradient of an operation with one result."""
    (gradient,) = gradients
    assert gradient is not None
    return gradient


# ── views and copies ────────────────────────────────────────────────────────────────────────────


@simulates(op.View, op.Copy)
def _reshape(call: Call, _: op.View | op.Copy) -> OpResult:
    kernels, (source,) = call.kernels, call.operands

    def reshaped(tensor: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        result = kernels.reshape(tensor, shape)
        kernels.call(view=True)
        if result.allocation is not tensor.allocation:
            kernels.inner_call()  # a reshape that copies returns a view of the copy
        return result

    before = source.shape
    return OpResult(
        reshaped(source, call.shape), (), lambda gradients: [reshaped(only(gradients), before)]
    )


@simulates(op.Contiguous)
def _contiguous(call: Call, _: op.Contiguous) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    kernels.call(view=source.contiguous)
    keep = kernels.memory.keep
    result = keep(source) if source.contiguous else kernels.clone(source)
    return OpResult(result, (), lambda gradients: [keep(only(gradients))])


@simulates(op.Permute)
def _permute(call: Call, operation: op.Permute) -> OpResult:
    kernels, order = call.kernels, operation.order

    def permuted(tensor: SymbolicTensor, order: tuple[int, ...]) -> SymbolicTensor:
        kernels.call(view=True)
        shape, strides = (tuple(each[k] for k in order) for each in (tensor.shape, tensor.strides))
        return kernels.view(tensor, shape, strides)

    inverse = tuple(order.index(k) for k in range(len(order)))
    return OpResult(
        permuted(call.operands[0], order),
        (),
        lambda gradients: [permuted(only(gradients), inverse)],
    )


@simulates(op.Expand)
def _expand(call: Call, _: op.Expand) -> OpResult:
    kernels, (source,), shape = call.kernels, call.operands, call.shape
    kernels.call(view=True)
    before, added = source.shape, len(shape) - len(source.shape)
    wide = source.as_strided((1,) * added + before, (0,) * added + source.strides)

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        gradient = kernels.sum_to(only(gradients), wide.shape, added)
        return [gradient.as_strided(before, gradient.strides[added:])]

    return OpResult(kernels.repeat(wide, shape), (), backward)


@simulates(op.ContiguousGrad)
def _contiguous_grad(call: Call, _: op.ContiguousGrad) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    kernels.call()

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.call()
        return [kernels.memory.keep(gradient) if gradient.contiguous else kernels.clone(gradient)]

    return OpResult(kernels.memory.keep(source), (), backward)


@simulates(op.Slice)
def _slice(call: Call, operation: op.Slice) -> OpResult:
    strides = list(call.operands[0].strides)
    strides[operation.axis] *= operation.step
    return _part(call, tuple(strides))


@simulates(op.Select)
def _select(call: Call, operation: op.Select) -> OpResult:
    strides, axis = call.operands[0].strides, operation.axis
    return _part(call, strides[:axis] + strides[axis + 1 :])


def _part(call: Call, strides: Shape) -> OpResult:
    """A view of a part, whose gradient is as large as all of its source."""
    kernels, (source,) = call.kernels, call.operands
    kernels.call(view=True)
    before = source.shape

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        result = kernels.zeros(before)
        kernels.stream(only(gradients), only(gradients))
        return [result]

    return OpResult(kernels.view(source, call.shape, strides), (), backward)


@simulates(op.Pad)
def _pad(call: Call, _: op.Pad) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    result = kernels.new(call.shape, source.width)
    kernels.call()
    kernels.copied(result)
    before = source.shape

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        gradient = only(gradients)
        return [kernels.clone(gradient.as_strided(before, gradient.strides))]

    return OpResult(result, (), backward)


# ── stacks ──────────────────────────────────────────────────────────────────────────────────────


@simulates(op.Stack)
def stack(call: Call, _: op.Stack | op.StackParameters) -> OpResult:
    """`torch.stack`: a copy; the gradients of its operands are slices of its own."""
    kernels, operands, profile = call.kernels, call.operands, call.kernels.profile
    result = kernels.new((len(operands), *operands[0].shape), operands[0].width)
    kernels.call()
    kernels.copied(result, operands[0].count)
    kernels.work.spend(profile.member * len(operands))

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.call()
        kernels.work.spend(profile.backward_member * sum(call.requires_grad))
        shape, strides = gradient.shape[1:], gradient.strides[1:]
        return [
            kernels.view(gradient, shape, strides) if needed else None
            for needed in call.requires_grad
        ]

    return OpResult(result, (), backward)


@simulates(op.Cat)
def concatenate(call: Call, _: op.Cat | op.ConcatChunks) -> OpResult:
    """`torch.cat`: a copy; the gradients of its operands are views of its own."""
    kernels = call.kernels
    result = kernels.new(call.shape, call.operands[0].width)
    kernels.call()
    kernels.copied(result)
    shapes = [tensor.shape for tensor in call.operands]

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.call()
        return [
            kernels.view(gradient, shape, gradient.strides) if needed else None
            for shape, needed in zip(shapes, call.requires_grad, strict=True)
        ]

    return OpResult(result, (), backward)


@simulates(op.Unbind)
def _unbind(call: Call, operation: op.Unbind) -> OpResult:
    (source,), axis = call.operands, operation.axis
    shape = source.shape[:axis] + source.shape[axis + 1 :]
    strides = source.strides[:axis] + source.strides[axis + 1 :]
    shapes = [shape] * source.shape[axis]
    return _divided(call, shapes, strides, math.prod(shape[axis:]), shared_zeros=True)


@simulates(op.Split)
def _split(call: Call, operation: op.Split) -> OpResult:
    (source,), axis = call.operands, operation.axis
    before, after = source.shape[:axis], source.shape[axis + 1 :]
    shapes = [(*before, length, *after) for length in operation.lengths]
    run = min(math.prod(shape[axis:]) for shape in shapes)
    return _divided(call, shapes, source.strides, run, shared_zeros=False)


def _divided(
    call: Call, shapes: list[Shape], strides: Shape, run: int, *, shared_zeros: bool
) -> OpResult:
    """Views that make up all of a tensor; `run` elements of each are contiguous in it.

    Their gradients are joined. Zeros stand in for gradients that never came; with `shared_zeros`
    one tensor of zeros serves all of them.
    """
    kernels, (source,), profile = call.kernels, call.operands, call.kernels.profile
    kernels.call(view=True)
    kernels.work.spend(profile.member * len(shapes))

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        absent = [
            shape for shape, gradient in zip(shapes, gradients, strict=True) if gradient is None
        ]
        zeros = [kernels.zeros(shape) for shape in (absent[:1] if shared_zeros else absent)]
        result = kernels.new(source.shape)
        kernels.copied(result, run)
        kernels.work.spend(profile.backward_member * len(shapes))
        for tensor in zeros:
            kernels.memory.free(tensor)
        return [result]

    first, *others = (kernels.view(source, shape, strides) for shape in shapes)
    return OpResult(first, (), backward, tuple(others))


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────


def _transposed(matrix: SymbolicTensor) -> SymbolicTensor:
    """The transposed matrix or matrices, which hold no memory of their own."""
    shape, strides = matrix.shape, matrix.strides
    return matrix.as_strided(
        (*shape[:-2], shape[-1], shape[-2]), (*strides[:-2], strides[-1], strides[-2])
    )


def _gets_column_major_gradient(matrix: SymbolicTensor) -> bool:
    """Whether autograd gives a matrix a column-major gradient; never a stack of matrices."""
    return len(matrix.shape) == 2 and matrix.strides == (1, matrix.shape[0])


@simulates(op.MatMul)
def _matmul(call: Call, operation: op.MatMul) -> OpResult:
    return _product(call) if operation.bias is None else _biased_product(call)


def _product(call: Call) -> OpResult:
    kernels, (left, right) = call.kernels, call.operands[:2]
    left_needed, right_needed = call.requires_grad[:2]
    kernels.call()
    saved = (*((left,) if right_needed else ()), *((right,) if left_needed else ()))
    taken_as_is = batch_takes if len(left.shape) > 2 else blas_takes

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.noncontiguous_gradient = (
            not taken_as_is(gradient) and gradient.count >= WORTH_CONTIGUOUS
        )
        to_left: SymbolicTensor | None = None
        to_right: SymbolicTensor | None = None
        kernels.call()
        if left_needed and right_needed:
            kernels.inner_call()
        if left_needed:
            if _gets_column_major_gradient(left):
                to_left = _transposed(kernels.matmul(right, _transposed(gradient)))
            else:
                to_left = kernels.matmul(gradient, _transposed(right))
        if right_needed:
            if _gets_column_major_gradient(right):
                to_right = _transposed(kernels.matmul(_transposed(gradient), left))
            else:
                to_right = kernels.matmul(_transposed(left), gradient)
        return [to_left, to_right]

    return OpResult(kernels.matmul(left, right), saved, backward)


def _biased_product(call: Call) -> OpResult:
    """`addmm`: it writes the bias to the result first; the gradient of a bias sums over rows."""
    kernels, (left, _, bias) = call.kernels, call.operands
    product = _product(call)
    result = product.result
    kernels.stream(result, flops=result.count)
    shape, added = bias.shape, len(left.shape) - len(bias.shape)

    def backward(gradients: Gradients) -> Gradients:
        *factors_needed, bias_needed = call.requires_grad
        factors = product.backward(gradients) if any(factors_needed) else [None, None]
        if not bias_needed:
            return [*factors, None]
        gradient = kernels.memory.keep(only(gradients))
        summed = _unbroadcast(kernels, gradient, (1,) * added + shape)
        return [*factors, summed.as_strided(shape, summed.strides[added:])]

    return OpResult(result, product.saved, backward)


@simulates(op.Multiply)
def _multiply(call: Call, _: op.Multiply) -> OpResult:
    kernels, (left, right) = call.kernels, call.operands
    left_needed, right_needed = call.requires_grad

    def product(one: SymbolicTensor, other: SymbolicTensor) -> SymbolicTensor:
        result = kernels.elementwise(one, other)
        kernels.work.multiply_adds += result.count
        return result

    kernels.call()
    saved = (*((left,) if right_needed else ()), *((right,) if left_needed else ()))

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.call(view=True)
        wide: Gradients = []
        for needed, other in ((left_needed, right), (right_needed, left)):
            if needed:
                kernels.inner_call()
            wide.append(product(gradient, other) if needed else None)
        return [
            None if tensor is None else _unbroadcast(kernels, tensor, source.shape)
            for tensor, source in zip(wide, (left, right), strict=True)
        ]

    return OpResult(product(left, right), saved, backward)


def _unbroadcast(kernels: KernelModel, gradient: SymbolicTensor, shape: Shape) -> SymbolicTensor:
    """A gradient summed over the axes that were repeated; the one before is freed."""
    result = kernels.sum_to(gradient, shape)
    if result.allocation is not gradient.allocation:
        kernels.inner_call()
    kernels.memory.free(gradient)
    return result


@simulates(op.Add)
def _add(call: Call, _: op.Add) -> OpResult:
    kernels, (left, right) = call.kernels, call.operands
    kernels.call()
    shapes = (left.shape, right.shape)

    def backward(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        kernels.call(view=True)
        return [
            _unbroadcast(kernels, kernels.memory.keep(gradient), shape) if needed else None
            for needed, shape in zip(call.requires_grad, shapes, strict=True)
        ]

    return OpResult(kernels.elementwise(left, right), (), backward)


@simulates(op.Sum)
def _sum(call: Call, operation: op.Sum) -> OpResult:
    kernels, (source,), axes = call.kernels, call.operands, operation.axes
    kernels.call()
    before = source.shape

    def backward(gradients: Gradients) -> Gradients:
        kernels.call(view=True)
        gradient = only(gradients)
        remaining = iter(gradient.strides)
        strides = tuple(0 if k in axes else next(remaining) for k in range(len(before)))
        return [kernels.view(gradient, before, strides)]

    return OpResult(kernels.sum(source, axes), (), backward)


@simulates(op.Times)
def _times(call: Call, _: op.Times) -> OpResult:
    kernels = call.kernels

    def scaled(tensor: SymbolicTensor) -> SymbolicTensor:
        kernels.call()
        result = kernels.new(tensor.shape, tensor.width)
        kernels.stream(tensor, result, flops=tensor.count)
        return result

    return OpResult(scaled(call.operands[0]), (), lambda gradients: [scaled(only(gradients))])


@simulates(op.Magnitude)
def _magnitude(call: Call, _: op.Magnitude) -> OpResult:
    """`abs`, `amax` and `clamp`."""
    kernels, (source,) = call.kernels, call.operands
    for _call in range(3):
        kernels.call()
    absolute = kernels.new(source.shape)
    kernels.stream(source, absolute, flops=source.count)
    result = kernels.new(call.shape)
    kernels.stream(absolute, flops=source.count)
    kernels.memory.free(absolute)
    return OpResult(result)


@simulates(op.Divide)
def _divide(call: Call, _: op.Divide) -> OpResult:
    kernels, (source, scale) = call.kernels, call.operands
    kernels.call()

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        return [kernels.elementwise(only(gradients), scale), None]

    return OpResult(kernels.elementwise(source, scale), (scale,), backward)


@simulates(op.Log)
def _log(call: Call, _: op.Log) -> OpResult:
    call.kernels.call()
    return OpResult(call.kernels.new(call.shape))


# ── tables, ids and constants ───────────────────────────────────────────────────────────────────


@simulates(op.IndexSelect, op.Gather)
def select_rows(call: Call, _: op.IndexSelect | op.Gather) -> OpResult:
    """Rows of a table by ids, which come second."""
    return _looked_up(call, call.kernels.new(call.shape, call.operands[0].width))


@simulates(op.Embedding)
def _embedding(call: Call, _: op.Embedding) -> OpResult:
    table, ids = call.operands
    strides: Shape | None = None
    if len(ids.shape) > 1:  # leading axes lie in the order of those of the ids
        rows = (0,) * len(ids.shape) + table.strides[1:]
        by_id = ids.strides + (0,) * (len(table.shape) - 1)
        strides = iterated_strides(call.shape, [rows, by_id])
    return _looked_up(call, call.kernels.new(call.shape, table.width, strides))


def _looked_up(call: Call, result: SymbolicTensor) -> OpResult:
    """Fill `result` with rows of a table; the gradient of the table begins as zeros."""
    kernels, (table, *ids) = call.kernels, call.operands
    kernels.call()
    size, row_bytes = result.count * result.width, table.width * math.prod(table.shape[1:])
    kernels.work.copied += size
    kernels.work.moved += 2 * size
    kernels.work.seconds += kernels.profile.gather_seconds(size, row_bytes) if size else 0.0
    before, others = table.shape, len(call.requires_grad) - 1

    def backward(gradients: Gradients) -> Gradients:
        kernels.call()
        to_table = kernels.zeros(before)
        gradient = only(gradients)
        kernels.work.flops += gradient.count
        kernels.work.moved += gradient.bytes
        if gradient.bytes:
            kernels.work.seconds += kernels.profile.scatter_seconds(gradient.bytes, row_bytes)
        return [to_table, *[None] * others]

    return OpResult(result, tuple(ids), backward)


@simulates(op.UnravelIndex)
def _unravel(call: Call, operation: op.UnravelIndex) -> OpResult:
    """A division and a remainder, either of which may be missing."""
    kernels, (source,) = call.kernels, call.operands
    result = kernels.memory.keep(source)
    for _ in range((operation.divisor != 1) + (not operation.last)):
        previous, result = result, _id_pass(kernels, result)
        kernels.memory.free(previous)
    return OpResult(result)


def _id_pass(kernels: KernelModel, ids: SymbolicTensor) -> SymbolicTensor:
    kernels.call()
    result = kernels.new(ids.shape, ID_WIDTH, elementwise_strides(ids.shape, (ids,)))
    kernels.stream(ids, result)
    return result


@simulates(op.RavelIndex)
def _ravel(call: Call, _: op.RavelIndex) -> OpResult:
    """`major * size + minor`."""
    kernels, (major, minor), shape = call.kernels, call.operands, call.shape
    kernels.call()
    scaled = _id_pass(kernels, major)
    result = kernels.new(shape, ID_WIDTH, elementwise_strides(shape, (scaled, minor)))
    kernels.stream(scaled, minor, result)
    kernels.memory.free(scaled)
    return OpResult(result)


@simulates(op.Arange)
def _arange(call: Call, _: op.Arange) -> OpResult:
    call.kernels.call()
    return OpResult(call.kernels.new(call.shape, ID_WIDTH))


@simulates(op.OneHot, op.Mask)
def _from_flags(call: Call, _: op.OneHot | op.Mask) -> OpResult:
    kernels = call.kernels
    kernels.call()
    flags = kernels.new(call.shape, 1)
    result = kernels.new(call.shape)
    kernels.stream(flags, result)
    kernels.memory.free(flags)
    return OpResult(result)


@simulates(op.Ones)
def _ones(call: Call, _: op.Ones) -> OpResult:
    call.kernels.call()
    return OpResult(call.kernels.zeros(call.shape))
