"""Networks without tensors of their own: inputs decide the dtype, real ones beside complex ones."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

import tncompile

NETWORKS = """
network Chain() {
  index  i = 3, j = 4, k = 5
  input  x(..., i, j)
  input  z(..., j, k)
  input  w(..., k)
  output y(..., i)
}
network Log() {
  index  i = 3, j = 4, k = 5
  input  x(..., i, j)
  input  z(..., j, k)
  input  w(..., k)
  output y(..., i) log
}
network Chosen() {
  index  l = 3, i = 4
  batch  n
  input  which(n, onehot(l))
  input  x(n, l, i)
  input  z(n, i)
  output y(n)
}
"""

MIXED = list(product((torch.float64, torch.complex128), repeat=3))


def module(name: str) -> nn.Module:
    return tncompile.loads(NETWORKS).instantiate(name).module(search="fast")


def drawn(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("name", ["Chain", "Log"])
def test_real_inputs_beside_complex_ones(name: str) -> None:
    made = module(name)
    for kinds in MIXED:
        shapes = ((2, 3, 4), (2, 4, 5), (2, 5))
        given = [drawn(*each).requires_grad_() for each in zip(shapes, kinds, strict=True)]
        wide = [x.to(torch.complex128) for x in given]
        due = torch.einsum("bij,bjk,bk->bi", *wide)
        kind = torch.complex128 if torch.complex128 in kinds else torch.float64
        torch._dynamo.reset()
        for call in (made, made.fold(), torch.compile(made, fullgraph=True, backend="eager")):
            y = call(*given)
            if name == "Log":
                sign, log = y
                y = sign * log.exp()
            assert y.dtype == kind
            torch.testing.assert_close(y.to(torch.complex128), due)
            for one, other in zip(
                torch.autograd.grad(y.abs().sum(), given),
                torch.autograd.grad(due.abs().sum(), given, retain_graph=True),
                strict=True,
            ):
                torch.testing.assert_close(one, other)


def test_ids_choose_among_entries_of_either_kind() -> None:
    made = module("Chosen")
    ids = torch.tensor([2, 0, 1, 1])
    for kinds in MIXED:
        x, z = drawn((4, 3, 4), kinds[0]), drawn((4, 4), kinds[1])
        due = (x[torch.arange(4), ids].to(torch.complex128) * z).sum(-1)
        for call in (made, made.fold()):
            y = call(ids, x, z)
            assert y.dtype == torch.promote_types(*kinds[:2])
            torch.testing.assert_close(y.to(torch.complex128), due)
