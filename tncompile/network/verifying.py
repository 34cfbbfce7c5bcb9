"""Why a tensor network is not a legal one: what every stage after it relies on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain

from tncompile.network.model import DOTS, RUN_TIME, Tensor, TensorNetwork


def verify_network(network: TensorNetwork) -> Iterator[str]:
    """What is wrong with the network, one sentence a mistake; nothing where it is legal.

    A network with names that do not resolve is checked no further: the rest would fail on them.
    """
    for check in (_names, _references):
        problems = tuple(check(network))
        yield from problems
        if problems:
            return
    for rule in (_sizes, _shapes, _legs, _axes, _inputs, _windows, _ends, _used):
        yield from rule(network)


def _names(network: TensorNetwork) -> Iterator[str]:
    """Names are unique within their kind; `...` is the one index of kind `dots`."""
    named: tuple[tuple[str, Iterable[str]], ...] = (
        ("index", (index.name for index in network.indices)),
        ("window", (window.name for window in network.windows)),
        ("input", (each.name for each in network.inputs)),
        ("parameter", (parameter.key for parameter in network.parameters)),
        ("tensor", (tensor.name for tensor in network.tensors)),
    )
    for word, names in named:
        for name, count in Counter(names).items():
            if count > 1:
                yield f"{word} `{name}` is declared {count} times"
    for index in network.indices:
        if (index.name == DOTS) != (index.kind == "dots"):
            yield f"index `{index.name}` is of kind {index.kind}"


def _references(network: TensorNetwork) -> Iterator[str]:
    """Every index and every source that is named exists."""
    flat = chain.from_iterable
    places: list[tuple[str, Iterable[str]]] = [
        *((f"tensor `{t.name}`", t.legs) for t in network.tensors),
        *((f"parameter `{p.key}`", flat(p.axes)) for p in network.parameters),
        *((f"input `{i.name}`", flat(axis.indices for axis in i.axes)) for i in network.inputs),
        *((f"bias `{b.parameter}`", flat(b.axes)) for b in network.biases),
        (f"output `{network.output.name}`", network.output.legs),
    ]
    for place, legs in places:
        for leg in legs:
            if leg not in network.index:
                yield f"{place} has the leg `{leg}`, which is no index"
    for tensor in network.tensors:
        sources = network.input if tensor.role == "input" else network.parameter
        known = tensor.source.isdigit() if tensor.role == "mask" else tensor.source in sources
        if not known:
            yield f"tensor `{tensor.name}` has the {tensor.role} `{tensor.source}`, which is none"
    for bias in network.biases:
        if bias.parameter not in network.parameter:
            yield f"bias `{bias.parameter}` is no parameter"


def _sizes(network: TensorNetwork) -> Iterator[str]:
    """Sizes are positive; batch axes and those of windows have theirs at run time."""
    for index in network.indices:
        if index.kind in RUN_TIME:
            if index.size is not None:
                yield f"index `{index.name}` of kind {index.kind} has the size {index.size}"
        elif index.size is None or index.size < 1:
            yield f"index `{index.name}` has the size {index.size}"


def _shapes(network: TensorNetwork) -> Iterator[str]:
    """A parameter's shape is its axes' and that of each use; a mask is one axis, long enough."""
    for parameter in network.parameters:
        if network.shape(parameter.axes) != parameter.shape:
            yield f"parameter `{parameter.key}` has the shape {parameter.shape}, not its axes'"
    for tensor in network.tensors:
        own = network.shape(tensor.axes)
        if tensor.role == "parameter":
            shape = network.parameter[tensor.source].shape
            if own != shape:
                yield f"tensor `{tensor.name}` does not fit `{tensor.source}` of shape {shape}"
        elif tensor.conjugate:
            yield f"tensor `{tensor.name}` is conjugated but no parameter"
        if tensor.role == "mask":
            size = own[0] if len(own) == 1 else None
            if size is None or not 1 <= int(tensor.source) <= size:
                yield f"mask `{tensor.name}` keeps {tensor.source} of {size} entries"
    for bias in network.biases:
        shape = network.parameter[bias.parameter].shape
        if network.shape(bias.axes) != shape:
            yield f"bias `{bias.parameter}` does not have its shape {shape}"


def _legs(network: TensorNetwork) -> Iterator[str]:
    """No index twice on one tensor, input axis list or output; run-time axes on no parameter."""

    def repeated(place: str, legs: Iterable[str]) -> Iterator[str]:
        for leg, count in Counter(legs).items():
            if count > 1:
                yield f"{place} has the leg `{leg}` {count} times"

    for tensor in network.tensors:
        yield from repeated(f"tensor `{tensor.name}`", tensor.legs)
        if tensor.role != "input":
            for leg in tensor.legs:
                if network.index[leg].kind in RUN_TIME:
                    yield f"tensor `{tensor.name}` carries the run-time axis `{leg}`"
    yield from repeated("the output", network.output.legs)
    for bias in network.biases:
        legs = [*chain.from_iterable(bias.axes)]
        yield from repeated(f"bias `{bias.parameter}`", legs)
        for leg in legs:
            if leg not in network.output.legs:
                yield f"bias `{bias.parameter}` has the leg `{leg}`, which the output lacks"
    if network.biases and network.output.log:
        yield "a network with `log` has a bias"


def _axes(network: TensorNetwork) -> Iterator[str]:
    """The axes of inputs and output have their indices' sizes and no more than that in width."""
    places = [(f"input `{i.name}`", i.axes) for i in network.inputs]
    for place, axes in [*places, ("the output", network.output.axes)]:
        for axis in axes:
            match axis.kind:
                case "dots":
                    sound = axis.indices == (DOTS,) and axis.size is axis.width is None
                case "slices":
                    sound = not axis.indices and axis.size is not None and axis.width is None
                case "legs" | "onehot":
                    (size,) = network.shape([axis.indices])
                    sound = axis.size == size  # 1 for an axis over an empty family
                    sound &= axis.width is None or (size is not None and 1 <= axis.width <= size)
            if not sound:
                yield f"{place} has an axis that does not fit its indices: {axis!r}"
        if sum(axis.kind == "onehot" for axis in axes) > (0 if place == "the output" else 1):
            yield f"{place} has too many `onehot` axes"
    if any(axis.kind == "slices" for axis in network.output.axes):
        yield "the output has an axis of slices"


def _inputs(network: TensorNetwork) -> Iterator[str]:
    """Each input has one tensor a slice, of the axes that are left, at every position once."""
    slices: dict[str, list[Tensor]] = {each.name: [] for each in network.inputs}
    for tensor in network.tensors:
        if tensor.role == "input":
            slices[tensor.source].append(tensor)
    for name, tensors in slices.items():
        every = network.input[name].axes
        lengths = [axis.size or 0 for axis in every if axis.kind == "slices"]
        axes = [axis for axis in every if axis.kind != "slices"]
        due = math.prod(lengths)
        if not len({tensor.position for tensor in tensors}) == len(tensors) == due:
            yield f"input `{name}` has {len(tensors)} tensors for {due} slices"
            continue
        for tensor in tensors:
            inside = len(tensor.position) == len(lengths) and all(
                0 <= at < length for at, length in zip(tensor.position, lengths, strict=True)
            )
            if not inside:
                yield f"tensor `{tensor.name}` is at position {tensor.position} of `{name}`"
            if network.shape(tensor.axes) != tuple(axis.size for axis in axes):
                yield f"tensor `{tensor.name}` does not have the axes of input `{name}`"
            elif not any(tensor.position) and tensor.axes != tuple(axis.indices for axis in axes):
                yield f"tensor `{tensor.name}` has other legs than input `{name}`"


def _windows(network: TensorNetwork) -> Iterator[str]:
    """A window has its three indices, one on an input, one on tensors, one on the output."""
    for window in network.windows:
        legs = {
            window.input_leg: "window",
            window.output_leg: "window",
            window.kernel_leg: "kernel",
        }
        if any(name not in network.index or network.index[name].kind != kind
               for name, kind in legs.items()):  # fmt: skip
            yield f"window `{window.name}` lacks one of its indices {', '.join(legs)}"
            continue
        if network.index[window.kernel_leg].size != window.size:
            yield f"the kernel of window `{window.name}` does not have its size {window.size}"
        if min(window.stride, window.dilation, window.size, window.extra + 1) < 1:
            yield f"window `{window.name}` has a number that is too small: {window!r}"
        if window.transposed and window.mode != "zeros":
            yield f"window `{window.name}` is transposed and pads with other than zeros"
        carriers = [t for t in network.tensors if window.input_leg in t.legs]
        if len(carriers) != 1 or carriers[0].role != "input" or carriers[0].position:
            yield f"`{window.input_leg}` is not on one input alone"
        if (window.output_leg,) not in [axis.indices for axis in network.output.axes]:
            yield f"`{window.output_leg}` is no axis of the output"
        if not any(window.kernel_leg in t.legs for t in network.tensors if t.role != "input"):
            yield f"`{window.kernel_leg}` is on no tensor"
    known = set(network.window)
    for index in network.indices:
        if index.kind in ("window", "kernel") and index.name not in known:
            yield f"index `{index.name}` of kind {index.kind} belongs to no window"


def _ends(network: TensorNetwork) -> Iterator[str]:
    """Bonds have two ends on tensors (one will do on a mask), others two or more; run-time axes an
    input and the output.
    """
    on_tensors: Counter[str] = Counter()
    on_inputs: Counter[str] = Counter()
    for tensor in network.tensors:
        (on_inputs if tensor.role == "input" else on_tensors).update(tensor.legs)
    outside = set(network.output.legs)
    masked = {leg for tensor in network.tensors if tensor.role == "mask" for leg in tensor.legs}
    for index in network.indices:
        name, kind = index.name, index.kind
        if kind in ("window", "kernel"):
            continue
        ends = on_tensors[name] + on_inputs[name] + (name in outside)
        seen = on_inputs[name] > 0 or name in outside
        passes = on_inputs[name] > 0 and name in outside
        if kind == "dots":
            if not passes:
                yield f"index `{name}` is not on the output and an input"
        elif (ends < 2 and name not in masked) or (kind == "bond" and ends > 2):
            yield f"{kind} `{name}` has {ends} ends"
        elif kind in ("bond", "hyper") and seen:
            yield f"{kind} `{name}` is on an input or the output"
        elif kind == "index" and not seen:
            yield f"index `{name}` is on tensors only"
        elif kind == "batch" and not passes:
            yield f"batch axis `{name}` is not on the output and an input"


def _used(network: TensorNetwork) -> Iterator[str]:
    """Every parameter is a factor or a bias, and not both; its scheme has the number it takes."""
    factors = {tensor.source for tensor in network.tensors if tensor.role == "parameter"}
    added = [bias.parameter for bias in network.biases]
    for parameter in network.parameters:
        key, init = parameter.key, parameter.init
        uses = (key in factors) + added.count(key)
        if uses != 1:
            yield f"parameter `{key}` is {'unused' if not uses else 'factor and bias'}"
        if (init.scheme in ("normal", "uniform", "constant")) != (init.argument is not None):
            yield f"parameter `{key}` has a scheme without its number, or one too many"
