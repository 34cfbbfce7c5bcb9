"""Which layer of `torch.nn` a network can stand for, and the network of the weight it then has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from tncompile.network.editing import assemble, edited
from tncompile.network.model import Axis, Output, Parameter, Tensor, TensorNetwork, axis_size
from tncompile.network.windows import Window

DENSE_LIMIT = 2**31
"""Entries of the largest dense weight that is made or considered."""


Kind = Literal["linear", "bilinear", "embedding", "conv", "conv_transpose"]

Setting = int | str | tuple[int, ...]
"""An attribute of a layer."""


@dataclass(frozen=True, slots=True)
class Features:
    """A layer with one axis of features for each input and one for the output.

    kind             the layer                    axes of its weight
    linear           nn.Linear                    out, in
    bilinear         nn.Bilinear                  out, in1, in2
    embedding        nn.Embedding                 ids, out
    conv             nn.Conv1d, 2d, 3d            out, in of one group, kernel …
    conv_transpose   nn.ConvTranspose1d, 2d, 3d   in, out of one group, kernel …
    """

    kind: Kind
    axes: tuple[Axis, ...]  # of the weight
    inputs: tuple[Axis, ...]
    output: Axis
    windows: tuple[Window, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        return tuple(axis.length or 0 for axis in self.axes)

    @property
    def sizes(self) -> dict[str, Setting]:
        """The attributes that such a layer has, in the order in which it says them."""
        *inputs, out = (axis.length or 0 for axis in (*self.inputs, self.output))
        match self.kind:
            case "embedding":
                return {"num_embeddings": inputs[0], "embedding_dim": out}
            case "linear":
                return {"in_features": inputs[0], "out_features": out}
            case "bilinear":
                return {"in1_features": inputs[0], "in2_features": inputs[1], "out_features": out}
        windows = self.windows
        transposed = self.kind == "conv_transpose"
        each: dict[str, Setting] = {
            "kernel_size": tuple(window.size for window in windows),
            "stride": tuple(window.stride for window in windows),
            "padding": tuple(window.left for window in windows),
            "dilation": tuple(window.dilation for window in windows),
        }
        if transposed:
            each["output_padding"] = tuple(window.output_padding for window in windows)
        groups = (out if transposed else inputs[0]) // (self.shape[1] or 1)
        ending: dict[str, Setting] = {"groups": groups, "padding_mode": windows[0].mode}
        return {"in_channels": inputs[0], "out_channels": out, **each, **ending}


def is_table(network: TensorNetwork) -> bool:
    """Whether all inputs are ids, one a leading position, and these make a row of the output.

    The ids of a position are then one number of 64 bits.
    """
    axes = network.output.axes
    ids = [sorted(axis.kind for axis in source.axes) for source in network.inputs]
    return (
        bool(ids)
        and all(kinds == ["dots", "onehot"] for kinds in ids)
        and math.prod(id_sizes(network)) < 2**63
        and bool(axes)
        and axes[0].kind == "dots"
        and all(axis.length is not None for axis in axes[1:])
        and not network.output.log
    )


def id_sizes(network: TensorNetwork) -> list[int]:
    """How many ids each input of ids tells apart, in their order."""
    axes = (axis for source in network.inputs for axis in source.axes)
    return [axis.length or 1 for axis in axes if axis.kind == "onehot"]


def features(network: TensorNetwork) -> Features | None:
    """The layer that a network can stand for; None where there is none.

    All inputs and the output have the same leading axes, and one axis behind them; or there is one
    input, and both have one axis of channels and then those of the windows.
    """
    if network.output.log:
        return None
    if network.windows:
        return _convolution(network)
    *lead, out = network.output.axes or (None,)
    if out is None or not _feature(out):
        return None
    features: list[Axis] = []
    for each in network.inputs:
        *before, axis = each.axes or (None,)
        if axis is None or not _feature(axis) or before != lead:
            return None
        features.append(axis)
    match [axis.kind for axis in features]:
        case ["legs"]:
            return Features("linear", (out, *features), tuple(features), out)
        case ["legs", "legs"]:
            return Features("bilinear", (out, *features), tuple(features), out)
        case ["onehot"] if not network.biases:
            return Features("embedding", (*features, out), tuple(features), out)
        case _:
            return None


def _feature(axis: Axis) -> bool:
    """Whether it is an axis of features: one whose length is known."""
    return axis.kind in ("legs", "onehot") and axis.length is not None


def _convolution(network: TensorNetwork) -> Features | None:
    """The convolution of torch that a network can stand for.

    Torch pads both ends of an axis alike, all axes in one mode.
    """
    windows = network.windows
    count = len(windows)
    if len(network.inputs) != 1 or count > 3:
        return None
    *lead, channels = network.inputs[0].axes[:-count] or (None,)
    *before, out = network.output.axes[:-count] or (None,)
    if channels is None or out is None or lead != before:
        return None
    if not (channels.kind == out.kind == "legs" and _feature(channels) and _feature(out)):
        return None
    given, made = ([axis.indices for axis in axes[-count:]]
                   for axes in (network.inputs[0].axes, network.output.axes))  # fmt: skip
    if given != [(window.input_leg,) for window in windows]:
        return None
    if made != [(window.output_leg,) for window in windows]:
        return None
    transposed = windows[0].transposed
    for window in windows:
        alike = window.mode == windows[0].mode and window.transposed == transposed
        if not alike or (window.output_padding < 0 if transposed else window.left != window.right):
            return None
    kernel = tuple(
        Axis(kind="legs", indices=(window.kernel_leg,), size=window.size) for window in windows
    )
    first, second = (channels, out) if transposed else (out, channels)
    axes = (first, _of_one_group(network, first, second), *kernel)
    kind: Kind = "conv_transpose" if transposed else "conv"
    return Features(kind, axes, (channels,), out, windows)


def _of_one_group(network: TensorNetwork, first: Axis, second: Axis) -> Axis:
    """The second axis of channels without the indices that both begin with: those are groups."""
    if any(axis.width not in (None, axis.size) for axis in (first, second)):
        return second
    pairs = zip(first.indices, second.indices, strict=False)
    groups = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    left = second.indices[groups:]
    return Axis(kind="legs", indices=left, size=axis_size(network.index[leg].size for leg in left))


@dataclass(frozen=True, slots=True)
class WeightNetwork:
    """The network without inputs whose output is the weight of a layer.

    Where an index is on several axes of the weight, that is zero off their diagonal. The output of
    the network then has an axis for each index that a tensor carries, and none of them twice.
    """

    network: TensorNetwork
    diagonal: bool


def weight_network(
    network: TensorNetwork,
    layer: Features,
    parameters: tuple[Parameter, ...] | None = None,
    tensors: tuple[Tensor, ...] | None = None,
) -> WeightNetwork | None:
    """What is left of the network of a layer without its inputs and biases.

    `parameters` and `tensors` stand for those of the network where it is contracted in part. None
    where there is nothing left, or too much of it, or where they do not make a network.
    """
    if tensors is None:
        tensors = tuple(tensor for tensor in network.tensors if tensor.role == "parameter")
    if not tensors or math.prod(layer.shape) > DENSE_LIMIT:
        return None
    carried = {leg for tensor in tensors for leg in tensor.legs}
    legs = [leg for axis in layer.axes for leg in axis.indices]
    diagonal = len(set(legs)) < len(legs) or not carried.issuperset(legs)
    axes = layer.axes
    if diagonal:
        axes = tuple(
            Axis(kind="legs", indices=(leg,), size=network.index[leg].size)
            for leg in dict.fromkeys(legs)
            if leg in carried
        )
    axes = tuple(edited(axis, kind="legs") for axis in axes)
    output = Output(name="weight", axes=axes, written="weight")
    try:
        weight = assemble(network, tensors, output, parameters=parameters)
    except ValueError:
        return None
    return WeightNetwork(weight, diagonal)
