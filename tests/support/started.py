"""Networks from text, and modules of them as they start."""

from __future__ import annotations

import opt_einsum
import torch
from torch import Tensor, nn

import tncompile
from tncompile.initialization.draws import Initialization, initialize
from tncompile.network.model import TensorNetwork


def architecture(text: str, target: str = "N") -> tncompile.Architecture:
    return tncompile.loads(text).instantiate(target)


def module(text: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    return architecture(text).module(seed=seed, dtype=dtype)


TRAIN = """
network N() {
  index  i[k in 0..4] = 3, o[k in 0..4] = 2
  bond   b[k in 0..3] = 4
  input  x(..., (i[*]))
  tensor G[k in 0..4](b[k - 1]?, i[k], o[k], b[k]?)
  output y(..., (o[*]))
}
"""


def chain(sites: int, rank: int = 10, attributes: str = "") -> str:
    return f"""
    network N() {{
      index  p[k in 0..{sites}] = 2
      index  label = 3
      bond   b[k in 0..{sites + 1}] = {rank}
      input  x(..., k in 0..{sites}, p[k])
      tensor First(b[0])
      tensor A[k in 0..{sites}](b[k], p[k], b[k + 1]) {attributes}
      tensor Label(b[{sites}], label)
      output y(..., label)
    }}
    """


def parameter(held: nn.Module, key: str) -> Tensor:
    return held.state_dict()[key]


def sum_of_products(network: TensorNetwork, state: dict[str, Tensor]) -> Tensor:
    """A scalar network without inputs and masks."""
    number = {index.name: k for k, index in enumerate(network.indices)}
    operands: list[object] = []
    for tensor in network.tensors:
        value = state[tensor.source]
        operands += [value.conj() if tensor.conjugate else value, [number[i] for i in tensor.legs]]
    result: Tensor = opt_einsum.contract(*operands, [])
    return result


def estimated(network: TensorNetwork) -> Initialization:
    """The initialization where the network times itself costs too much."""
    return initialize(network, lambda _: None)
