"""Functions that only move entries: to other axes, to other places, together and apart."""

from __future__ import annotations

import tncompile.models.emission.expressions.views as views
from tncompile.language.typing.values import Shape
from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.sources import helped
from tncompile.models.emission.expressions.text import Text, bracket, call, one_or_tuple


def _reshape(applied: Applied) -> Text:
    shape = applied.option("shape")
    assert isinstance(shape, Shape)
    return views.reshaped(applied.tensor(), applied.shape, shape.sizes, applied.context)


def _flatten(applied: Applied) -> Text:
    first, last = applied.axis("start_dim"), applied.axis("end_dim")
    return applied.tensor() if first == last else views.merged(applied.tensor(), first, last)


def _transpose(applied: Applied) -> Text:
    first, second = applied.axis("dim0"), applied.axis("dim1")
    return applied.tensor().method("transpose", first, second)


def _permute(applied: Applied) -> Text:
    axes, count = applied.axes(), len(applied.shape.sizes)
    order = [axis % count for axis in axes]
    return views.permuted(applied.tensor(), order, dots=applied.shape.dots)


def _expand(applied: Applied) -> Text:
    shape = applied.option("size")
    assert isinstance(shape, Shape)
    if shape == applied.shape:
        return applied.tensor()
    lead = [f"*{applied.context.leading(None)}"] if shape.dots else []
    return applied.tensor().method("expand", *lead, *applied.texts_of("size"))


def _joined(applied: Applied) -> Text:
    name = "torch.cat" if applied.name == "concat" else "torch.stack"
    tensors = [applied.tensor(k) for k in range(len(applied.texts))]
    if len(tensors) == 1:
        (lone,) = tensors
        return lone if applied.name == "concat" else lone.method("unsqueeze", applied.axis())
    return call(name, bracket(tensors), applied.axis())


def _split(applied: Applied) -> Text:
    sizes = ", ".join(applied.texts_of("sizes"))
    return call("torch.split", applied.tensor(), f"[{sizes}]", applied.axis())


def _chunk(applied: Applied) -> Text:
    return applied.tensor().method("chunk", applied.text("n"), applied.axis())


def _flip(applied: Applied) -> Text:
    return applied.tensor().method("flip", *applied.axes())


def _roll(applied: Applied) -> Text:
    shifts, axes = one_or_tuple(applied.texts_of("shifts")), one_or_tuple(applied.axes())
    return applied.tensor().method("roll", shifts, axes)


def _pad(applied: Applied) -> Text:
    axis, mode = applied.axis(), applied.option("mode")
    sides = [applied.text("left"), applied.text("right")]
    applied.context.use("F")
    if mode == "constant":
        zeros = [0, 0] * (-1 - axis)
        value = applied.keywords(value=0.0)
        return call("F.pad", applied.tensor(), bracket([*zeros, *sides]), *value)
    if axis == -1 and not applied.shape.dots and len(applied.shape.sizes) == 3:
        return call("F.pad", applied.tensor(), bracket(sides), f"mode={applied.text('mode')}")
    return helped(applied.context, "_padded", applied.tensor(), *sides, axis, applied.text("mode"))


def _interpolate(applied: Applied) -> Text:
    applied.context.use("F")
    name = "size" if applied.option("scale") is None else "scale"
    numbers = applied.texts_of(name)
    new = numbers[0] if len(set(numbers)) == 1 else bracket(numbers)
    keyword = {"size": "size", "scale": "scale_factor"}[name]
    arguments = [f"{keyword}={new}", *applied.keywords(mode="nearest")]
    tensor, axes = applied.tensor(0, "float"), len(numbers)
    if not applied.shape.dots and len(applied.shape.sizes) == axes + 2:
        return call("F.interpolate", tensor, *arguments)
    return helped(applied.context, "_interpolated", tensor, axes, *arguments)


RULES = {
    "reshape": _reshape,
    "flatten": _flatten,
    "transpose": _transpose,
    "permute": _permute,
    "expand": _expand,
    "concat": _joined,
    "stack": _joined,
    "split": _split,
    "chunk": _chunk,
    "flip": _flip,
    "roll": _roll,
    "pad": _pad,
    "interpolate": _interpolate,
}
