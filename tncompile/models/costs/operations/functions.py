"""What functions and operators of values cost, by name; products are elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from tncompile.models.costs.operations.job import (
    Job,
    Outcome,
    Rule,
    Saved,
    copied,
    entrywise,
    joined,
    kept,
    made,
    no_grad,
    others,
    reduced,
    viewed,
)
from tncompile.models.costs.operations.products import attention, matmul
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import Shape, SymbolicTensor, contiguous_strides

SAVED: Mapping[Saved, str] = {
    "operand": "relu6 gelu silu mish elu leaky_relu selu softplus log_sigmoid hardswish "
    "hardsigmoid sin cos log log1p erf abs square angle clamp",
    "result": "relu tanh sigmoid tan exp expm1 sqrt rsqrt softmax log_softmax",
    "nothing": "sign floor ceil round neg cumsum conj",
}
"""Functions of each entry, by what the gradient takes."""

REDUCED: Mapping[Saved, str] = {
    "operand": "var argmax argmin",
    "both": "prod amax amin logsumexp std norm",
}

TRUTHS = "any all not and or eq ne lt le gt ge onehot arange linspace zeros ones full eye"
"""Functions without a derivative."""

WRITTEN = "concat stack flip roll pad"
"""Functions that copy entries to a new place."""


def reshaped(job: Job) -> Outcome:
    """The same entries in the same order: a view where the strides allow it."""
    kernels, source = job.kernels, job.operands[0]
    result = kernels.reshape(source, job.shapes[0])
    kernels.call(view=result.allocation is source.allocation)

    def backward(gradient: SymbolicTensor) -> Gradients:
        sent = kernels.reshape(gradient, source.shape)
        kernels.call(view=sent.allocation is gradient.allocation)
        return [sent]

    return Outcome(result, backward)


def permuted(order: Sequence[int]) -> Rule:
    """The axes in another order, counted from the left."""
    inverse = [list(order).index(k) for k in range(len(order))]

    def turned(job: Job, tensor: SymbolicTensor, places: Sequence[int]) -> SymbolicTensor:
        job.kernels.call(view=True)
        shape, strides = (tuple(each[k] for k in places) for each in (tensor.shape, tensor.strides))
        return job.kernels.view(tensor, shape, strides)

    return lambda job: Outcome(
        turned(job, job.operands[0], order),
        lambda gradient: [turned(job, gradient, inverse)],
    )


def _transpose(job: Job) -> Outcome:
    rank = len(job.shapes[0])
    order = list(range(rank))
    one, two = job.options["dim0"], job.options["dim1"]
    order[one], order[two] = order[two], order[one]
    return permuted(order)(job)


def _permute(job: Job) -> Outcome:
    rank, axes = len(job.shapes[0]), job.options["dim"]
    order = [*range(rank - len(axes)), *(rank + axis for axis in axes)]
    return permuted(order)(job)


def _expand(job: Job) -> Outcome:
    """A view; its gradient is summed."""
    kernels, source, shape = job.kernels, job.operands[0], job.shapes[0]
    kernels.call(view=True)
    added = len(shape) - len(source.shape)
    wide = source.as_strided((1,) * added + source.shape, (0,) * added + source.strides)
    pairs = zip(wide.shape, wide.strides, shape, strict=True)
    strides = tuple(stride if length == size else 0 for length, stride, size in pairs)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        summed = kernels.sum_to(gradient, wide.shape, added)
        return [summed.as_strided(source.shape, summed.strides[added:])]

    return Outcome(kernels.view(wide, shape, strides), backward)


def pieces(job: Job) -> Outcome:
    """Views that make up all of the operand; their gradients are joined."""
    kernels, source = job.kernels, job.operands[0]
    kernels.call(view=True)
    kernels.work.spend(kernels.profile.member * len(job.shapes))

    def backward(*gradients: SymbolicTensor | None) -> Gradients:
        kernels.call()
        absent = [
            kernels.zeros(shape, source.width)
            for shape, gradient in zip(job.shapes, gradients, strict=True)
            if gradient is None
        ]
        sent = kernels.new(source.shape, source.width)
        kernels.copied(sent)
        kernels.work.spend(kernels.profile.backward_member * len(job.shapes))
        for tensor in absent:
            kernels.memory.free(tensor)
        return [sent]

    first, *more = (kernels.view(source, shape, source.strides) for shape in job.shapes)
    return Outcome(first, backward, others=tuple(more))


def _detached(job: Job) -> Outcome:
    return replace(kept(job), backward=no_grad(job))


def _where(job: Job) -> Outcome:
    return joined(saved=1)(job)


def _interpolated(job: Job) -> Outcome:
    """Each entry of the result is read from a few of the operand."""
    kernels, source = job.kernels, job.operands[0]
    kernels.call()
    result = job.result()
    kernels.stream(source, result)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.zeros(source.shape, source.width)
        kernels.stream(gradient, sent)
        return [sent]

    return Outcome(result, backward)


def looked_up(job: Job) -> Outcome:
    """Entries of a table, the first operand, along an axis by the ids that come second."""
    kernels, (table, *ids) = job.kernels, job.operands
    kernels.call()
    result = job.result()
    axis = job.options.get("dim")
    behind = table.shape[1:] if axis is None else table.shape[len(table.shape) + axis + 1 :]
    row = table.width * math.prod(behind)
    kernels.work.copied += result.bytes
    kernels.work.moved += 2 * result.bytes
    kernels.work.seconds += kernels.profile.gather_seconds(result.bytes, max(row, 1))

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.zeros(table.shape, table.width)
        kernels.work.moved += gradient.bytes
        kernels.work.seconds += kernels.profile.scatter_seconds(gradient.bytes, max(row, 1))
        return [sent, *[None] * len(ids)]

    return Outcome(result, backward, tuple(ids[:1]), others(job))


def added_up(job: Job) -> Outcome:
    """Rows of the first operand added to a new table by the ids that come second."""
    kernels, (source, ids) = job.kernels, job.operands
    kernels.call()
    result = job.result()
    row = max(1, source.width * math.prod(source.shape[1:]))
    kernels.work.moved += source.bytes + result.bytes
    kernels.work.seconds += kernels.profile.scatter_seconds(source.bytes, row)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.new(source.shape, source.width)
        kernels.work.moved += 2 * sent.bytes
        kernels.work.seconds += kernels.profile.gather_seconds(sent.bytes, row)
        return [sent, None]

    return Outcome(result, backward, (ids,))


def _picked(job: Job) -> Outcome:
    """The largest entries and their places, which are saved."""
    kernels, source = job.kernels, job.operands[0]
    kernels.call()
    result, places = job.result(), kernels.new(job.shapes[1], job.widths[1])
    kernels.stream(source, result, places)

    def backward(gradient: SymbolicTensor | None, _: SymbolicTensor | None = None) -> Gradients:
        kernels.call()
        sent = kernels.zeros(source.shape, source.width)
        kernels.stream(sent)
        return [sent]

    return Outcome(result, backward, (places,), (places,))


# ── Fourier transforms ──────────────────────────────────────────────────────────────────────────


def fourier_flops(function: str, operand: Shape, result: Shape, dim: int) -> int:
    """5 n log2 n for each transform of n entries, half of it where one side is real; else 0."""
    if function not in ("fft", "ifft", "rfft", "irfft"):
        return 0
    n = max(operand[dim], result[dim])
    rows = math.prod(result) // max(1, result[dim])
    flops = 5 * n * math.log2(n) * rows if n > 1 else 0
    return round(flops / 2 if function in ("rfft", "irfft") else flops)


def _transformed(job: Job) -> Outcome:
    """A Fourier transform, whose gradient is one, too."""
    kernels, source = job.kernels, job.operands[0]
    kernels.call()
    result = job.result()
    flops = fourier_flops("fft", source.shape, result.shape, job.options["dim"])

    def spend() -> None:
        kernels.stream(source, result)
        kernels.work.seconds += flops / (kernels.profile.small_products * 1e9)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.new(source.shape, source.width)
        spend()
        return [sent]

    spend()
    return Outcome(result, backward)


FUNCTIONS: dict[str, Rule] = {
    **{name: entrywise(saved) for saved, names in SAVED.items() for name in names.split()},
    **{name: reduced(saved) for saved, names in REDUCED.items() for name in names.split()},
    **dict.fromkeys(TRUTHS.split(), made),
    **dict.fromkeys(WRITTEN.split(), copied),
    **dict.fromkeys(("fft", "ifft", "rfft", "irfft"), _transformed),
    **dict.fromkeys(("reshape", "flatten"), reshaped),
    **dict.fromkeys(("add", "sub"), joined()),
    **dict.fromkeys(("mul", "div"), joined(factors=True)),
    **dict.fromkeys(("pow", "maximum", "minimum", "mod", "complex"), joined(saved=2)),
    **dict.fromkeys(("split", "chunk"), pieces),
    **dict.fromkeys(("take", "gather"), looked_up),
    **dict.fromkeys(("segment_sum", "scatter_sum"), added_up),
    "floordiv": made,
    "sum": reduced(repeated=True),
    "mean": reduced(repeated=True),
    "normalize": entrywise("both", passes=2),
    "transpose": _transpose,
    "permute": _permute,
    "expand": _expand,
    "detach": _detached,
    "where": _where,
    "interpolate": _interpolated,
    "topk": _picked,
    "matmul": matmul,
    "attention": attention,
    "real": lambda job: viewed(job.shapes[0], contiguous_strides(job.shapes[0]))(job),
    "imag": lambda job: viewed(job.shapes[0], contiguous_strides(job.shapes[0]))(job),
}
"""What each costs."""
