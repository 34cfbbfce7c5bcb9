"""What calls of parts do with the causal axis: where their results have it, or TN609."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tncompile.language.resolved import DOTS, ResolvedAxis, ResolvedNetwork
from tncompile.language.typing.causality.following import Axis, Following
from tncompile.language.typing.causality.functions import flattened
from tncompile.language.typing.model import Extern, Layer, ResolvedModel
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape

Axes = tuple[Axis, ...]
"""Of the results."""


def part_axes(following: Following, operation: CallPart) -> Axes:
    """Where the results of a part have the causal axis; asked where an operand has it."""
    match operation.part.callee:
        case ResolvedModel() as model:
            return _model(following, operation, model)
        case ResolvedNetwork() as network:
            return _network(following, operation, network)
        case Extern() as extern:
            return _extern(following, operation, extern)
        case layer:
            rule = LAYER_RULES.get(layer.name)
            if rule is None:
                raise following.along(f"`{layer.name}`")
            return rule(following, layer)


# ── models, networks, what is extern ──────────────────────────────────────────────────────────────

Place = int | str
"""An axis of `...`, counted from its right, or the name that a part has for the axis."""


def _one(following: Following, places: set[Place]) -> Place:
    if len(places) > 1:
        raise following.wrong(f"`{following.size.name}` is on different axes of the arguments")
    return places.pop()


def _model(following: Following, operation: CallPart, model: ResolvedModel) -> Axes:
    inputs = {source.name: source.shape for source in model.inputs}
    causal = {size.name for size in model.sizes if size.causal}
    part, name = operation.part.name, following.size.name
    places: set[Place] = set()
    for axis, source in zip(following.axes, operation.inputs, strict=True):
        if axis is None:
            continue
        sizes = inputs[source].sizes
        if axis < -len(sizes):
            if (unknown := _unknown_extern(model)) is not None:
                text = f"what `{unknown}` of `{model.name}` does along `...` is not known"
                keeps = "say that it keeps them apart: `(..., d) -> (..., d)`"
                raise following.wrong(text, keeps)
            places.add(axis + len(sizes))
            continue
        bound = next((each for each in causal if sizes[axis] == Size.name(each)), None)
        if bound is None:
            message = f"`{part}` is not causal along its axis `{sizes[axis]}`, which is `{name}`"
            causal_there = f"declare `batch {sizes[axis]} causal` in `{model.name}`, if it is so"
            hint = causal_there if str(sizes[axis]).isidentifier() else None
            raise following.wrong(message, hint)
        places.add(bound)
    place = _one(following, places)
    return tuple(_of_shape(value.shape, place) for value in model.output)


def _unknown_extern(model: ResolvedModel) -> str | None:
    """An `extern` in a model that may mix the axes of `...`: what it takes has none."""
    todo, seen = [model], set[int]()
    while todo:
        each = todo.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        for part in (*each.parts, *each.handed.values()):
            match part.callee:
                case ResolvedModel() as inner:
                    todo.append(inner)
                case Extern(takes=takes, gives=gives):
                    if not all(shape.shape.dots for shape in takes or gives or ()) or not (
                        takes or gives
                    ):
                        return part.name
    return None


def _of_shape(shape: Shape, place: Place) -> Axis:
    if isinstance(place, int):
        return place - len(shape.sizes) if shape.dots else None
    found = [k for k, size in enumerate(shape.sizes) if size == Size.name(place)]
    return found[0] - len(shape.sizes) if found else None


def _network(following: Following, operation: CallPart, network: ResolvedNetwork) -> Axes:
    inputs = {source.name: source.axes for source in network.inputs}
    windows = {f"{window.name}.in": window for window in network.windows}
    places: set[Place] = set()
    for axis, source in zip(following.axes, operation.inputs, strict=True):
        if axis is None:
            continue
        axes = [
            each for each in inputs[source] if each.indices != (DOTS,) and each.kind != "onehot"
        ]  # of the tensor: ids have no axis for their onehot leg
        if axis < -len(axes):
            places.add(axis + len(axes))
            continue
        (index,) = axes[axis].indices
        if (window := windows.get(index)) is None:
            places.add(index)
            continue
        causal = (window.stride, window.right, window.mode) == (1, 0, "zeros")
        if window.transposed or not causal or window.left != window.dilation * (window.size - 1):
            message = (
                f"the window `{window.name}` of `{operation.part.name}` looks at later entries"
            )
            hint = 'write `padding = "causal"` with a stride of 1'
            raise following.wrong(message, hint)
        places.add(f"{window.name}.out")
    place = _one(following, places)
    axis = _of_axes(network.output.axes, place)
    return (axis, axis) if network.output.log else (axis,)


def _of_axes(axes: tuple[ResolvedAxis, ...], place: Place) -> Axis:
    written = [axis.indices for axis in axes if axis.indices != (DOTS,)]
    if isinstance(place, int):
        return place - len(written) if len(written) < len(axes) else None
    return written.index((place,)) - len(written) if (place,) in written else None


def _extern(following: Following, operation: CallPart, extern: Extern) -> Axes:
    places: set[Place] = set()
    named = tuple(each.shape for each in extern.takes or extern.gives or ())
    for k, axis in enumerate(following.axes):
        if axis is None:
            continue
        shape = named[min(k, len(named) - 1)] if named else Shape()
        if not shape.dots or axis >= -len(shape.sizes):
            message = (
                f"what `{operation.part.name}` does along `{following.size.name}` is not known"
            )
            hint = "let it be one of the axes of its `...`: `(..., d) -> (..., d)`"
            raise following.wrong(message, hint)
        places.add(axis + len(shape.sizes))
    place = _one(following, places)
    results = tuple(each.shape for each in extern.gives or extern.takes or ())
    if extern.gives is None:
        return (following.axes[0],)
    return tuple(_of_shape(shape, place) for shape in results)


# ── layers ────────────────────────────────────────────────────────────────────────────────────────

LayerRule = Callable[[Following, Layer], Axes]


def _any_axis(following: Following, layer: Layer) -> Axes:
    return (following.first,)


def _last(count: int) -> LayerRule:
    """Works along the last axes, `count` of them."""

    def rule(following: Following, layer: Layer) -> Axes:
        if following.first >= -count:
            raise following.along(f"`{layer.name}`")
        return (following.first,)

    return rule


def _normalized(following: Following, layer: Layer) -> Axes:
    shape = layer.arguments["normalized_shape"]
    return _last(len(shape) if isinstance(shape, tuple) else 1)(following, layer)


def _embedding(following: Following, layer: Layer) -> Axes:
    return (following.first - 1,)


def _bags(following: Following, layer: Layer) -> Axes:
    if len(following.axes) > 1 or following.first != -2:
        raise following.along(f"`{layer.name}`")
    return (-2,)


def _conv1d(following: Following, layer: Layer) -> Axes:
    kernel, stride = (layer.arguments.get(name, 1) for name in ("kernel_size", "stride"))
    padding = layer.arguments.get("padding", 0)
    one = kernel in (1, (1,)) and stride in (1, (1,)) and padding in (0, (0,), "valid", "same")
    if following.first == -1 and not one:
        message = f"`Conv1d` along `{following.size.name}` looks at later entries"
        hint = 'use a network with `window h = conv(size, padding = "causal")`'
        raise following.wrong(message, hint)
    return (following.first,)


def _groups(following: Following, layer: Layer) -> Axes:
    return _last(len(following.shape(0).sizes) - 1)(following, layer)


def _flatten(following: Following, layer: Layer) -> Axes:
    count = len(following.shape(0).sizes)
    start, end = (
        number - count if number >= 0 else number
        for number in (layer.arguments.get("start_dim", 1), layer.arguments.get("end_dim", -1))
        if isinstance(number, int)
    )
    return (flattened(following, start, end),)


def _recurrent(following: Following, layer: Layer) -> Axes:
    """Steps along axis -2; the last state has no axis for them."""
    axis = following.axes[0]
    count = 2 if layer.name == "LSTM" else 1
    if axis == -3:
        return (-3, *[-2] * count)
    if axis != -2:
        raise following.along(f"`{layer.name}`")
    if layer.arguments.get("bidirectional"):
        hint = "leave out `bidirectional`"
        raise following.wrong(f"`{layer.name}` runs from the end as well", hint)
    return (-2, *[None] * count)


def _heads(following: Following, layer: Layer) -> Axes:
    if following.first == -3:
        return (-3,)
    name = following.size.name
    hint = "use `attention(q, k, v, causal = true)`"
    raise following.wrong(f"`{layer.name}` looks at later entries along `{name}`", hint)


LAYER_RULES: Mapping[str, LayerRule] = {
    **dict.fromkeys(("Dropout", "Identity", "PReLU", "Dropout2d"), _any_axis),
    **dict.fromkeys(("LayerNorm", "RMSNorm"), _normalized),
    **dict.fromkeys(("RNN", "GRU", "LSTM"), _recurrent),
    **dict.fromkeys(("MaxPool1d", "AvgPool1d", "AdaptiveAvgPool1d", "ConvTranspose1d"), _last(2)),
    **dict.fromkeys(("Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d"), _last(3)),
    **dict.fromkeys(("AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "InstanceNorm2d"), _last(3)),
    **dict.fromkeys(("Conv3d", "MaxPool3d", "AvgPool3d"), _last(4)),
    "Linear": _last(1),
    "Embedding": _embedding,
    "EmbeddingBag": _bags,
    "Conv1d": _conv1d,
    "GroupNorm": _groups,
    "Flatten": _flatten,
    "MultiheadAttention": _heads,
}
"""Layers that are not here look at everything: batch norms do, in training."""
