"""What products cost: `@`, attention, and `network { … }` without a name."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tncompile.machine.profile import GIGA
from tncompile.models.costs.operations.job import Job, Outcome
from tncompile.program import operations as op
from tncompile.simulation.arithmetic import ARITHMETIC
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Call, Gradients, OpResult
from tncompile.simulation.tensors import Shape, SymbolicTensor, contiguous_strides

PRODUCT = op.MatMul("y", "x", "w")
BIASED = op.MatMul("y", "x", "w", "b")


def product(
    kernels: KernelModel,
    operands: Sequence[SymbolicTensor],
    requires_grad: Sequence[bool],
    shape: Shape,
) -> OpResult:
    """`mm` or `bmm` of matrices, with a bias where there are three operands."""
    call = Call(kernels, list(operands), tuple(requires_grad), shape)
    operation = BIASED if len(operands) > 2 else PRODUCT
    return ARITHMETIC[op.MatMul](call, operation)


def linear(job: Job) -> Outcome:
    """`nn.Linear`: rows times the transposed weight, and the bias."""
    kernels, (source, weight, *bias) = job.kernels, job.operands
    inputs, outputs = source.shape[-1], weight.shape[0]
    rows = kernels.reshape(source, (source.count // max(1, inputs), inputs))
    turned = weight.as_strided((inputs, outputs), (1, inputs))
    flat = product(kernels, [rows, turned, *bias], job.requires_grad, (rows.shape[0], outputs))
    result = flat.result.as_strided(job.shapes[0], contiguous_strides(job.shapes[0]))

    def backward(gradient: SymbolicTensor) -> Gradients:
        flat_gradient = kernels.reshape(gradient, (rows.shape[0], outputs))
        sent = flat.backward(flat_gradient)
        kernels.memory.free(flat_gradient)
        shapes = (source.shape, weight.shape, *(each.shape for each in bias))
        return [
            None if each is None else each.as_strided(shape, contiguous_strides(shape))
            for each, shape in zip(sent, shapes, strict=True)
        ]

    return Outcome(result, backward, flat.saved, scratch=(rows,))


def matmul(job: Job) -> Outcome:
    """`a @ b`: a matrix, or a vector, takes all rows at once; others are expanded to stacks."""
    kernels, (left, right), shape = job.kernels, job.operands, job.shapes[0]
    shapes: list[Shape]
    flat_shape: Shape
    stacks: Shape = ()
    if len(right.shape) <= 2:
        inner, columns = right.shape[0], math.prod(right.shape[1:])
        shapes = [(left.count // max(1, inner), inner), (inner, columns)]
        flat_shape = (shapes[0][0], columns)
    else:
        stacks = (math.prod(shape[:-2]),)
        shapes = [(*stacks, *each.shape[-2:]) for each in (left, right)]
        flat_shape = (*stacks, *shape[-2:])
    flat = [_stacked(kernels, *each) for each in zip((left, right), shapes, strict=True)]
    outcome = product(kernels, flat, job.requires_grad, flat_shape)

    def backward(gradient: SymbolicTensor) -> Gradients:
        arrived = kernels.reshape(gradient, flat_shape)
        sent = outcome.backward(arrived)
        kernels.memory.free(arrived)
        return [
            None if each is None else _summed(kernels, each, operand.shape)
            for each, operand in zip(sent, (left, right), strict=True)
        ]

    result = outcome.result.as_strided(shape, contiguous_strides(shape))
    return Outcome(result, backward, outcome.saved, scratch=tuple(flat))


def _stacked(kernels: KernelModel, tensor: SymbolicTensor, shape: Shape) -> SymbolicTensor:
    """The matrices of an operand one after another, copied where they repeat in some axes only."""
    if tensor.count == math.prod(shape):
        return kernels.reshape(tensor, shape)
    if math.prod(tensor.shape[:-2]) == 1:  # one for all: a stride of 0
        return kernels.view(tensor, shape, (0, *tensor.strides[-2:]))
    copy = kernels.new(shape, tensor.width)
    kernels.copied(copy)
    return copy


def _summed(kernels: KernelModel, gradient: SymbolicTensor, shape: Shape) -> SymbolicTensor:
    """The gradient of an operand, summed where it was repeated."""
    if gradient.count == math.prod(shape):
        return gradient.as_strided(shape, contiguous_strides(shape))
    sent = kernels.new(shape, gradient.width)
    kernels.stream(gradient, sent)
    kernels.memory.free(gradient)
    return sent


# ── attention ───────────────────────────────────────────────────────────────────────────────────

FLASH_AXES = 4
"""With other numbers of axes, torch forms all scores."""


def attention(job: Job) -> Outcome:
    """`scaled_dot_product_attention`: two products, in blocks where torch can.

    Its gradient takes five. The scores are formed, and saved, where entries are dropped.
    """
    kernels, (q, k, v, *others) = job.kernels, job.operands
    kernels.call()
    *lead, queries, width = q.shape
    keys, stacks = k.shape[-2], math.prod(lead)
    dropped = job.training and bool(job.options.get("dropout"))
    causal, far = bool(job.options.get("causal")), bool(job.options.get("relative"))
    blocks = len(q.shape) == FLASH_AXES and not dropped and q.shape[-1] == v.shape[-1]
    scores = (stacks, queries, keys)
    mask, relative = others[: len(others) - far], others[len(others) - far :]
    if not others and (job.options.get("reach") is not None or (causal and queries != keys)):
        mask = [kernels.new((queries, keys), 1)]
        kernels.stream(mask[0])
    if relative:  # looked up for each query and key, then narrowed
        mask = [kernels.new((*relative[0].shape[:-1], queries, keys), relative[0].width)]
        kernels.stream(relative[0], mask[0])
        kernels.stream(mask[0])
    half = 0.5 if causal and blocks and not mask else 1.0
    strides = None
    if blocks:  # queries lie before heads
        *_, heads, count, width_of = job.shapes[0]
        strides = (count * heads * width_of, width_of, heads * width_of, 1)
    result = job.result(strides)
    scratch = [each for each in mask if each not in job.operands]
    if blocks:
        scratch.append(kernels.scratch((stacks, queries), 4))
        saved = [q, k, v, result, *mask, *scratch[-1:]]
    else:
        formed = [kernels.new(scores) for _ in range(3 if dropped else 1)]
        kernels.stream(*formed)
        scratch += formed
        saved = [q, k, v, *formed]
    for rows, inner, columns in ((queries, width, keys), (queries, keys, v.shape[-1])):
        multiplied(kernels, stacks, rows, inner, columns, half)
    kernels.work.moved += q.bytes + k.bytes + v.bytes + result.bytes
    in_cache = 16 * half * math.prod(scores) / (max(kernels.profile.passes.figures) * GIGA)
    kernels.work.seconds += in_cache

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        for rows, inner, columns in (
            (queries, width, keys),
            (queries, v.shape[-1], keys),
            (keys, queries, v.shape[-1]),
            (queries, keys, width),
            (keys, queries, width),
        )[0 if blocks else 1 :]:
            multiplied(kernels, stacks, rows, inner, columns, half)
        kernels.work.seconds += 2 * in_cache
        if not blocks:
            kernels.memory.free(kernels.new(scores))
        sent: Gradients = [kernels.new(each.shape, each.width) for each in (q, k, v)]
        return [*sent, *[None] * len(others)]

    return Outcome(result, backward, tuple(saved), scratch=tuple(scratch))


def multiplied(
    kernels: KernelModel, stacks: int, rows: int, inner: int, columns: int, share: float = 1.0
) -> None:
    """Count products of matrices whose memory is counted elsewhere."""
    multiply_adds = stacks * rows * inner * columns
    kernels.work.multiply_adds += multiply_adds
    seconds = kernels.profile.product_seconds(stacks, rows, inner, columns)
    kernels.work.seconds += share * seconds
