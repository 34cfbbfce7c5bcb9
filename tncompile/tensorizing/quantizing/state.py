"""A state dict whose large tensors become integers and scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tncompile.network.model import Parameter, TensorNetwork
from tncompile.network.packing import Codes, Packing, Quantization, packings
from tncompile.tensorizing.quantizing.codes import packed


def network_state(
    network: TensorNetwork,
    state: Mapping[str, Tensor],
    wanted: Quantization,
    importances: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """The state of the quantized module of a network, from that of the other one.

    Raises ValueError for entries that are missing, not of the network, of another shape, or not
    finite, and for tensors on the device `meta`; TypeError for what is no tensor of floats.
    """
    found = packings(network, wanted)
    return packed_state(network.target, network.parameters, found, state, importances or {})


def packed_state(
    target: str,
    parameters: Sequence[Parameter],
    found: Mapping[str, Packing],
    state: Mapping[str, Tensor],
    importances: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """The same of tensors that are stored as `found` says; integers stay as they are."""
    expected = {parameter.key: parameter.shape for parameter in parameters}
    integers = {parameter.key for parameter in parameters if isinstance(parameter, Codes)}
    if missing := [key for key in expected if key not in state]:
        raise ValueError(f"the state lacks {missing[0]!r}")
    result: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key not in expected:
            raise ValueError(f"{target} has no tensor {key!r}")
        if key not in integers:
            require_tensor(key, tensor, expected[key])
        if key not in found:
            result[key] = tensor.detach().clone()
            continue
        codes, scale = packed(tensor, found[key], importances.get(key))
        result[found[key].scale.key] = scale
        result[found[key].codes.key] = codes
    return result


def require_tensor(key: str, tensor: object, shape: tuple[int, ...]) -> None:
    """TypeError or ValueError unless this is a tensor of finite numbers of that shape."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{key!r} is no tensor but {type(tensor).__name__}")
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise TypeError(f"{key!r} has the dtype {tensor.dtype}: quantized are floating numbers")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{key!r} is {list(tensor.shape)} and not {list(shape)}")
    if tensor.is_meta:
        raise ValueError(f"{key!r} is on the device `meta`: it has no values")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{key!r} has entries that are not finite: no scale fits them")
