"""Models of a few lines, compiled from text."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import tncompile
from tncompile.model import Model

NETWORK = """
network N(d: int = 4) {
  index i = d, o = d
  input x(..., i)
  tensor A(i, o)
  bias c(o)
  output y(..., o)
}
"""


def architecture(text: str, target: str = "M") -> Model:
    made = tncompile.loads(NETWORK + text).instantiate(target)
    assert isinstance(made, Model)
    return made


def module(text: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> nn.Module:
    return architecture(text).module(dtype=dtype, seed=seed, search="fast").eval()


def source(text: str) -> str:
    return architecture(text).source(search="fast")


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
