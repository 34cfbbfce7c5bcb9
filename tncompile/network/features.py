"""Which layer of `torch.nn` a network can stand for, and the network of the weight it then has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from tncompile.network.editing import assemble, edited
from tncompile.network.model import Axis, Output, Parameter, Tensor, TensorNetwork

DENSE_LIMIT = 2**31
"""Entries of the largest dense weight that is made or considered."""


@dataclass(frozen=True, slots=True)
class Features:
    """A layer with one axis of features for each input and one for the output.

    kind        the layer      axes of its weight
    linear      nn.Linear      out, in
    bilinear    nn.Bilinear    out, in1, in2
    embedding   nn.Embedding   ids, out
    """

    kind: Literal["linear", "bilinear", "embedding"]
    axes: tuple[Axis, ...]  # of the weight

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the weight."""
        return tuple(axis.length or 0 for axis in self.axes)

    @property
    def sizes(self) -> dict[str, int]:
        """The attributes that such a layer has, in the order in which it says them."""
        if self.kind == "embedding":
            return dict(zip(("num_embeddings", "embedding_dim"), self.shape, strict=True))
        out, *inputs = self.shape
        names = ["in_features"] if self.kind == "linear" else ["in1_features", "in2_features"]
        return dict(zip([*names, "out_features"], [*inputs, out], strict=True))


def features(network: TensorNetwork) -> Features | None:
    """The layer that a network can stand for; None where there is none.

    All inputs and the output have the same leading axes, and one axis behind them.
    """
    *lead, out = network.output.axes or (None,)
    if out is None or not _feature(out) or network.output.log:
        return None
    features: list[Axis] = []
    for each in network.inputs:
        *before, axis = each.axes or (None,)
        if axis is None or not _feature(axis) or before != lead:
            return None
        features.append(axis)
    match [axis.kind for axis in features]:
        case ["legs"]:
            return Features("linear", (out, *features))
        case ["legs", "legs"]:
            return Features("bilinear", (out, *features))
        case ["onehot"] if not network.biases:
            return Features("embedding", (*features, out))
        case _:
            return None


def _feature(axis: Axis) -> bool:
    """Whether it is an axis of features: one whose length is known."""
    return axis.kind in ("legs", "onehot") and axis.length is not None


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
