"""Schemes on tensors of every order."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import tncompile
from tests.support.started import architecture, chain, module, parameter
from tncompile.initialization.chains import long_chains
from tncompile.initialization.draws import (
    NearIdentity,
    initialize,
)
from tncompile.initialization.norm import linear_map
from tncompile.planning import ContractionPlan

# ── schemes ────────────────────────────────────────────────────────────────────────────────────


def schemes(scheme: str, legs: str = "i, j, o") -> Tensor:
    """The parameter of a network of one tensor."""
    text = f"""
    network N() {{
      index  i = 6, j = 4, o = 5
      input  x(..., i, j)
      tensor A({legs}) init {scheme}
      output y(..., o)
    }}
    """
    return parameter(module(text), "A")


def test_explicit_schemes() -> None:
    assert torch.equal(schemes("ones"), torch.ones(6, 4, 5))
    assert torch.equal(schemes("zeros"), torch.zeros(6, 4, 5))
    assert 0.25 < schemes("normal(0.3)").std().item() < 0.35
    assert 0.25 < schemes("uniform(0.3)").abs().max().item() <= 0.3


def test_matrices_split_the_axes_where_the_sides_are_nearest_in_size() -> None:
    assert torch.equal(schemes("eye"), torch.eye(6, 20).reshape(6, 4, 5))
    assert torch.equal(schemes("eye", "(i j), o"), torch.eye(24, 5))
    rows = schemes("orthogonal").reshape(6, 20)
    torch.testing.assert_close(rows @ rows.T, torch.eye(6))
    columns = schemes("orthogonal", "(i j), o")
    torch.testing.assert_close(columns.T @ columns, torch.eye(5))


@pytest.mark.parametrize("dtype", [torch.complex64, torch.bfloat16], ids=str)
def test_orthogonal_in_every_dtype(dtype: torch.dtype) -> None:
    text = """
    network N() {
      index  i = 6, o = 6
      input  x(..., i)
      tensor A(i, o) init orthogonal
      output y(..., o)
    }
    """
    a = parameter(module(text, 0, dtype), "A").to(torch.complex64)
    torch.testing.assert_close(a.mH @ a, torch.eye(6).to(a.dtype), atol=2e-2, rtol=0)


PLANS: dict[tuple[int, ...], ContractionPlan] = {}


def plan_of(arch: tncompile.Architecture, sizes: tuple[int, ...]) -> ContractionPlan:
    """The plan for these sizes of `A`; orders of contraction do not depend on the scheme."""
    if sizes not in PLANS:
        PLANS[sizes] = arch.plan()
    return PLANS[sizes]


@pytest.mark.parametrize(
    "scheme",
    ["auto", "normal(0.3)", "normal(0)", "uniform(0.3)", "ones", "zeros", "orthogonal", "eye"],
)
def test_every_scheme_on_tensors_of_every_order(scheme: str) -> None:
    for order in range(6):
        log = " log" * (order % 2)
        for sizes in {tuple([2, 3, 1, 2, 1][:order]), (1,) * order}:
            listed = ", ".join(f"l[{k}]" for k in range(order))
            text = f"""
            network N() {{
              index  i = 3, o = 2
              index  l[k in 0..{max(order, 1)}] = [{", ".join(map(str, sizes)) or 1}][k]
              input  x(..., i)
              tensor A({listed}) init {scheme}
              tensor W(i, o)
              output y(..., {listed}{", " * bool(order)}o){log}
            }}
            """
            if not order:
                text = text.replace("index  l[k in 0..1] = [1][k]", "")
            arch = architecture(text)
            held = arch.module(seed=0, plan=plan_of(arch, sizes))
            a = parameter(held, "A").detach()
            assert a.shape == sizes
            assert a.isfinite().all()
            splits = [(math.prod(sizes[:k]), math.prod(sizes[k:])) for k in range(1, order)]
            rows, columns = min(
                reversed(splits or [(a.numel(), 1)]), key=lambda one: max(one) / min(one)
            )
            matrix = a.reshape(rows, columns)
            if scheme == "eye":
                assert torch.equal(matrix, torch.eye(rows, columns))
            if scheme == "orthogonal":
                gram = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
                torch.testing.assert_close(gram, torch.eye(min(rows, columns)))


STAR = """
network N(n: int, p: int, r: int) {
  index  s[k in 0..n] = p, o = 5
  hyper  h = r
  input  x(..., k in 0..n, s[k])
  tensor A[k in 0..n](s[k], h) SHARED
  tensor W(h, o)
  output y(..., o)
}
"""


@pytest.mark.parametrize("shared", ["", "share k"])
@pytest.mark.parametrize(("n", "p"), [(15, 1000), (65, 4), (128, 4)])
def test_products_of_many_sites_start_exactly_too(n: int, p: int, shared: str) -> None:
    """Whatever is shared, and where |W|² itself is beyond float32."""
    text = STAR.replace("SHARED", shared)
    arch = tncompile.loads(text).instantiate("N", n=n, p=p, r=3)
    held = arch.module(seed=0, search="fast")
    family = [parameter(held, f"A.{k}") for k in range(n)] if not shared else []
    family = family or [parameter(held, "A")] * n
    logs, signs = torch.zeros(3, 3, dtype=torch.float64), torch.ones(3, 3)
    for one in family:
        gram = one.detach().double().T @ one.detach().double() / p
        logs, signs = logs + gram.abs().log(), signs * gram.sign()
    w = parameter(held, "W").detach().double()
    top = logs.max()
    mean_square = (signs * (logs - top).exp() * (w @ w.T)).sum() / 5
    assert (mean_square.log() + top).exp().item() == pytest.approx(1 / 3, rel=2e-3)


def images(sites: int) -> Tensor:
    """Black, white, gray and three random images, as features `1 - u, u`."""
    u = torch.rand(6, sites)
    u[0], u[1], u[2] = 0.0, 1.0, 0.5
    return torch.stack([1 - u, u], -1)


@pytest.mark.parametrize(
    ("sites", "rank", "attributes"),
    [(40, 10, ""), (784, 10, ""), (784, 32, ""), (784, 10, "share k")],
)
def test_long_chains_hand_every_image_through(sites: int, rank: int, attributes: str) -> None:
    torch.manual_seed(0)
    scores = module(chain(sites, rank, attributes))(images(sites))
    assert scores.isfinite().all()
    assert 0.3 < scores.square().mean().sqrt().item() < 1.0


def test_what_counts_as_a_long_chain() -> None:
    def lengths(text: str) -> list[int]:
        found = long_chains(linear_map(architecture(text).network))
        return [len(one.tensors) for one in found]

    assert lengths(chain(31)) == [33]
    assert lengths(chain(30)) == []
    ladder = """
    network N() {
      bond   a[k in 0..39] = 2, b[k in 0..39] = 2, s[k in 0..40] = 2
      tensor A[k in 0..40](a[k - 1]?, s[k], a[k]?)
      tensor B[k in 0..40](b[k - 1]?, s[k], b[k]?) tie A conj
      output y() log
    }
    """
    assert lengths(ladder) == []
    ring = """
    network N() {
      index  p[k in 0..40] = 2
      bond   b[k in 0..40] = 3
      input  x(..., k in 0..40, p[k])
      tensor A[k in 0..40](b[k], p[k], b[(k + 1) % 40])
      output y(...)
    }
    """
    assert lengths(ring) == [40]


def test_a_long_chain_is_near_the_identity() -> None:
    held = initialize(architecture(chain(40)).network, lambda _: None)
    assert held.rescaling is None
    draw = held.draws["A.7"]
    assert isinstance(draw, NearIdentity)
    assert draw.bonds == (0, 2)
    assert draw.scale == pytest.approx(1, abs=0.05)
    first = held.draws["First"]
    assert isinstance(first, NearIdentity)
    assert first.bonds == (0,)
