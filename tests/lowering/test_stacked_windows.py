"""Long families beside a convolution: equal steps run as one, with values and gradients."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import tncompile

SITES = """
network Sites(n: int) {
  window h = conv(3, padding = 1, stride = 2)
  index  i = 2, p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n + 1] = 3
  input  x(..., i, h.in)
  input  z(..., k in 0..n, p[k])
  tensor K(i, b[0], h.kernel)
  tensor G[k in 0..n](b[k], p[k], b[k + 1])
  tensor T(b[n], o)
  output y(..., o, h.out)
}
"""


def swept(held: Mapping[str, Tensor], x: Tensor, z: Tensor) -> Tensor:
    """The same network, site by site."""
    t = functional.conv1d(x, held["K"].permute(1, 0, 2), stride=2, padding=1)
    for k in range(z.shape[-2]):
        t = torch.einsum("bah,bp,apc->bch", t, z[:, k], held[f"G.{k}"])
    return torch.einsum("bah,ao->boh", t, held["T"])


@pytest.mark.parametrize("n", [9, 70])  # long ones are lowered with equal steps as one
def test_a_chain_behind_a_convolution(n: int) -> None:
    arch = tncompile.loads(SITES).instantiate("Sites", n=n)
    module = arch.module(seed=0, search="fast", dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(5, 2, 7, dtype=torch.float64, generator=rng).requires_grad_()
    z = torch.rand(5, n, 2, dtype=torch.float64, generator=rng).requires_grad_()
    held = dict(module.named_parameters())
    made, due = module(x, z), swept(held, x, z)
    torch.testing.assert_close(made, due)
    torch.testing.assert_close(module.fold()(x, z), due)
    leaves = [*held.values(), x, z]
    for one, other in zip(
        *(torch.autograd.grad(y.sin().sum(), leaves) for y in (made, due)), strict=True
    ):
        torch.testing.assert_close(one, other)
