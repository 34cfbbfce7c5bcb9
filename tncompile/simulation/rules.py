"""Each operation on ghosts, and its derivative as autograd computes it.

A rule gives the result, what autograd would save, and a function from the gradient of the result
to one gradient for each source that needs one. Every ghost handed out is held once.
"""

from __future__ import annotations

from tncompile.program import operations as op
from tncompile.simulation.derivatives import Call, Gradients, Made, only, simulates
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.lookups import digits, looked_up, picked_rows, raveled
from tncompile.simulation.stacking import concatenated, divided, stacked, unbound
from tncompile.simulation.strides import batch_takes, blas_takes
from tncompile.simulation.tensors import Shape, SymbolicTensor

WORTH_SETTLING = 2**14
"""Numbers of a gradient from which making it row major is worth the call."""


# ── views and copies ────────────────────────────────────────────────────────────────────────────


@simulates(op.View, op.Copy)
def _reshape(call: Call, _: op.View | op.Copy) -> Made:
    device, (source,) = call.device, call.operands
    result = device.reshape(source, call.shape)
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


@simulates(op.Contiguous)
def _contiguous(call: Call, _: op.Contiguous) -> Made:
    device, (source,) = call.device, call.operands
    device.call(view=source.contiguous)
    result = device.memory.keep(source) if source.contiguous else device.clone(source)
    return Made(result, (), lambda gradients: [device.memory.keep(only(gradients))])


@simulates(op.Permute)
def _permute(call: Call, operation: op.Permute) -> Made:
    device, (source,), order = call.device, call.operands, operation.order
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


@simulates(op.Expand)
def _expand(call: Call, _: op.Expand) -> Made:
    device, (source,), shape = call.device, call.operands, call.shape
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


@simulates(op.ContiguousGrad)
def _settle(call: Call, _: op.ContiguousGrad) -> Made:
    device, (source,) = call.device, call.operands
    device.call()

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call()
        return [device.memory.keep(gradient) if gradient.contiguous else device.clone(gradient)]

    return Made(device.memory.keep(source), (), back)


@simulates(op.Slice)
def _slice(call: Call, operation: op.Slice) -> Made:
    strides = list(call.operands[0].strides)
    strides[operation.axis] *= operation.step
    return _part(call, tuple(strides))


@simulates(op.Select)
def _select(call: Call, operation: op.Select) -> Made:
    strides, axis = call.operands[0].strides, operation.axis
    return _part(call, strides[:axis] + strides[axis + 1 :])


def _part(call: Call, strides: Shape) -> Made:
    """A slice or an entry: a view whose gradient is as large as all of its source."""
    device, (source,) = call.device, call.operands
    device.call(view=True)
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        device.call()
        made = device.zeros(before)
        device.stream(only(gradients), only(gradients))
        return [made]

    return Made(device.view(source, call.shape, strides), (), back)


@simulates(op.Unbind)
def _unbind(call: Call, operation: op.Unbind) -> Made:
    ghosts, back = unbound(call.device, call.operands[0], operation.axis)
    return Made(ghosts[0], (), back, tuple(ghosts[1:]))


@simulates(op.Split)
def _split(call: Call, operation: op.Split) -> Made:
    ghosts, back = divided(call.device, call.operands[0], operation.axis, operation.lengths)
    return Made(ghosts[0], (), back, tuple(ghosts[1:]))


@simulates(op.Stack)
def _stack(call: Call, _: op.Stack) -> Made:
    return stacked(call.device, call.operands, call.needs)


@simulates(op.Cat)
def _cat(call: Call, _: op.Cat) -> Made:
    return concatenated(call.device, call.operands, call.needs, call.shape)


@simulates(op.Pad)
def _pad(call: Call, _: op.Pad) -> Made:
    device, (source,) = call.device, call.operands
    result = device.new(call.shape, source.width)
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


@simulates(op.MatMul)
def _matmul(call: Call, operation: op.MatMul) -> Made:
    return _product(call) if operation.bias is None else _biased(call)


def _product(call: Call) -> Made:
    device, (left, right), needs = call.device, call.operands[:2], call.needs
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


def _biased(call: Call) -> Made:
    """`addmm` writes the bias to the result first; the gradient of it is a sum over rows."""
    device, (left, _, bias), needs = call.device, call.operands, call.needs
    made = _product(call)
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


@simulates(op.Multiply)
def _multiply(call: Call, _: op.Multiply) -> Made:
    device, (left, right), needs = call.device, call.operands, call.needs
    device.call()
    result = device.elementwise(left, right)
    device.work.multiply_adds += result.count
    saved = (*((left,) if needs[1] else ()), *((right,) if needs[0] else ()))

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call(view=True)
        wide: Gradients = []
        for need, other in ((needs[0], right), (needs[1], left)):
            wide.append(_scaled_gradient(device, gradient, other) if need else None)
        return [
            None if made is None else _narrow(device, made, source.shape)
            for made, source in zip(wide, (left, right), strict=True)
        ]

    return Made(result, saved, back)


def _scaled_gradient(
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


@simulates(op.Add)
def _add(call: Call, _: op.Add) -> Made:
    device, (left, right), needs = call.device, call.operands, call.needs
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


@simulates(op.Sum)
def _sum(call: Call, operation: op.Sum) -> Made:
    device, (source,), axes = call.device, call.operands, operation.axes
    device.call()
    before = source.shape

    def back(gradients: Gradients) -> Gradients:
        device.call(view=True)
        gradient = only(gradients)
        inner = iter(gradient.strides)
        strides = tuple(0 if k in axes else next(inner) for k in range(len(before)))
        return [device.view(gradient, before, strides)]

    return Made(device.sum(source, axes), (), back)


@simulates(op.Times)
def _times(call: Call, _: op.Times) -> Made:
    device, (source,) = call.device, call.operands

    def scaled(given: SymbolicTensor) -> SymbolicTensor:
        made = device.new(given.shape, given.width)
        device.stream(given, made, flops=given.count)
        return made

    device.call()

    def back(gradients: Gradients) -> Gradients:
        device.call()
        return [scaled(only(gradients))]

    return Made(scaled(source), (), back)


@simulates(op.Rescale)
def _rescale(call: Call, operation: op.Rescale) -> Made:
    """`source / scale` and the logarithm of `scale`, its largest magnitudes along `axes`."""
    device, (source,), axes = call.device, call.operands, operation.axes
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

    return Made(result, (scale,), back, (log,), (scale,))


# ── ids and constants ───────────────────────────────────────────────────────────────────────────


@simulates(op.IndexSelect, op.Gather)
def _pick(call: Call, _: op.IndexSelect | op.Gather) -> Made:
    result = call.device.new(call.shape, call.operands[0].width)
    return picked_rows(call.device, call.operands, result, len(call.needs))


@simulates(op.Embedding)
def _embedding(call: Call, _: op.Embedding) -> Made:
    result = looked_up(call.device, call.operands, call.shape)
    return picked_rows(call.device, call.operands, result, len(call.needs))


@simulates(op.UnravelIndex)
def _unravel(call: Call, operation: op.UnravelIndex) -> Made:
    passes = (operation.divisor != 1) + (not operation.last)
    return Made(digits(call.device, call.operands[0], passes))


@simulates(op.RavelIndex)
def _ravel(call: Call, _: op.RavelIndex) -> Made:
    major, minor = call.operands
    return Made(raveled(call.device, major, minor, call.shape))


@simulates(op.Arange)
def _arange(call: Call, _: op.Arange) -> Made:
    call.device.call()
    return Made(call.device.new(call.shape, ID_WIDTH))


@simulates(op.OneHot, op.Mask)
def _from_flags(call: Call, _: op.OneHot | op.Mask) -> Made:
    device = call.device
    device.call()
    flags = device.new(call.shape, 1)
    result = device.new(call.shape)
    device.stream(flags, result)
    device.memory.free(flags)
    return Made(result)


@simulates(op.Ones)
def _ones(call: Call, _: op.Ones) -> Made:
    call.device.call()
    result = call.device.new(call.shape)
    call.device.stream(result)
    return Made(result)
