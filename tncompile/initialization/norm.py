"""A network contracted with itself: the mean square of its output, exactly, from its parameters.

Take the inputs away and what is left of a network is one tensor W with the indices of its inputs
and of its output. For inputs whose entries are independent, of mean zero and variance one,

    mean of output ** 2  =  sum of |W| ** 2  /  number of outputs,

whatever the topology. Unit vectors (feature maps: slices of an axis) and ids divide it by the size
of each, and a width after `as` takes the entries beyond it out of the sum. The sum is a network of
its own, W times its conjugate; `doubled` builds it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tncompile.network.model import Axis, Index, Output, Tensor, TensorNetwork

RUN_TIME = ("batch", "dots")


@dataclass(frozen=True)
class Linear:
    """The map W of a network: `tensors` and `masks` over indices of which `outside` are seen.

    `log_divisor` is what log |W|² is lowered by to give the logarithm of the mean square of an
    output entry. Parameters that start at zero are left out, as the map would vanish with them:
    what is left counts as a map onto the indices that they carry.
    """

    network: TensorNetwork
    tensors: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    outside: frozenset[str]
    log_divisor: float

    @cached_property
    def carried(self) -> tuple[Index, ...]:
        """The indices that are on a tensor or a mask, in order."""
        legs = {leg for tensor in (*self.tensors, *self.masks) for leg in tensor.legs}
        return tuple(index for index in self.network.indices if index.name in legs)


def linear(network: TensorNetwork) -> Linear:
    """The map that the network is in its inputs."""
    zero = {parameter.key for parameter in network.parameters if parameter.init.scheme == "zeros"}
    factors = [tensor for tensor in network.tensors if tensor.role == "parameter"]
    kept = tuple(tensor for tensor in factors if tensor.source not in zero)
    carried = {leg for tensor in kept for leg in tensor.legs}
    removed = {leg for tensor in factors if tensor.source in zero for leg in tensor.legs}
    outputs, inputs = _seen(network)
    masks = tuple(_masks(network, carried, keep_all=not removed))
    divisor = _log_divisor(network)
    # An index that nothing carries any more is summed over ones; one that only vanishing tensors
    # carried is no matter of this map.
    masked = {leg for mask in masks for leg in mask.legs}
    for name in dict.fromkeys((*outputs, *inputs)):
        if name not in carried and name not in masked and (name in outputs or name not in removed):
            divisor -= math.log(_size(network, name))
    cut = [leg for leg in dict.fromkeys(sorted(removed)) if leg in carried]
    cut = [leg for leg in cut if leg not in outputs and leg not in inputs]
    reached = _reached(kept, inputs)
    divisor += sum(math.log(_size(network, leg)) for leg in cut if leg in reached)
    return Linear(network, kept, masks, frozenset({*outputs, *inputs, *cut}), divisor)


def doubled(given: Linear) -> TensorNetwork:
    """The scalar network |W|²: every tensor twice, the second conjugated, its inner indices primed.

    Indices that are seen outside are shared by both copies; masks stand once (0 and 1 are their own
    squares).
    """
    copies: list[Tensor] = []
    for tensor in given.tensors:
        axes = tuple(
            tuple(leg if leg in given.outside else f"{leg}'" for leg in axis)
            for axis in tensor.axes
        )
        copies.append(tensor)
        copies.append(
            Tensor(
                name=f"{tensor.name}'",
                role=tensor.role,
                source=tensor.source,
                axes=axes,
                conjugate=not tensor.conjugate,
                line=tensor.line,
            )
        )
    tensors = (*copies, *given.masks)
    ends = Counter(leg for tensor in tensors for leg in tensor.legs)
    indices: list[Index] = []
    for index in given.carried:
        kind = "bond" if ends[index.name] == 2 else "hyper"
        indices.append(index.model_copy(update={"kind": kind}))
        if index.name not in given.outside:
            primed = {"name": f"{index.name}'", "family": f"{index.family}'", "kind": kind}
            indices.append(index.model_copy(update=primed))
    used = {tensor.source for tensor in given.tensors}
    network = given.network
    return TensorNetwork(
        name=network.name,
        target=network.target,
        indices=tuple(indices),
        inputs=(),
        parameters=tuple(p for p in network.parameters if p.key in used),
        tensors=tensors,
        output=Output(name=network.output.name, axes=(), written="the map times itself"),
    )


def _seen(network: TensorNetwork) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The indices on the output, and those on inputs, batch axes left out."""
    inputs = dict.fromkeys(
        leg for tensor in network.tensors if tensor.role == "input" for leg in tensor.legs
    )
    outputs = dict.fromkeys(network.output.legs)
    first, second = (
        tuple(name for name in names if network.index[name].kind not in RUN_TIME)
        for names in (outputs, inputs)
    )
    return first, second


def _masks(network: TensorNetwork, carried: set[str], *, keep_all: bool) -> Iterator[Tensor]:
    """One mask for each axis that `as` cuts short, on the output and on inputs."""
    cut: dict[tuple[tuple[str, ...], int], None] = {}
    for axis in network.output.axes:
        if axis.width is not None and axis.width != axis.size:
            cut[axis.indices, axis.width] = None
    for tensor in network.tensors:
        if tensor.role != "input":
            continue
        for axis, indices in zip(_tensor_axes(network, tensor), tensor.axes, strict=True):
            # Without the tensors that vanish, an axis that only they carried does not count.
            counts = keep_all or not carried.isdisjoint(indices)
            if counts and axis.width is not None and axis.width != axis.size:
                cut[indices, axis.width] = None
    for number, (indices, width) in enumerate(cut):
        yield Tensor(name=f"mask[{number}]", role="mask", source=str(width), axes=(indices,))


def _tensor_axes(network: TensorNetwork, tensor: Tensor) -> list[Axis]:
    """The axes of the input that a tensor is a slice of, `slices` left out."""
    return [axis for axis in network.input[tensor.source].axes if axis.kind != "slices"]


def _log_divisor(network: TensorNetwork) -> float:
    """Logarithm of the number of outputs times that of the values of each unit vector and id."""
    divisor = 0.0
    for axis in network.output.axes:
        if axis.kind == "legs" and axis.length is not None:
            divisor += math.log(axis.length)
    for tensor in network.tensors:
        if tensor.role == "input":
            for axis in _tensor_axes(network, tensor):
                if axis.length is not None and (tensor.position or axis.kind == "onehot"):
                    divisor += math.log(axis.length)
    return divisor


def _reached(tensors: tuple[Tensor, ...], inputs: tuple[str, ...]) -> set[str]:
    """The indices of the connected pieces that an input is on."""
    on: dict[str, list[Tensor]] = {}
    for tensor in tensors:
        for leg in tensor.legs:
            on.setdefault(leg, []).append(tensor)
    reached = set(inputs)
    waiting = list(inputs)
    while waiting:
        for tensor in on.pop(waiting.pop(), []):
            fresh = [leg for leg in tensor.legs if leg not in reached]
            reached.update(fresh)
            waiting += fresh
    return reached


def _size(network: TensorNetwork, name: str) -> int:
    size = network.index[name].size
    assert size is not None
    return size
