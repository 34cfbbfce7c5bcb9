"""Layers that are not replaced by anything smaller, as networks of one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from tncompile.network.packing import is_large
from tncompile.tensorizing.rewriting.layers import Layer, layers_of
from tncompile.tensorizing.rewriting.replacements import Replacement, replacements
from tncompile.tensorizing.rewriting.rewrite import Rewrite, exactly

BLOCKS = '''
"""A dense linear map, as nn.Linear has it."""
network Dense(in_features: int, out_features: int, with_bias: bool = true) {
  index  i = in_features, o = out_features
  input  x(..., i)
  tensor weight(o, i)
  bias   bias(o) if with_bias
  output y(..., o)
}

"""A table of vectors, as nn.Embedding has it."""
network DenseTable(num_embeddings: int, embedding_dim: int) {
  index  v = num_embeddings, e = embedding_dim
  input  ids(..., onehot(v))
  tensor weight(v, e)
  output y(..., e)
}

"""A convolution in groups, as nn.Conv2d has it; one group is a plain convolution."""
network DenseConv(
  in_channels: int,
  out_channels: int,
  kernel_size: int[axes],
  groups: int = 1,
  stride: int[axes] = 1,
  padding: int[axes] = 0,
  dilation: int[axes] = 1,
  circular: bool = false,
  reflect: bool = false,
  replicate: bool = false,
  with_bias: bool = true,
) {
  window h[a in 0..axes] = conv(
    size = kernel_size[a],
    stride = stride[a],
    padding = padding[a],
    dilation = dilation[a],
    mode = if circular
      then "circular"
      else if reflect then "reflect" else if replicate then "replicate" else "zeros",
  )
  index  g = groups, i = in_channels // groups, o = out_channels // groups
  input  x(..., (g i), h[*].in)
  tensor weight((g o), i, h[*].kernel)
  bias   bias((g o)) if with_bias
  output y(..., (g o), h[*].out)
}
'''

_LINEAR = "Dense(in_features = in_features, out_features = out_features)"
_CALLS = {
    "linear": _LINEAR,
    "conv1d": _LINEAR,
    "conv": "DenseConv(in_channels = in_channels, out_channels = out_channels,"
    " kernel_size = kernel_size)",
    "embedding": "DenseTable(num_embeddings = num_embeddings, embedding_dim = embedding_dim)",
}


def dense_layers(model: nn.Module) -> list[Layer]:
    """The layers that a network of one tensor can stand for, large enough to be quantized.

    Tables with `max_norm`, which change when they are read, are none, nor are layers whose bias
    another layer has, or whose weight is computed.
    """
    return [layer for group in layers_of(model) if (layer := _first(group)) is not None]


def _first(group: list[Layer]) -> Layer | None:
    layer = group[0]
    module = layer.module
    if module is None or layer.bias_holders or not layer.name.isprintable():
        return None
    if layer.kind not in _CALLS or not is_large(layer.shape, complex_=False):
        return None
    if "weight" not in module._parameters or not layer.weight.is_floating_point():
        return None  # a parametrization, or a view of a network
    if isinstance(module, nn.Embedding) and module.max_norm is not None:
        return None
    plain = isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d | nn.Conv2d | nn.Conv3d)
    return layer if plain or layer.kind == "conv1d" else None


def dense_replacements(model: nn.Module, layers: Iterable[Layer]) -> list[Replacement]:
    """The networks of one tensor for these layers of a model."""
    lines = list(_lines(layers))
    if not lines:
        return []
    text = BLOCKS + "\n".join(["", "rewrite Quantized {", *lines, "}", ""])
    return replacements(Rewrite.loads(text), model)[0]


def _lines(layers: Iterable[Layer]) -> Iterator[str]:
    for layer in layers:
        yield f"  {layer.kind} {exactly(layer.name)} -> {_CALLS[layer.kind]}"


def dense_state(layer: Layer) -> dict[str, torch.Tensor]:
    """The state of the network of one tensor that stands for a layer."""
    module = layer.dense()
    state = {"weight": layer.dense().weight}
    if getattr(module, "bias", None) is not None:
        state["bias"] = module.bias
    return state  # type: ignore[return-value]
