"""A network contracted with itself: the mean square of its output, exactly, from its parameters.

Take the inputs away and what is left of a network is one tensor W with the indices of its inputs
and of its output. For inputs whose entries are independent, of mean zero and variance one,

    mean of output ** 2  =  sum of |W| ** 2  /  number of outputs,

whatever the topology. Unit vectors (feature maps: slices of an axis) and ids divide it by the size
of each, and a width after `as` takes the entries beyond it out of the sum. The sum is a network of
its own, W times its conjugate: `norm_network`.

A convolution is the same map at every place away from the borders, from the entries of the input
under the kernel: of a window W has the kernel leg, as an index of its input. The entries that a
transposed one makes share those of the kernel, `stride` of them in a row one set each: their mean
is the sum divided by the stride.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from tncompile.network.editing import assemble, edited, prime, renamed
from tncompile.network.model import (
    RUN_TIME,
    Axis,
    Index,
    Output,
    Parameter,
    Tensor,
    TensorNetwork,
)


@dataclass(frozen=True)
class LinearMap:
    """The map W of a network: `tensors` and `masks` over indices of which `outside` are open.

    `log_divisor` is what log |W|² is lowered by to give the logarithm of the mean square of an
    output entry. Parameters that start at zero are left out, as the map would vanish with them:
    what is left counts as a map onto the indices that they carry.
    """

    network: TensorNetwork
    tensors: tuple[Tensor, ...]
    masks: tuple[Tensor, ...]
    outside: frozenset[str]
    log_divisor: float

    @property
    def complete(self) -> bool:
        """Whether no parameter was left out."""
        factors = sum(tensor.role == "parameter" for tensor in self.network.tensors)
        return len(self.tensors) == factors

    @cached_property
    def carried(self) -> tuple[Index, ...]:
        """The indices that are on a tensor or a mask, in order."""
        legs = {leg for tensor in (*self.tensors, *self.masks) for leg in tensor.legs}
        return tuple(index for index in self.network.indices if index.name in legs)


def linear_map(network: TensorNetwork) -> LinearMap:
    """The map that the network is in its inputs."""
    zero = {parameter.key for parameter in network.parameters if starts_at_zero(parameter)}
    factors = [tensor for tensor in network.tensors if tensor.role == "parameter"]
    tensors = tuple(tensor for tensor in factors if tensor.source not in zero)
    carried = {leg for tensor in tensors for leg in tensor.legs}
    removed = {leg for tensor in factors if tensor.source in zero for leg in tensor.legs}
    sizes = {index.name: index.size or 1 for index in network.indices}
    under = {window.input_leg: window.kernel_leg for window in network.windows}
    every = (tensor.legs for tensor in network.tensors if tensor.role == "input")
    on_inputs = [under.get(leg, leg) for legs in every for leg in legs]
    inputs, outputs = (
        [leg for leg in dict.fromkeys(legs) if network.index[leg].kind not in RUN_TIME]
        for legs in (on_inputs, network.output.legs)
    )
    masks = tuple(_masks(network, carried, keep_all=not removed))
    # The number of outputs times that of the values of each unit vector and id.
    lengths = [axis.length for axis in network.output.axes if axis.kind == "legs"]
    for tensor, axis, _ in _input_axes(network):
        lengths += [axis.length] if tensor.position or axis.kind == "onehot" else []
    divisor = sum(math.log(length) for length in lengths if length is not None)
    strides = (w.stride for w in network.windows if w.transposed and w.kernel_leg in carried)
    divisor += sum(map(math.log, strides))
    # An index that nothing carries any more is summed over ones; one that only vanishing tensors
    # carried is no matter of this map.
    masked = {leg for mask in masks for leg in mask.legs}
    for name in dict.fromkeys((*outputs, *inputs)):
        if name not in carried and name not in masked and (name in outputs or name not in removed):
            divisor -= math.log(sizes[name])
    cut = (removed & carried) - {*outputs, *inputs}
    reached = _reached(tensors, inputs)
    divisor += sum(math.log(sizes[leg]) for leg in sorted(cut & reached))
    return LinearMap(network, tensors, masks, frozenset({*outputs, *inputs, *cut}), divisor)


def starts_at_zero(parameter: Parameter) -> bool:
    """Whether every entry of a parameter starts at zero."""
    init = parameter.init
    return init.scheme == "zeros" or (init.scheme == "constant" and init.argument == 0)


def norm_network(linear: LinearMap) -> TensorNetwork:
    """The scalar network |W|²: every tensor twice, the second conjugated, its inner indices primed.

    Both copies share the open indices; masks stand once (0 and 1 are their own squares).
    """
    primed = {
        index.name: index.name if index.name in linear.outside else f"{index.name}'"
        for index in linear.carried
    }
    copies: list[Tensor] = []
    for tensor in linear.tensors:
        second = renamed(tensor, f"{tensor.name}'", primed)
        copies += [tensor, edited(second, conjugate=not tensor.conjugate)]
    indices = {
        each.name: each for index in linear.carried for each in (index, prime(index, primed))
    }
    output = Output(name=linear.network.output.name, axes=(), written="the map times itself")
    return assemble(linear.network, (*copies, *linear.masks), output, indices=indices.values())


def _masks(network: TensorNetwork, carried: set[str], *, keep_all: bool) -> Iterator[Tensor]:
    """One mask for each axis that `as` cuts short, on the output and on inputs."""
    axes = [(axis, axis.indices) for axis in network.output.axes]
    axes += [  # without the tensors that vanish, an axis that only they carried does not count
        (axis, indices)
        for _, axis, indices in _input_axes(network)
        if keep_all or not carried.isdisjoint(indices)
    ]
    cut = dict.fromkeys(
        (indices, str(axis.width))
        for axis, indices in axes
        if axis.width is not None and axis.width != axis.size
    )
    for number, (indices, width) in enumerate(cut):
        yield Tensor(name=f"mask[{number}]", role="mask", source=width, axes=(indices,))


def _input_axes(network: TensorNetwork) -> Iterator[tuple[Tensor, Axis, tuple[str, ...]]]:
    """The axes of each tensor that is an input or a slice of one, `slices` left out."""
    for tensor in network.tensors:
        if tensor.role == "input":
            axes = [axis for axis in network.input[tensor.source].axes if axis.kind != "slices"]
            for axis, indices in zip(axes, tensor.axes, strict=True):
                yield tensor, axis, indices


def _reached(tensors: tuple[Tensor, ...], inputs: list[str]) -> set[str]:
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
