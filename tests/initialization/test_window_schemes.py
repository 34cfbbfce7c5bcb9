"""Schemes on kernels: identities, orthogonal ones, constants."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tests.support.started import parameter
from tests.support.started_windows import mean_square
from tncompile.compiler import initialization
from tncompile.initialization.draws import Constant

# ── schemes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("sizes", [(3,), (4, 3), (3, 1, 2)])
def test_an_identity_kernel_is_that_of_dirac(sizes: tuple[int, ...]) -> None:
    for legs, groups in (("o, i, h[*].kernel", 1), ("g, o, i, h[*].kernel", 4)):
        text = f"""
        network N() {{
          window h[a in 0..{len(sizes)}] = conv(size = {list(sizes)}[a])
          index  g = {groups}, i = 3, o = 5
          input  x(..., (g i), h[*].in)
          tensor K({legs}) init eye
          output y(..., (g o), h[*].out)
        }}
        """
        if groups == 1:
            text = text.replace("g = 1, ", "").replace("(g i)", "i").replace("(g o)", "o")
        held = tncompile.loads(text).instantiate("N").module(seed=0, search="fast")
        due = torch.empty(groups * 5, 3, *sizes)
        nn.init.dirac_(due, groups)
        assert torch.equal(parameter(held, "K").reshape(due.shape), due)


def test_an_identity_kernel_of_each_channel() -> None:
    """Depthwise, of a hyperedge, and of a kernel without other legs: ones at the middle entry."""
    text = """
    network N() {
      window h = conv(size = 3, padding = 1), w = conv(size = 5, padding = 2)
      index  c = 4
      hyper  r = 3
      input  x(..., c, h.in, w.in)
      tensor K(c, h.kernel) init eye
      tensor L(w.kernel, r) init eye
      tensor M(h.kernel) init eye
      tensor A(r)
      tensor B(r)
      output y(..., c, h.out, w.out)
    }
    """
    arch = tncompile.loads(text).instantiate("N")
    held = arch.module(seed=0, search="fast")
    assert torch.equal(parameter(held, "K"), torch.tensor([[0.0, 1, 0]] * 4))
    assert torch.equal(
        parameter(held, "L"), torch.tensor([[0.0] * 3] * 2 + [[1] * 3] + [[0] * 3] * 2)
    )
    assert torch.equal(parameter(held, "M"), torch.tensor([0.0, 1, 0]))
    assert mean_square(arch.network, held.state_dict()) == pytest.approx(1 / 3, rel=1e-4)


def test_an_identity_convolution_hands_images_through() -> None:
    text = """
    network N() {
      window h = conv(size = 3, padding = 1), w = conv(size = 5, padding = 2)
      index  i = 4, o = 4
      input  x(..., i, h.in, w.in)
      tensor K(h.kernel, i, w.kernel, o) init eye
      output y(..., o, h.out, w.out)
    }
    """
    held = tncompile.loads(text).instantiate("N").module(seed=0)
    x = torch.randn(2, 4, 6, 7)
    torch.testing.assert_close(held(x), x)


def test_an_orthogonal_kernel_is_that_of_torch() -> None:
    text = """
    network N() {
      window h = conv(size = 3), w = conv(size = 3)
      index  i = 4, o = 6
      input  x(..., i, h.in, w.in)
      tensor K(o, i, h.kernel, w.kernel) init orthogonal
      output y(..., o, h.out, w.out)
    }
    """
    k = parameter(tncompile.loads(text).instantiate("N").module(seed=0), "K").reshape(6, 36)
    torch.testing.assert_close(k @ k.T, torch.eye(6))


@pytest.mark.parametrize(("written", "value"), [("1", 1.0), ("0.25", 0.25), ("-3", -3.0), ("0", 0)])
def test_constants(written: str, value: float) -> None:
    text = f"""
    network N() {{
      index  i = 3, o = 2
      input  x(..., i)
      tensor A(i, o) init constant({written})
      bias   c(o) init constant({written})
      output y(..., o)
    }}
    """
    arch = tncompile.loads(text).instantiate("N")
    held = arch.module(seed=0)
    assert torch.equal(parameter(held, "A"), torch.full((3, 2), value))
    assert torch.equal(parameter(held, "c"), torch.full((2,), value))
    assert initialization(arch.network).draws["A"] == Constant(value)


def test_one_constant_or_several_make_the_size_exact() -> None:
    text = """
    network N() {
      index  i = 6, o = 5
      bond   r = 4
      input  x(..., i)
      tensor A(i, r) init constant(0.7) frozen
      tensor B(r, o)
      output y(..., o)
    }
    """
    held = tncompile.loads(text).instantiate("N").module(seed=1)
    assert held(torch.eye(6)).square().sum().item() / 5 == pytest.approx(1 / 3, rel=1e-4)
