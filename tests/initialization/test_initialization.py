"""How parameters start: every scheme, and the exact size of the whole map."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from tests.support.started import TRAIN, architecture, module, parameter


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64], ids=str)
def test_each_draw_has_the_mean_square_of_a_linear_layer(dtype: torch.dtype) -> None:
    for seed in range(4):
        weight = module(TRAIN, seed, dtype)(torch.eye(81, dtype=dtype))
        assert weight.abs().square().sum().item() / 16 == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_measured_in_single(dtype: torch.dtype) -> None:
    weight = module(TRAIN, 0, dtype).float()(torch.eye(81))
    assert weight.square().sum().item() / 16 == pytest.approx(1 / 3, rel=2e-2)


@pytest.mark.parametrize("kind", ["", "complex"])
@pytest.mark.parametrize("log", ["", "log"])
def test_sums_of_millions_of_squares_are_exact(kind: str, log: str) -> None:
    text = f"""network N() {{
      index  i = 1500, o = 1500
      input  x(..., i)
      tensor W(o, i) {kind}
      output y(..., o) {log}
    }}"""
    weight = parameter(architecture(text).module(seed=0, search="fast"), "W").abs().double()
    assert weight.square().sum().item() / 1500 == pytest.approx(1 / 3, rel=1e-6)


def test_draws_depend_on_the_seed_alone() -> None:
    first, second, other = (module(TRAIN, seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not any(torch.equal(first[key], other[key]) for key in first)


def test_a_module_on_meta_starts_later() -> None:
    held = architecture(TRAIN).module(device="meta")
    held.to_empty(device="cpu")
    torch.manual_seed(0)
    held.reset_parameters()
    weight = held(torch.eye(81))
    assert weight.square().sum().item() / 16 == pytest.approx(1 / 3, rel=1e-4)


def test_padding_is_left_out() -> None:
    text = TRAIN.replace("(..., (i[*]))", "(..., (i[*]) as 50)").replace(
        "y(..., (o[*]))", "y(..., (o[*]) as 11)"
    )
    weight = module(text)(torch.eye(50))
    assert weight.shape == (50, 11)
    assert weight.square().sum().item() / 11 == pytest.approx(1 / 3, rel=1e-4)


def test_ids_have_the_mean_square_of_an_embedding() -> None:
    text = TRAIN.replace("x(..., (i[*]))", "x(..., onehot(i[*]) as 50)")
    table = module(text)(torch.arange(50))
    assert table.square().mean().item() == pytest.approx(1, rel=1e-4)


def test_a_network_without_inputs_has_norm_one() -> None:
    text = """
    network N() {
      index  s[k in 0..4] = 3
      bond   b[k in 0..3] = 4
      tensor A[k in 0..4](b[k - 1]?, s[k], b[k]?)
      output y(s[*])
    }
    """
    assert module(text)().square().sum().item() == pytest.approx(1, rel=1e-4)


def test_slices_count_as_unit_vectors() -> None:
    text = """
    network N() {
      index  p[k in 0..4] = 3
      index  o = 5
      bond   b[k in 0..4] = 4
      input  x(..., k in 0..4, p[k])
      tensor A[k in 0..4](b[k - 1]?, p[k], b[k])
      tensor T(b[3], o)
      output y(..., o)
    }
    """
    every = torch.stack([torch.stack(f) for f in itertools.product(torch.eye(3), repeat=4)])
    assert module(text)(every).square().mean().item() == pytest.approx(1 / 3, rel=1e-4)


@pytest.mark.parametrize(
    "tensors",
    [
        "tensor A(i, r)\n tensor B(o, s) tie A\n tensor M(r, s)",
        "tensor A(i, r)\n tensor B(o, s) tie A conj\n tensor M(r, s)",
        "tensor A(i, r) init normal(2.0)\n tensor M(r, s)\n tensor B(s, o)",
        "tensor A(i, r) init uniform(0.01) frozen\n tensor M(r, s)\n tensor B(s, o)",
        "tensor A(i, r) init orthogonal\n tensor M(r, s) init eye frozen\n tensor B(s, o)",
        "tensor A(i, r) frozen\n tensor M(r, s) init ones\n tensor B(s, o)",
    ],
)
def test_ties_schemes_and_frozen_tensors_are_counted(tensors: str) -> None:
    text = f"""
    network N() {{
      index  i = 6, o = 6
      bond   r = 4, s = 4
      input  x(..., i)
      {tensors}
      output y(..., o)
    }}
    """
    for dtype in (torch.float32, torch.complex64):
        weight = module(text, 1, dtype)(torch.eye(6, dtype=dtype))
        assert weight.abs().square().sum().item() / 6 == pytest.approx(1 / 3, rel=1e-4)


def test_inputs_that_share_an_index_are_independent() -> None:
    text = """
    network N() {
      index  i = 7, j = 4, o = 3
      input  q(..., i)
      input  gate(i)
      input  k(..., j)
      tensor W(i, j, o)
      output y(..., o)
    }
    """
    held = module(text)
    assert parameter(held, "W").square().sum().item() / 3 == pytest.approx(1 / 3, rel=1e-4)


def test_an_index_that_inputs_alone_carry_is_counted() -> None:
    text = """
    network N() {
      index  i = 7, o = 3
      input  q(..., i)
      input  k(..., i)
      tensor w(o)
      output y(..., o)
    }
    """
    w = parameter(module(text), "w")
    assert 7 * w.square().sum().item() / 3 == pytest.approx(1 / 3, rel=1e-4)


def test_a_factor_of_zeros_leaves_the_rest_at_its_own_size() -> None:
    """As LoRA starts: A like a linear layer onto r, B at zero."""
    text = """
    network N() {
      index  i = 40, o = 30
      bond   r = 5
      input  x(..., i)
      tensor A(i, r)
      tensor B(r, o) init zeros
      output y(..., o)
    }
    """
    held = module(text)
    assert parameter(held, "A").square().sum().item() / 5 == pytest.approx(1 / 3, rel=1e-4)
    assert not parameter(held, "B").any()


def test_a_bias_starts_as_that_of_a_linear_layer() -> None:
    text = """
    network N() {
      index  g = 2, i = 50, o = 400
      input  x(..., (g i))
      tensor W(g, i, o)
      bias   c(g, o)
      output y(..., (g o))
    }
    """
    bias = parameter(module(text), "c")
    bound = 1 / math.sqrt(50)  # the features that an output sums over: groups left out
    assert 0.95 * bound < bias.abs().max().item() <= bound
