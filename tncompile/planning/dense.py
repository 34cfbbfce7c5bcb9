"""The dense map that a network stands for: its size and its work, from the declaration alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tncompile.network.model import Axis, Input, TensorNetwork


@dataclass(frozen=True, slots=True)
class DenseMap:
    """A layer with the same inputs and output and one dense weight (and bias).

    `parameters` is the product of the features of all inputs and of the output: `nn.Linear`'s for
    one input, `nn.Embedding`'s for ids, a multilinear map's for several inputs, the whole tensor
    where there is no input. `flops` are those of a forward pass.
    """

    parameters: int
    flops: int


def dense_map(network: TensorNetwork, sizes: Mapping[str, int]) -> DenseMap:
    """The dense map at these run-time sizes."""
    given = math.prod(_features(network, one) for one in network.inputs)
    made = _outputs(network)
    bias = sum(math.prod(network.parameter[bias.parameter].shape) for bias in network.biases)
    floats = [one for one in network.inputs if not one.integer]
    samples = math.prod(sizes.values())
    flops = 2 * samples * math.prod(_features(network, one) for one in floats) * made
    return DenseMap(given * made + (made if bias else 0), flops if floats else 0)


def _features(network: TensorNetwork, given: Input) -> int:
    """The features of an input: of all its slices, if it has some, multiplied."""
    slices = math.prod(axis.length or 1 for axis in given.axes if axis.kind == "slices")
    features = math.prod(
        _length(network, axis) for axis in given.axes if axis.kind in ("legs", "onehot")
    )
    return int(features**slices)


def _outputs(network: TensorNetwork) -> int:
    return math.prod(_length(network, axis) for axis in network.output.axes if axis.kind == "legs")


def _length(network: TensorNetwork, axis: Axis) -> int:
    """The length of an axis, 1 for one that is only known at run time."""
    return 1 if any(network.index[name].size is None for name in axis.indices) else axis.length or 1
