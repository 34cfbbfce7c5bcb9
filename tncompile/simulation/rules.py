"""Each operation on ghosts, and its derivative as autograd computes it.

`apply` gives the result, what autograd would save, and a function from the gradient of the result
to one gradient for each source that needs one. Every ghost handed out is held once.
"""

from __future__ import annotations

from typing import assert_never

from tncompile.program.operations import (
    Add,
    Arange,
    Argument,
    Cat,
    Chunk,
    ConcatChunks,
    Contiguous,
    ContiguousGrad,
    Copy,
    Embedding,
    Expand,
    Gather,
    IndexSelect,
    LoadParameter,
    Mask,
    MatMul,
    Multiply,
    OneHot,
    Ones,
    Operation,
    Pad,
    Permute,
    RavelIndex,
    Rescale,
    Select,
    Slice,
    Split,
    Stack,
    StackParameters,
    Sum,
    Times,
    Unbind,
    UnravelIndex,
    View,
)
from tncompile.simulation.derivatives import Gradients, Made, Needs, only
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.lookups import constant_or_ids, looked_up, picked_rows
from tncompile.simulation.stacking import concatenated, stacked
from tncompile.simulation.strides import batch_takes, blas_takes
from tncompile.simulation.tensors import Shape, SymbolicTensor

WORTH_SETTLING = 2**14
"""Numbers of a gradient from which making it row major is worth the call."""


def apply(
    device: KernelModel,
    operation: Operation,
    given: list[SymbolicTensor],
    needs: Needs,
    shape: Shape,
) -> Made:
    """The operation on `given`; `shape` is that of its result, `needs` who wants a gradient."""
    device.recording = any(needs)
    match operation:
        case View() | Copy():
            return _reshape(device, given[0], shape)
        case Contiguous():
            return _contiguous(device, given[0])
        case Permute(_, _, order):
            return _permute(device, given[0], order)
        case Expand():
            return _expand(device, given[0], shape)
        case ContiguousGrad():
            return _settle(device, given[0])
        case Slice(_, _, axis, _, _, step):
            strides = tuple(s * step if k == axis else s for k, s in enumerate(given[0].strides))
            return _part(device, given[0], shape, strides)
        case Select(_, _, axis, _):
            strides = tuple(s for k, s in enumerate(given[0].strides) if k != axis)
            return _part(device, given[0], shape, strides)
        case MatMul(_, _, _, str()):
            return _biased(device, given[0], given[1], given[2], needs)
        case MatMul():
            return _matmul(device, given[0], given[1], needs)
        case Multiply():
            return _multiply(device, given[0], given[1], needs)
        case Add():
            return _add(device, given[0], given[1], needs)
        case Sum(_, _, axes):
            return _sum(device, given[0], axes)
        case Times():
            return _times(device, given[0])
        case Stack():
            return stacked(device, given, needs)
        case Cat():
            return concatenated(device, given, needs, shape)
        case IndexSelect() | Gather():
            return picked_rows(device, given, device.new(shape, given[0].width), len(needs))
        case Embedding():
            return picked_rows(device, given, looked_up(device, given, shape), len(needs))
        case Pad(_, _, _):
            return _pad(device, given[0], shape)
        case UnravelIndex() | RavelIndex() | Arange() | OneHot() | Mask() | Ones():
            return Made(constant_or_ids(device, operation, given, shape))
        case (
            Argument() | LoadParameter() | StackParameters() | Rescale() | Chunk() | ConcatChunks()
        ):
            raise AssertionError("these make no single value of their own")
        case Unbind() | Split():
            raise AssertionError("these make no single value of their own")
        case _:
            assert_never(operation)


# ── views and copies ────────────────────────────────────────────────────────────────────────────


def _reshape(device: KernelModel, source: SymbolicTensor, shape: Shape) -> Made:
    result = device.reshape(source, shape)
    _reshaped(device, result, source)
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        made = device.reshape(gradient, before)
        _reshaped(device, made, gradient)
        return [made]

    return Made(result, (), back)


def _reshaped(device: KernelModel, made: SymbolicTensor, source: SymbolicTensor) -> None:
    """Count the call of a reshape; one that copies looks at its copy in the end."""
    device.call(view=True)
    if made.block is not source.block:
        device.inner_call()


def _contiguous(device: KernelModel, source: SymbolicTensor) -> Made:
    device.call(view=source.contiguous)
    result = device.memory.keep(source) if source.contiguous else device.clone(source)
    return Made(result, (), lambda gradients: [device.memory.keep(only(gradients))])


def _permute(device: KernelModel, source: SymbolicTensor, order: tuple[int, ...]) -> Made:
    device.call(view=True)
    shape = tuple(source.shape[k] for k in order)
    result = device.view(source, shape, tuple(source.strides[k] for k in order))
    inverse = [order.index(k) for k in range(len(order))]

    def back(gradients: Gradients) -> Gradients:
        device.call(view=True)
        gradient = only(gradients)
        strides = tuple(gradient.strides[k] for k in inverse)
        return [device.view(gradient, tuple(gradient.shape[k] for k in inverse), strides)]

    return Made(result, (), back)


def _expand(device: KernelModel, source: SymbolicTensor, shape: Shape) -> Made:
    device.call(view=True)
    before, front = source.shape, len(shape) - len(source.shape)
    wide = SymbolicTensor(
        (1,) * front + before, (0,) * front + source.strides, source.block, source.width
    )

    def back(gradients: Gradients) -> Gradients:
        device.call()
        made = device.sum_to(only(gradients), wide.shape, front)
        return [SymbolicTensor(before, made.strides[front:], made.block, made.width)]

    return Made(device.repeat(wide, shape), (), back)


def _settle(device: KernelModel, source: SymbolicTensor) -> Made:
    device.call()

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call()
        return [device.memory.keep(gradient) if gradient.contiguous else device.clone(gradient)]

    return Made(device.memory.keep(source), (), back)


def _part(device: KernelModel, source: SymbolicTensor, shape: Shape, strides: Shape) -> Made:
    """A slice or an entry: a view whose gradient is as large as all of its source."""
    device.call(view=True)
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        device.call()
        made = device.zeros(before)
        device.stream(only(gradients), only(gradients))
        return [made]

    return Made(device.view(source, shape, strides), (), back)


def _pad(device: KernelModel, source: SymbolicTensor, shape: Shape) -> Made:
    result = device.new(shape, source.width)
    device.call()
    device.copied(result)
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        device.call()
        gradient = only(gradients)
        return [
            device.clone(SymbolicTensor(before, gradient.strides, gradient.block, gradient.width))
        ]

    return Made(result, (), back)


# ── arithmetic ──────────────────────────────────────────────────────────────────────────────────


def _turned(matrix: SymbolicTensor) -> SymbolicTensor:
    """The transposed matrix or matrices; not held of its own."""
    shape, strides = matrix.shape, matrix.strides
    return SymbolicTensor(
        (*shape[:-2], shape[-1], shape[-2]),
        (*strides[:-2], strides[-1], strides[-2]),
        matrix.block,
        matrix.width,
    )


def _column_major(matrix: SymbolicTensor) -> bool:
    """Whether autograd gives a matrix a column-major gradient (never a stack of matrices)."""
    return len(matrix.shape) == 2 and matrix.strides == (1, matrix.shape[0])


def _matmul(device: KernelModel, left: SymbolicTensor, right: SymbolicTensor, needs: Needs) -> Made:
    device.call()
    saved = (*((left,) if needs[1] else ()), *((right,) if needs[0] else ()))
    batched = len(left.shape) > 2

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        taken = batch_takes(gradient) if batched else blas_takes(gradient)
        device.awkward = not taken and gradient.count >= WORTH_SETTLING
        ours: SymbolicTensor | None = None
        theirs: SymbolicTensor | None = None
        device.call()
        if needs[0] and needs[1]:
            device.inner_call()
        if needs[0]:
            if _column_major(left):
                ours = _turned(device.matmul(right, _turned(gradient)))
            else:
                ours = device.matmul(gradient, _turned(right))
        if needs[1]:
            if _column_major(right):
                theirs = _turned(device.matmul(_turned(gradient), left))
            else:
                theirs = device.matmul(_turned(left), gradient)
        return [ours, theirs]

    return Made(device.matmul(left, right), saved, back)


def _biased(
    device: KernelModel,
    left: SymbolicTensor,
    right: SymbolicTensor,
    bias: SymbolicTensor,
    needs: Needs,
) -> Made:
    """`addmm` writes the bias to the result first; the gradient of it is a sum over rows."""
    made = _matmul(device, left, right, needs[:2])
    device.stream(made.result, flops=made.result.count)
    shape, front = bias.shape, len(left.shape) - len(bias.shape)

    def back(gradients: Gradients) -> Gradients:
        factors = made.back(gradients) if any(needs[:2]) else [None, None]
        if not needs[2]:
            return [*factors, None]
        gradient = device.memory.keep(only(gradients))
        held = _narrow(device, gradient, (1,) * front + shape)
        return [*factors, SymbolicTensor(shape, held.strides[front:], held.block, held.width)]

    return Made(made.result, made.saved, back)


def _multiply(
    device: KernelModel, left: SymbolicTensor, right: SymbolicTensor, needs: Needs
) -> Made:
    device.call()
    result = device.elementwise(left, right)
    device.work.multiply_adds += result.count
    saved = (*((left,) if needs[1] else ()), *((right,) if needs[0] else ()))

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call(view=True)
        wide: Gradients = []
        for need, other in ((needs[0], right), (needs[1], left)):
            wide.append(_product(device, gradient, other) if need else None)
        return [
            None if made is None else _narrow(device, made, source.shape)
            for made, source in zip(wide, (left, right), strict=True)
        ]

    return Made(result, saved, back)


def _product(
    device: KernelModel, gradient: SymbolicTensor, other: SymbolicTensor
) -> SymbolicTensor:
    device.inner_call()
    made = device.elementwise(gradient, other)
    device.work.multiply_adds += made.count
    return made


def _narrow(device: KernelModel, gradient: SymbolicTensor, shape: Shape) -> SymbolicTensor:
    """A gradient summed over what was repeated; the wide one is let go."""
    made = device.sum_to(gradient, shape)
    if made.block is not gradient.block:
        device.inner_call()
    device.memory.free(gradient)
    return made


def _add(device: KernelModel, left: SymbolicTensor, right: SymbolicTensor, needs: Needs) -> Made:
    device.call()
    shapes = (left.shape, right.shape)

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call(view=True)
        return [
            _narrow(device, device.memory.keep(gradient), shape) if need else None
            for need, shape in zip(needs, shapes, strict=True)
        ]

    return Made(device.elementwise(left, right), (), back)


def _sum(device: KernelModel, source: SymbolicTensor, axes: tuple[int, ...]) -> Made:
    device.call()
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        device.call(view=True)
        gradient = only(gradients)
        inner = iter(gradient.strides)
        strides = tuple(0 if k in axes else next(inner) for k in range(len(before)))
        return [device.view(gradient, before, strides)]

    return Made(device.sum(source, axes), (), back)


def _times(device: KernelModel, source: SymbolicTensor) -> Made:
    def scaled(given: SymbolicTensor) -> SymbolicTensor:
        made = device.new(given.shape, given.width)
        device.stream(given, made, flops=given.count)
        return made

    device.call()

    def back(gradients: Gradients) -> Gradients:
        device.call()
        return [scaled(only(gradients))]

    return Made(scaled(source), (), back)


def rescaled(
    device: KernelModel, source: SymbolicTensor, axes: tuple[int, ...]
) -> tuple[Made, SymbolicTensor]:
    """`source / scale` and the logarithm of `scale`, its largest magnitudes along `axes`."""
    for _ in range(5):
        device.call()
    magnitude = device.new(source.shape)
    device.stream(source, magnitude, flops=source.count)
    kept = tuple(1 if k in axes else length for k, length in enumerate(source.shape))
    scale = device.new(kept)
    device.stream(magnitude, flops=source.count)
    device.memory.free(magnitude)
    log = device.new(tuple(length for k, length in enumerate(kept) if k not in axes))
    result = device.elementwise(source, scale)

    def back(gradients: Gradients) -> Gradients:
        device.call()
        return [device.elementwise(only(gradients), scale)]

    made = Made(result, (scale,), back)
    return made, log
