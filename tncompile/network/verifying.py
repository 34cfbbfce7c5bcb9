"""Why a tensor network is not a legal one: what every stage after it relies on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from tncompile.network.model import DOTS, Input, Parameter, Tensor, TensorNetwork

ENDS = {"bond": (2, 2), "hyper": (2, None), "index": (2, None), "batch": (2, None)}
"""How many ends an index of a kind has: at least, at most."""


def verify_network(network: TensorNetwork) -> Iterator[str]:
    """What is wrong with the network, one sentence a mistake; nothing where it is legal.

    A network with names that do not resolve is checked no further: the rest would fail on them.
    """
    for check in (_names, _references):
        problems = tuple(check(network))
        yield from problems
        if problems:
            return
    for rule in RULES:
        yield from rule(network)


def _names(network: TensorNetwork) -> Iterator[str]:
    """Names are unique within their kind; `...` is the one index of kind `dots`."""
    named: tuple[tuple[str, Iterable[str]], ...] = (
        ("index", (index.name for index in network.indices)),
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
    places: list[tuple[str, Iterable[str]]] = [
        *((f"tensor `{t.name}`", t.legs) for t in network.tensors),
        *((f"parameter `{p.key}`", _flat(p.axes)) for p in network.parameters),
        *((f"input `{i.name}`", _flat(a.indices for a in i.axes)) for i in network.inputs),
        *((f"bias `{b.parameter}`", _flat(b.axes)) for b in network.biases),
        (f"output `{network.output.name}`", network.output.legs),
    ]
    for place, legs in places:
        for leg in legs:
            if leg not in network.index:
                yield f"{place} has the leg `{leg}`, which is no index"
    for tensor in network.tensors:
        match tensor.role:
            case "parameter":
                known = tensor.source in network.parameter
            case "input":
                known = tensor.source in network.input
            case "mask":
                known = tensor.source.isdigit()
        if not known:
            yield f"tensor `{tensor.name}` has the {tensor.role} `{tensor.source}`, which is none"
    for bias in network.biases:
        if bias.parameter not in network.parameter:
            yield f"bias `{bias.parameter}` is no parameter"


def _sizes(network: TensorNetwork) -> Iterator[str]:
    """Sizes are positive; only batch axes have theirs at run time."""
    for index in network.indices:
        if index.kind in ("batch", "dots"):
            if index.size is not None:
                yield f"index `{index.name}` of kind {index.kind} has the size {index.size}"
        elif index.size is None or index.size < 1:
            yield f"index `{index.name}` has the size {index.size}"


def _shapes(network: TensorNetwork) -> Iterator[str]:
    """A parameter's shape is its axes'; each use has that shape too."""
    for parameter in network.parameters:
        if _shape(network, parameter.axes) != parameter.shape:
            yield f"parameter `{parameter.key}` has the shape {parameter.shape}, not its axes'"
    for tensor in network.tensors:
        if tensor.role == "parameter":
            shape = network.parameter[tensor.source].shape
            if _shape(network, tensor.axes) != shape:
                yield f"tensor `{tensor.name}` does not fit `{tensor.source}` of shape {shape}"
        elif tensor.conjugate:
            yield f"tensor `{tensor.name}` is conjugated but no parameter"
    for bias in network.biases:
        shape = network.parameter[bias.parameter].shape
        if _shape(network, bias.axes) != shape:
            yield f"bias `{bias.parameter}` does not have its shape {shape}"


def _legs(network: TensorNetwork) -> Iterator[str]:
    """No index twice on one tensor, input axis list or output; run-time axes on no parameter."""
    for tensor in network.tensors:
        yield from _repeated(f"tensor `{tensor.name}`", tensor.legs)
        if tensor.role != "input":
            for leg in tensor.legs:
                if network.index[leg].kind in ("batch", "dots"):
                    yield f"tensor `{tensor.name}` carries the run-time axis `{leg}`"
    yield from _repeated("the output", network.output.legs)
    for bias in network.biases:
        yield from _repeated(f"bias `{bias.parameter}`", _flat(bias.axes))
        for leg in _flat(bias.axes):
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
                    sizes = [network.index[leg].size for leg in axis.indices]
                    known = [size for size in sizes if size is not None]
                    whole = math.prod(known) if len(known) == len(sizes) else None
                    sound = axis.size == whole  # 1 for an axis over an empty family
                    sound &= axis.width is None or (whole is not None and 1 <= axis.width <= whole)
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
    for each in network.inputs:
        yield from _input(network, each, slices[each.name])


def _input(network: TensorNetwork, declared: Input, tensors: list[Tensor]) -> Iterator[str]:
    lengths = [axis.size or 0 for axis in declared.axes if axis.kind == "slices"]
    axes = [axis for axis in declared.axes if axis.kind != "slices"]
    if len({tensor.position for tensor in tensors}) != len(tensors) or len(tensors) != math.prod(
        lengths
    ):
        yield f"input `{declared.name}` has {len(tensors)} tensors for {math.prod(lengths)} slices"
        return
    for tensor in tensors:
        inside = len(tensor.position) == len(lengths) and all(
            0 <= at < length for at, length in zip(tensor.position, lengths, strict=True)
        )
        if not inside:
            yield f"tensor `{tensor.name}` is at position {tensor.position} of `{declared.name}`"
        if len(tensor.axes) != len(axes) or any(
            _product(network, indices) != axis.size
            for indices, axis in zip(tensor.axes, axes, strict=True)
        ):
            yield f"tensor `{tensor.name}` does not have the axes of input `{declared.name}`"
        elif not any(tensor.position) and tensor.axes != tuple(axis.indices for axis in axes):
            yield f"tensor `{tensor.name}` has other legs than input `{declared.name}`"


def _masks(network: TensorNetwork) -> Iterator[str]:
    """A mask has one axis, not shorter than what it keeps."""
    for tensor in network.tensors:
        if tensor.role == "mask":
            size = _product(network, tensor.axes[0]) if len(tensor.axes) == 1 else None
            if size is None or not 1 <= int(tensor.source) <= size:
                yield f"mask `{tensor.name}` keeps {tensor.source} of {size} entries"


def _ends(network: TensorNetwork) -> Iterator[str]:
    """Kinds carry their number of ends: bonds two on tensors, others two or more."""
    on_tensors: Counter[str] = Counter()
    on_inputs: Counter[str] = Counter()
    for tensor in network.tensors:
        (on_inputs if tensor.role == "input" else on_tensors).update(tensor.legs)
    outside = set(network.output.legs)
    for index in network.indices:
        name = index.name
        ends = on_tensors[name] + on_inputs[name] + (name in outside)
        seen = on_inputs[name] > 0 or name in outside
        if index.kind == "dots":
            if not on_inputs[name] or name not in outside:
                yield f"index `{name}` is not on the output and an input"
            continue
        least, most = ENDS[index.kind]
        if ends < least or (most is not None and ends > most):
            yield f"{index.kind} `{name}` has {ends} ends"
        elif index.kind in ("bond", "hyper") and seen:
            yield f"{index.kind} `{name}` is on an input or the output"
        elif index.kind == "index" and not seen:
            yield f"index `{name}` is on tensors only"
        elif index.kind == "batch" and (not on_inputs[name] or name not in outside):
            yield f"batch axis `{name}` is not on the output and an input"


def _used(network: TensorNetwork) -> Iterator[str]:
    """Every parameter is a factor or a bias, and not both."""
    factors = {tensor.source for tensor in network.tensors if tensor.role == "parameter"}
    added = [bias.parameter for bias in network.biases]
    for parameter in network.parameters:
        uses = (parameter.key in factors) + added.count(parameter.key)
        if uses != 1:
            yield f"parameter `{parameter.key}` is {'unused' if not uses else 'factor and bias'}"
        yield from _scheme(parameter)


def _scheme(parameter: Parameter) -> Iterator[str]:
    argued = parameter.init.scheme in ("normal", "uniform")
    if argued != (parameter.init.argument is not None):
        yield f"parameter `{parameter.key}` has a scheme without its number, or one too many"


def _repeated(place: str, legs: Iterable[str]) -> Iterator[str]:
    for leg, count in Counter(legs).items():
        if count > 1:
            yield f"{place} has the leg `{leg}` {count} times"


def _flat(axes: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(index for axis in axes for index in axis)


def _product(network: TensorNetwork, axis: tuple[str, ...]) -> int | None:
    """The size of one axis, None at run time."""
    sizes = [network.index[leg].size for leg in axis]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def _shape(network: TensorNetwork, axes: tuple[tuple[str, ...], ...]) -> tuple[int | None, ...]:
    return tuple(_product(network, axis) for axis in axes)


RULES: tuple[Callable[[TensorNetwork], Iterator[str]], ...] = (
    _sizes,
    _shapes,
    _legs,
    _axes,
    _inputs,
    _masks,
    _ends,
    _used,
)
