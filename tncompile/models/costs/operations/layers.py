"""What layers of torch cost: their operands are followed by their parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

from tncompile.language.typing.layers.entry import Settings
from tncompile.language.typing.layers.windows import padded as padding
from tncompile.models.costs.operations.functions import looked_up, reshaped
from tncompile.models.costs.operations.job import Job, Outcome, entrywise, kept
from tncompile.models.costs.operations.products import attention, linear, multiplied
from tncompile.models.costs.operations.sequences import recurrent
from tncompile.program import operations as op
from tncompile.simulation.convolution import CONVOLUTIONS
from tncompile.simulation.rules import Call, Gradients, OpResult
from tncompile.simulation.tensors import Shape, SymbolicTensor

LayerRule = Callable[[Job, Settings], Outcome]


def _embedding(job: Job, settings: Settings) -> Outcome:
    """Rows of a table: its parameter comes first in `looked_up`."""
    ids, table = job.operands
    return _swapped(
        looked_up(
            Job(job.kernels, [table, ids], (job.requires_grad[1], False), job.shapes, job.widths)
        )
    )


def _swapped(outcome: Outcome) -> Outcome:
    def backward(gradient: SymbolicTensor) -> Gradients:
        return outcome.backward(gradient)[::-1]

    return Outcome(outcome.result, backward, outcome.saved)


def _bag(job: Job, settings: Settings) -> Outcome:
    """Sums of rows: all are read, and one a bag is written."""
    kernels, (ids, *more) = job.kernels, job.operands
    kernels.call()
    result, table = job.result(), more[-1]
    row = table.width * table.shape[1]
    kernels.work.moved += ids.count * row + result.bytes
    kernels.work.seconds += kernels.profile.gather_seconds(ids.count * row, row)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.zeros(table.shape, table.width)
        kernels.work.moved += ids.count * row
        kernels.work.seconds += kernels.profile.scatter_seconds(ids.count * row, row)
        return [*[None] * (len(job.operands) - 1), sent]

    return Outcome(result, backward, (ids,))


def _norm(statistics: Callable[[Job, Settings], int]) -> LayerRule:
    """A norm: two passes, and two numbers of each of `statistics` groups, which are saved."""

    def rule(job: Job, settings: Settings) -> Outcome:
        kernels, (source, *weights) = job.kernels, job.operands
        kernels.call()
        result = job.result(source.strides if source.dense else None)
        numbers = kernels.scratch((2 * statistics(job, settings),), 4)
        kernels.stream(source)
        kernels.stream(source, result)

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call()
            sent = kernels.new(source.shape, source.width)
            kernels.stream(gradient, source)
            kernels.stream(gradient, source, sent)
            pairs = zip(weights, job.requires_grad[1:], strict=True)
            return [sent, *(kernels.new(w.shape) if needed else None for w, needed in pairs)]

        return Outcome(result, backward, (source, numbers), scratch=(numbers,))

    return rule


def _rows(job: Job, settings: Settings) -> int:
    return job.operands[0].count // max(1, math.prod(settings.ints("normalized_shape")))


def _features(job: Job, settings: Settings) -> int:
    return settings.number("num_features")


def _images(job: Job, settings: Settings) -> int:
    return job.operands[0].count // max(1, math.prod(job.operands[0].shape[-2:]))


def _groups(job: Job, settings: Settings) -> int:
    return job.operands[0].shape[0] * settings.number("num_groups")


def _dropout(job: Job, settings: Settings) -> Outcome:
    """In training a product with noise, which is saved; else nothing."""
    if not job.training or not settings.values["p"]:
        return kept(job)
    kernels, source = job.kernels, job.operands[0]
    kernels.call()
    noise, result = kernels.new(source.shape), job.result()
    for _ in range(2):  # it is drawn, and scaled
        kernels.inner_call()
        kernels.stream(noise)
    kernels.stream(source, noise, result)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent = kernels.new(source.shape)
        kernels.stream(gradient, noise, sent)
        return [sent]

    return Outcome(result, backward, (noise,), scratch=(noise,))


def _slopes(job: Job, settings: Settings) -> Outcome:
    inner = entrywise("operand")(job)

    def backward(gradient: SymbolicTensor) -> Gradients:
        return [inner.backward(gradient)[0], job.kernels.new(job.operands[1].shape)]

    return Outcome(inner.result, backward, inner.saved)


# ── windows ─────────────────────────────────────────────────────────────────────────────────────


def _merged(tensor: SymbolicTensor, axes: int) -> Shape:
    """One batch axis in front of the last ones."""
    front = tensor.shape[: len(tensor.shape) - axes]
    return (math.prod(front), *tensor.shape[len(tensor.shape) - axes :])


def _convolution(job: Job, settings: Settings) -> Outcome:
    """A convolution, with what it pads by itself or before."""
    kernels, (source, weight, *bias) = job.kernels, job.operands
    axes = settings.axes
    pads, mode = padding(settings), settings.values["padding_mode"]
    even = mode == "zeros" and all(left == right for left, right in pads)
    image = kernels.reshape(source, _merged(source, axes + 1))
    scratch = [image]
    if not even:
        image = kernels.new(
            (
                *image.shape[:2],
                *(length + sum(pad) for length, pad in zip(image.shape[2:], pads, strict=True)),
            )
        )
        kernels.copied(image)
        scratch.append(image)
    operation = op.Convolve(
        "y", "x", "w",
        stride=settings.each("stride"),
        padding=tuple(left for left, _ in pads) if even else (0,) * axes,
        dilation=settings.each("dilation"),
        bias="b" if bias else None,
    )  # fmt: skip
    return _called(job, operation, [image, weight, *bias], scratch)


def _transposed(job: Job, settings: Settings) -> Outcome:
    source, weight, *bias = job.operands
    image = job.kernels.reshape(source, _merged(source, settings.axes + 1))
    operation = op.Convolve(
        "y", "x", "w",
        stride=settings.each("stride"),
        padding=settings.each("padding"),
        dilation=settings.each("dilation"),
        transposed=True,
        output_padding=settings.each("output_padding"),
        bias="b" if bias else None,
    )  # fmt: skip
    return _called(job, operation, [image, weight, *bias], [image])


def _called(
    job: Job, operation: op.Convolve, operands: list[SymbolicTensor], scratch: list[SymbolicTensor]
) -> Outcome:
    kernels, source, shape = job.kernels, job.operands[0], job.shapes[0]
    axes = len(operation.stride)
    merged = (operands[0].shape[0], *shape[len(shape) - axes - 1 :])
    call = Call(kernels, operands, job.requires_grad, merged)
    outcome: OpResult = CONVOLUTIONS[op.Convolve](call, operation)
    result = kernels.reshape(outcome.result, shape)

    def backward(gradient: SymbolicTensor) -> Gradients:
        arrived = kernels.reshape(gradient, merged)
        first, *weights = outcome.backward(arrived)
        kernels.memory.free(arrived)
        if first is not None and first.count != source.count:  # the borders are cut off
            cut = kernels.new(source.shape)
            kernels.copied(cut)
            kernels.memory.free(first)
            first = cut
        elif first is not None:
            image = first
            first = kernels.reshape(image, source.shape)
            kernels.memory.free(image)
        return [first, *weights]

    return Outcome(result, backward, outcome.saved, scratch=(*scratch, outcome.result))


def _pool(saved: str, area: Callable[[Settings], int]) -> LayerRule:
    """The largest entry of each window, whose place is saved, or the mean."""

    def rule(job: Job, settings: Settings) -> Outcome:
        kernels, source = job.kernels, job.operands[0]
        kernels.call()
        result = job.result()
        places = [kernels.new(result.shape, 8)] if saved == "places" else []
        for _ in range(max(1, area(settings) // 4)):
            kernels.stream(source)
        kernels.stream(result, *places)

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call()
            sent = kernels.zeros(source.shape)
            kernels.stream(gradient, *places, sent)
            return [sent]

        return Outcome(result, backward, (source, *places), scratch=tuple(places))

    return rule


def _window(settings: Settings) -> int:
    return math.prod(settings.each("kernel_size"))


def _adaptive_mean(job: Job, settings: Settings) -> Outcome:
    return _pool("nothing", lambda settings: 1)(job, settings)


# ── attention ───────────────────────────────────────────────────────────────────────────────────


def _multihead(job: Job, settings: Settings) -> Outcome:
    """Three maps, attention of heads, a map; scratch and saved tensors counted as a whole."""
    kernels, (q, k, v) = job.kernels, job.operands[:3]
    batch, steps, width = q.shape
    keys, heads = k.shape[1], settings.number("num_heads")
    wide = kernels.scratch((batch * (steps + 2 * keys) * width,), 4)
    kernels.call()
    for source, taken in ((q, steps), (k, keys), (v, keys)):
        multiplied(kernels, 1, batch * taken, source.shape[-1], width)
        kernels.stream(source)
    shape = (batch, heads, steps, width // heads)
    inner = (batch, heads, keys, width // heads)
    operands = [wide.as_strided(each, (0,) * 4) for each in (shape, inner, inner)]
    mixed = attention(Job(kernels, operands, (job.recorded,) * 3, (shape,), (4,), {}, job.training))
    multiplied(kernels, 1, batch * steps, width, width)
    result = job.result()

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        for _ in range(2):
            multiplied(kernels, 1, batch * steps, width, width)
            for source, taken in ((q, steps), (k, keys), (v, keys)):
                multiplied(kernels, 1, batch * taken, source.shape[-1], width)
        for each in mixed.backward(mixed.result):
            if each is not None:
                kernels.memory.free(each)
        pairs = zip(job.operands, job.requires_grad, strict=True)
        return [kernels.new(each.shape) if needed else None for each, needed in pairs]

    saved = (q, k, v, wide, mixed.result, *mixed.saved[4:])
    scratch = (wide, mixed.result, *mixed.scratch)
    return Outcome(result, backward, saved, scratch=scratch)


_WINDOWS: dict[str, LayerRule] = {}
for axes in (1, 2, 3):
    _WINDOWS[f"Conv{axes}d"] = _convolution
    _WINDOWS[f"ConvTranspose{axes}d"] = _transposed
    _WINDOWS[f"MaxPool{axes}d"] = _pool("places", _window)
    _WINDOWS[f"AvgPool{axes}d"] = _pool("operand", _window)
    _WINDOWS[f"AdaptiveAvgPool{axes}d"] = _adaptive_mean
    _WINDOWS[f"AdaptiveMaxPool{axes}d"] = _pool("places", lambda settings: 1)
    _WINDOWS[f"BatchNorm{axes}d"] = _norm(_features)

LAYERS: dict[str, LayerRule] = {
    **_WINDOWS,
    **dict.fromkeys(("RNN", "GRU", "LSTM"), recurrent),
    "Linear": lambda job, settings: linear(job),
    "Embedding": _embedding,
    "EmbeddingBag": _bag,
    "LayerNorm": _norm(_rows),
    "RMSNorm": _norm(_rows),
    "InstanceNorm2d": _norm(_images),
    "GroupNorm": _norm(_groups),
    "Dropout": _dropout,
    "Dropout2d": _dropout,
    "Identity": lambda job, settings: kept(job),
    "PReLU": _slopes,
    "Flatten": lambda job, settings: reshaped(job),
    "MultiheadAttention": _multihead,
}
"""What each layer costs."""
