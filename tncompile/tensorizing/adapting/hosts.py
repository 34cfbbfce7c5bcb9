"""Layers that an adapter may stand beside: what they map, and how their weight lies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from tncompile.network.features import features
from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.calibrating.layers import layer_of
from tncompile.tensorizing.fitting.products.target import written_shape

Kind = Literal["linear", "embedding", "conv"]

NARROW = (torch.float16, torch.bfloat16)
"""Weights beside which adapters are float32: their steps are lost in these."""


@dataclass(frozen=True, eq=False)
class Host:
    """What a layer is to an adapter.

    `shape` is that of the weight as torch has it, (out, in), (ids, features) or (out, in of a
    group, kernel …); `transposed` says that the layer has (in, out). `dense` is a layer of torch
    of these sizes without values. `common` are linear layers of torch and transformers, others
    only have `in_features` and `out_features`.
    """

    kind: Kind
    shape: tuple[int, ...]
    dense: nn.Module = field(repr=False)
    dtype: torch.dtype = torch.float32
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    transposed: bool = False
    common: bool = False


def is_adapted(module: nn.Module) -> bool:
    """Whether adapters stand beside a layer already."""
    return "_adapters" in vars(module)


def host_of(module: nn.Module) -> Host | None:
    """The layer that a module is; None where it is none that can be adapted."""
    if isinstance(module, torch.jit.ScriptModule):
        return None
    dtype, device = _place(module)
    known = layer_of(module)
    if isinstance(module, nn.Embedding):
        size = module.num_embeddings, module.embedding_dim
        return Host("embedding", size, nn.Embedding(*size, device="meta"), dtype, device)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        within = module.in_channels // module.groups
        shape = (module.out_channels, within, *module.kernel_size)
        return Host("conv", shape, module, dtype, device)
    if known is not None and known.kind == "conv1d":
        into, out = known.inputs, known.outputs
        return Host("linear", (out, into), _linear(into, out), dtype, device, True, True)
    sizes = getattr(module, "out_features", None), getattr(module, "in_features", None)
    out, into = (size if isinstance(size, int) else 0 for size in sizes)
    if out and into and _is_layer(module):
        common = isinstance(module, nn.Linear)
        return Host("linear", (out, into), _linear(into, out), dtype, device, False, common)
    return None


def _is_layer(module: nn.Module) -> bool:
    """Whether it computes by itself: a container with sizes of its own has layers in it."""
    return isinstance(module, nn.Linear) or not any(
        isinstance(each, nn.Linear) for each in module.modules()
    )


def _linear(into: int, out: int) -> nn.Linear:
    return nn.Linear(into, out, bias=False, device="meta")


def _place(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """The dtype and the device of adapters beside a layer."""
    weight = module._parameters.get("weight")
    own: list[torch.Tensor] = [] if weight is None else [weight]
    tensors = [*own, *module.parameters(), *module.buffers()]
    dtype = tensors[0].dtype if tensors else torch.float32
    device = tensors[0].device if tensors else torch.device("cpu")
    wide = dtype.is_floating_point and dtype.itemsize >= 4
    return (dtype if wide else torch.float32), device


def require_fit(network: TensorNetwork, host: Host) -> None:
    """ValueError unless a network is a map like the layer, of its sizes, without a bias."""
    what = network.target
    if network.complex:
        raise ValueError(f"{what} is complex, and layers are real")
    if network.biases:
        raise ValueError(f"{what} has a bias: an adapter is added to a weight, leave it out")
    if any(parameter.family == "weight" for parameter in network.parameters):
        raise ValueError(f"{what} has a tensor `weight`: call it otherwise, the dense map has it")
    maps = features(network)
    if maps is None or maps.kind != host.kind:
        raise ValueError(f"{what} is no map like the layer, which is of `{host.kind}` kind")
    if maps.shape != host.shape:
        own, other = written_shape(host.shape), written_shape(maps.shape)
        raise ValueError(f"{what} is {other}, the weight of the layer is {own}")
    if host.kind == "conv":
        _require_settings(maps.sizes, host.dense, what)


def _require_settings(ours: Mapping[str, object], conv: nn.Module, what: str) -> None:
    for name in ("stride", "padding", "dilation", "groups", "padding_mode"):
        theirs = getattr(conv, name)
        if name == "padding" and isinstance(theirs, str):
            pairs = zip(conv.dilation, conv.kernel_size, strict=True)  # type: ignore[arg-type]
            theirs = tuple(d * (k - 1) // 2 if theirs == "same" else 0 for d, k in pairs)
        if ours[name] != theirs:
            raise ValueError(f"`{name}` is {theirs} in the layer, and {ours[name]} in {what}")


def low_rank(network: TensorNetwork) -> int | None:
    """The rank of a network of two tensors, one of the inputs and one of the outputs.

    None for every other network.
    """
    tensors = [tensor for tensor in network.tensors if tensor.role == "parameter"]
    if len(tensors) != 2 or len({tensor.source for tensor in tensors}) != 2:
        return None
    out = set(network.output.legs)
    first, second = (set(tensor.legs) for tensor in tensors)
    bond = first & second
    if bond & out or len([tensor for tensor in (first, second) if tensor & out]) != 1:
        return None
    carried = {leg for tensor in network.tensors if tensor.role == "input" for leg in tensor.legs}
    carried |= {window.kernel_leg for window in network.windows}
    outputs, inputs = (first, second) if first & out else (second, first)
    if not outputs.isdisjoint(carried) or inputs & out or bond & carried:
        return None
    return math.prod(network.index[leg].size or 1 for leg in bond)
