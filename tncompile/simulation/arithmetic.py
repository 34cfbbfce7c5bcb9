"""The cost of products, sums and scalings, and of their derivatives: rules as those in `rules`."""

from __future__ import annotations

import math
from dataclasses import replace

from tncompile.program import operations as op
from tncompile.program.queries import WORTH_PARTS
from tncompile.program.registry import Registry
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Call, Gradients, OpResult
from tncompile.simulation.tensors import Shape, SymbolicTensor, blas_takes

WORTH_CONTIGUOUS = 2**14
"""Elements from which a gradient is worth a call that makes it contiguous."""

ARITHMETIC: Registry[OpResult] = Registry()

simulates = ARITHMETIC.register


def _saved_factors(call: Call) -> tuple[SymbolicTensor, ...]:
    """Each factor of a product that the gradient of the other one needs."""
    pairs = zip(call.operands[:2], reversed(call.requires_grad[:2]), strict=True)
    return tuple(operand for operand, needed in pairs if needed)


def _transposed(matrix: SymbolicTensor) -> SymbolicTensor:
    """The transposed matrix or matrices, which hold no memory of their own."""
    (*batch, rows, columns), (*steps, down, along) = matrix.shape, matrix.strides
    return matrix.as_strided((*batch, columns, rows), (*steps, along, down))


@simulates(op.MatMul)
def _matmul(call: Call, operation: op.MatMul) -> OpResult:
    kernels, (left, right) = call.kernels, call.operands[:2]
    memory = kernels.memory
    left_needed, right_needed = call.requires_grad[:2]
    kernels.call()
    converted = resolved = None
    parts = False  # whether both parts of `left` are multiplied, and joined then
    if kernels.is_complex(left) != kernels.is_complex(right):
        for _view in range(4):
            kernels.call(view=True)
        if kernels.is_complex(left) and min(right.shape[-2:]) >= WORTH_PARTS:
            parts = True
            kernels.copied(left)  # its parts, which lie apart
        elif kernels.is_complex(left):
            right = converted = kernels.widened(right)
        elif not kernels.is_complex(left) and (right.conjugate or right.strides[-1] != 1):
            conjugated = kernels.resolved(right)  # its parts are read, side by side
            right = resolved = kernels.contiguous(conjugated)
            memory.free(conjugated)

    def gradient_of(
        operand: SymbolicTensor, first: SymbolicTensor, second: SymbolicTensor
    ) -> SymbolicTensor:
        """`first @ second`; autograd gives a column-major matrix a column-major gradient."""
        if operand.strides == (1, operand.shape[0]):  # never a stack of matrices
            product = kernels.matmul(_transposed(second), _transposed(first), operand.width)
            return _transposed(product)
        return kernels.matmul(first, second, operand.width)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.noncontiguous_gradient = gradient.count >= WORTH_CONTIGUOUS and not blas_takes(
            gradient, "bmm" if len(left.shape) > 2 else "mm"
        )
        kernels.call()
        if left_needed and right_needed:
            kernels.inner_call()
        both = kernels.is_complex(left) and kernels.is_complex(right)
        factors = (left.conjugated(), right.conjugated()) if both else (left, right)
        first, second = map(_transposed, factors)
        pairs = zip((left, right), (left_needed, right_needed), strict=True)
        others = [memory.new(k.shape, k.width) for k, needed in pairs if parts and needed]
        # Autograd makes that of the right factor first.
        of_right = gradient_of(right, first, gradient) if right_needed else None
        of_left = gradient_of(left, gradient, second) if left_needed else None
        sent: Gradients = [of_left, of_right]
        for tensor in others:  # each part has gradients of both factors
            memory.free(tensor)
        if resolved is not None and left_needed:
            memory.free(resolved)
        if converted is not None:
            if (wide := sent[1]) is not None:
                sent[1] = real = kernels.new(wide.shape, strides=wide.strides)
                kernels.stream(wide, real)
                kernels.memory.free(wide)
            if left_needed:
                kernels.memory.free(converted)
        return sent

    halves = [memory.new(call.shape, kernels.width) for _ in range(2 * parts)]
    result = OpResult(kernels.matmul(left, right), backward, _saved_factors(call))
    for tensor in halves:
        memory.free(tensor)
    if converted is not None and not left_needed:  # else autograd holds it
        kernels.memory.free(converted)
    if resolved is not None and not left_needed:
        memory.free(resolved)
    return result if operation.bias is None else _biased(call, result)


def _biased(call: Call, product: OpResult) -> OpResult:
    """`addmm`: it writes the bias to the result first; the gradient of a bias sums over rows."""
    kernels, (left, _, bias) = call.kernels, call.operands
    kernels.stream(product.result, flops=product.result.count)
    added = len(left.shape) - len(bias.shape)

    def backward(gradient: SymbolicTensor) -> Gradients:
        *factors_needed, bias_needed = call.requires_grad
        factors = product.backward(gradient) if any(factors_needed) else [None, None]
        if not bias_needed:
            return [*factors, None]
        summed = _unbroadcast(kernels, kernels.memory.keep(gradient), (1,) * added + bias.shape)
        return [*factors, summed.as_strided(bias.shape, summed.strides[added:])]

    return OpResult(product.result, backward, product.saved)


@simulates(op.Multiply)
def _multiply(call: Call, _: op.Multiply) -> OpResult:
    kernels, (left, right) = call.kernels, call.operands

    def product(one: SymbolicTensor, other: SymbolicTensor) -> SymbolicTensor:
        converted = [
            kernels.widened(k) for k in (one, other) if k.width < max(one.width, other.width)
        ]
        result = kernels.elementwise(one, other)
        for copy in converted:
            kernels.memory.free(copy)
        kernels.work.multiply_adds += result.count * (4 if kernels.is_complex(result) else 1)
        return result

    kernels.call()

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call(view=True)
        wide: Gradients = []
        for needed, other in zip(call.requires_grad, (right, left), strict=True):
            if needed:
                kernels.inner_call()
            factor = other.conjugated() if kernels.is_complex(other) else other
            wide.append(product(gradient, factor) if needed else None)
        return [
            None
            if tensor is None
            else replace(_unbroadcast(kernels, tensor, source.shape), width=source.width)
            for tensor, source in zip(wide, (left, right), strict=True)
        ]

    return OpResult(product(left, right), backward, _saved_factors(call))


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

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call(view=True)
        return [
            _unbroadcast(kernels, kernels.memory.keep(gradient), term.shape) if needed else None
            for needed, term in zip(call.requires_grad, (left, right), strict=True)
        ]

    return OpResult(kernels.elementwise(left, right), backward)


@simulates(op.Sum)
def _sum(call: Call, operation: op.Sum) -> OpResult:
    kernels, (source,), axes = call.kernels, call.operands, operation.axes
    kernels.call()

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call(view=True)
        remaining = iter(gradient.strides)
        strides = tuple(0 if k in axes else next(remaining) for k in range(len(source.shape)))
        return [kernels.view(gradient, source.shape, strides)]

    return OpResult(kernels.sum(source, axes, call.shape), backward)


@simulates(op.Unpack)
def _unpack(call: Call, _: op.Unpack) -> OpResult:
    """The halves of each byte, joined, then shifted to both sides of zero."""
    kernels, (packed,) = call.kernels, call.operands
    for _call in range(5):
        kernels.call()
    halves = [kernels.new(packed.shape, 1) for _ in range(2)]
    for half in halves:
        kernels.stream(packed, half, flops=half.count)
    joined = kernels.new(call.shape, 1)
    kernels.copied(joined)
    for half in halves:
        kernels.memory.free(half)
    result = kernels.new(call.shape, 1)
    kernels.stream(joined, result, flops=result.count)
    kernels.memory.free(joined)
    return OpResult(result)


@simulates(op.Dequantize)
def _dequantize(call: Call, _: op.Dequantize) -> OpResult:
    """One pass; scales are buffers, which get no gradient."""
    codes, scale = call.operands
    call.kernels.call()
    return OpResult(call.kernels.elementwise(codes, scale))


@simulates(op.Times)
def _times(call: Call, _: op.Times) -> OpResult:
    kernels = call.kernels

    def scaled(tensor: SymbolicTensor) -> SymbolicTensor:
        kernels.call()
        result = kernels.new(tensor.shape, tensor.width)
        kernels.stream(tensor, result, flops=tensor.count)
        return result

    return OpResult(scaled(call.operands[0]), lambda gradient: [scaled(gradient)])


@simulates(op.Magnitude)
def _magnitude(call: Call, _: op.Magnitude) -> OpResult:
    """`abs`, `amax`, and five calls that round the result to a power of two."""
    kernels, (source,) = call.kernels, call.operands
    for _call in range(7):
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

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        return [kernels.elementwise(gradient, scale), None]

    return OpResult(kernels.elementwise(source, scale), backward, (scale,))


@simulates(op.Log)
def _log(call: Call, operation: op.Log) -> OpResult:
    kernels, (scale,) = call.kernels, call.operands
    kernels.call()
    if scale.count == math.prod(call.shape):
        return OpResult(kernels.new(call.shape))
    log = kernels.new(scale.shape)
    kernels.call()
    total = kernels.sum(log, operation.axes, call.shape)
    kernels.memory.free(log)
    return OpResult(total)
