"""A network with `log`, contracted in some order."""

from __future__ import annotations

import opt_einsum
from torch import Tensor

from tncompile.network.model import TensorNetwork

ROWS = 3
"""Entries of the leading axes wherever there are inputs."""


def contracted(
    network: TensorNetwork, parameters: dict[str, Tensor], inputs: dict[str, Tensor]
) -> Tensor:
    """The sum of products, the order of it chosen by another library."""
    number = {index.name: k for k, index in enumerate(network.indices)}
    factors: list[object] = []
    for tensor in network.tensors:
        if tensor.role == "input":
            value = inputs[tensor.source]
            axes = network.input[tensor.source].axes
            slices = [axis for axis, one in enumerate(axes) if one.kind == "slices"]
            for axis, position in reversed(list(zip(slices, tensor.position, strict=True))):
                value = value.select(axis, position)
        else:
            value = parameters[tensor.source]
        legs = [leg for axis in tensor.axes for leg in axis]
        sizes = [network.index[leg].size or ROWS for leg in legs]
        factors += [value.reshape(sizes), [number[leg] for leg in legs]]
    made: Tensor = opt_einsum.contract(*factors, [number[leg] for leg in network.output.legs])
    return made
