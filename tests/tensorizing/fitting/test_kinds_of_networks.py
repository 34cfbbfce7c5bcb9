"""Ties, hyperedges, frozen tensors, diagonals, loops and complex numbers: found as others are."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.tensorizing.networks import architecture, distance, random_weight
from tncompile.tensorizing.fitting.products.posing import posed
from tncompile.tensorizing.fitting.starting.peeling import can_peel

TIED = """network Tied() {
  index i = 4, j = 4, p = 4, q = 4
  input x(..., (i j))
  tensor A(p, i)
  tensor B(q, j) tie A
  output y(..., (p q))
}"""

HYPER = """network Hyper() {
  index i = 4, j = 3, o = 4
  hyper h = 3
  input x(..., (i j))
  tensor A(i, h)
  tensor B(h, j)
  tensor C(o, h)
  output y(..., o)
}"""

FROZEN = """network Frozen() {
  index i = 6, o = 5
  bond a = 6, b = 3
  input x(..., i)
  tensor F(i, a) init orthogonal frozen
  tensor A(a, b)
  tensor B(b, o)
  output y(..., o)
}"""

DIAGONAL = """network Diagonal() {
  index i = 5, j = 3, k = 3
  input x(..., (i j))
  tensor A(i, j, k)
  output y(..., (i k))
}"""

SUMMED = """network Summed() {
  index i = 5, j = 3, o = 4
  input x(..., (i j))
  tensor A(i, o)
  tensor ones(j) init ones frozen
  output y(..., o)
}"""

PEPS = """network Peps() {
  index i[r in 0..2, c in 0..3] = 2, o[r in 0..2, c in 0..3] = 2
  bond h[r in 0..2, c in 0..2] = 2, v[c in 0..3] = 2
  input x(..., (i[*]))
  tensor T[r in 0..2, c in 0..3](i[r, c], o[r, c], h[r, c - 1]?, h[r, c]?, v[c])
  output y(..., (o[*]))
}"""


@pytest.mark.parametrize("text", [TIED, HYPER, FROZEN, DIAGONAL, SUMMED, PEPS])
def test_networks_of_all_kinds_find_themselves(text: str) -> None:
    arch = architecture(text)
    module = arch.module(dtype=torch.float64, seed=0, search="fast")
    weight = dense_weight(arch, module.state_dict())
    fit = arch.fit(weight)
    assert fit.error < 1e-6
    assert distance(dense_weight(arch, fit.state_dict), weight) < 1e-6


def dense_weight(arch: tncompile.Architecture, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """The matrix of the module's map, one column for each unit vector."""
    module = arch.module(dtype=torch.float64, search="fast")
    module.load_state_dict(state)
    size = arch.network.inputs[0].axes[-1].length
    assert size is not None
    with torch.no_grad():
        columns: torch.Tensor = module(torch.eye(size, dtype=torch.float64))
    return columns.mT.contiguous()


def test_what_is_off_a_diagonal_counts() -> None:
    arch = architecture(DIAGONAL)
    weight = random_weight(15, 15)
    fit = arch.fit(weight)
    assert distance(dense_weight(arch, fit.state_dict), weight) == pytest.approx(fit.error)
    inside = torch.eye(5, dtype=torch.float64).repeat_interleave(3, 0).repeat_interleave(3, 1)
    assert fit.error == pytest.approx(distance(weight * inside, weight))


def test_frozen_tensors_are_kept() -> None:
    arch = architecture(FROZEN)
    fit = arch.fit(random_weight(5, 6), seed=7)
    frozen = arch.module(seed=7, search="fast").state_dict()["F"]
    torch.testing.assert_close(fit.state_dict["F"].float(), frozen)


COMPLEX = """network Complex(part: bool = true) {
  index i = 6, o = 5
  bond a = 3, b = 3, c = 2
  input x(..., i)
  tensor A(i, a, c) complex
  tensor B(a, b) complex if part
  tensor B(a, b) if not part
  tensor C(b, o, c) complex
  output y(..., o)
}"""


@pytest.mark.parametrize("part", [True, False])
def test_complex_weights(part: bool) -> None:
    text = COMPLEX.replace("  tensor B(a, b) if not part\n", "")
    text = text.replace("complex if part", "complex" if part else "")
    arch = architecture(text.replace("(part: bool = true)", "()"))
    real, imaginary = random_weight(5, 6, seed=1), random_weight(5, 6, seed=2)
    weight = torch.complex(real, imaginary)
    fit = arch.fit(weight)
    assert fit.error < 1e-5  # there are ranks enough for any weight
    assert fit.state_dict["A"].dtype == torch.complex128
    assert fit.state_dict["B"].is_complex() == part
    module = arch.module(dtype=torch.float64, search="fast")
    module.load_state_dict(fit.state_dict)
    assert distance(module.weight.detach(), weight) == pytest.approx(fit.error, rel=1e-6, abs=1e-12)


def test_shared_tensors_cannot_be_peeled() -> None:
    problem, _ = posed(architecture(TIED).network, random_weight(16, 16), {})
    assert not can_peel(problem.product)
    assert problem.product.shared


@pytest.mark.parametrize("block", ["KroneckerSum", "BlockTerm", "CP", "Monarch", "TensorRing"])
@pytest.mark.filterwarnings("ignore")
def test_a_weight_of_zeros(block: str) -> None:
    layer = torch.nn.Linear(24, 36)
    torch.nn.init.zeros_(layer.weight)
    for more in ({}, {"tolerance": 0.1}):
        found = tncompile.to_dense(tncompile.from_linear(layer, block, **more))  # type: ignore[arg-type]
        assert not bool(found.weight.any())
