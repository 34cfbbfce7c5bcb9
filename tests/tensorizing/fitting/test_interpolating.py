"""A gauge that is fixed: the same matrix, moderate numbers, the fit of the network of low rank."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import tncompile
from tests.tensorizing.networks import LINEAR, random_weight
from tncompile.tensorizing.fitting.interpolating import (
    LARGEST,
    fixed,
    numbers_of,
    rank_within,
)


@st.composite
def factors(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Two factors of all shapes; some singular, zero, complex or of very different columns."""
    rank = draw(st.integers(1, 8))
    rows, columns = rank + draw(st.integers(0, 8)), draw(st.integers(1, 9))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    dtype = draw(st.sampled_from([torch.float64, torch.complex128]))
    left = torch.randn(rows, rank, generator=generator, dtype=dtype)
    right = torch.randn(rank, columns, generator=generator, dtype=dtype)
    match draw(st.sampled_from(["plain", "zero", "equal", "graded", "few"])):
        case "zero":
            left = left * 0
        case "equal":
            left[:, -1] = left[:, 0]
        case "graded":
            left = left * torch.logspace(0, -12, rank, dtype=torch.float64)
        case "few":  # many rows are zeros
            left[: rows // 2] = 0
    return left, right


@given(factors())
@settings(max_examples=150, deadline=None)
def test_the_product_is_the_same_and_its_numbers_are_moderate(
    pair: tuple[torch.Tensor, torch.Tensor],
) -> None:
    left, right = pair
    order, rows, rest = fixed(left, right)
    assert sorted(order.tolist()) == list(range(len(left)))
    whole = torch.zeros_like(left @ right)
    whole[order] = torch.cat([rows, rest @ rows])
    size = float((left @ right).norm())
    assert float((whole - left @ right).norm()) <= 1e-12 * size
    assert rest.shape == (len(left) - left.shape[1], left.shape[1])
    if rest.numel():
        assert float(rest.abs().max()) <= LARGEST + 1e-9


def test_a_large_matrix_needs_few_swaps() -> None:
    left, right = random_weight(384, 112, seed=0), random_weight(112, 20, seed=1)
    assert float(fixed(left, right).rest.abs().max()) <= LARGEST


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 2000))
def test_the_rank_within_a_number_is_the_largest(into: int, out: int, most: float) -> None:
    rank, whole = rank_within(into, out, most), min(into, out)
    assert rank == max(r for r in range(whole + 1) if numbers_of(into, out, r) <= most)
    assert numbers_of(into, out, whole) == into * out


SHAPES = [(12, 10, 4, True), (10, 12, 4, False), (9, 9, 9, True), (5, 8, 5, True), (8, 5, 5, True)]


@pytest.mark.parametrize("seen", [False, True])
@pytest.mark.parametrize(("into", "out", "rank", "with_bias"), SHAPES)
def test_the_fit_is_that_of_low_rank(
    into: int, out: int, rank: int, with_bias: bool, seen: bool
) -> None:
    sizes = {"in_features": into, "out_features": out, "rank": rank, "with_bias": with_bias}
    weight = random_weight(out, into, seed=3)
    inputs, outputs = random_weight(7, into, seed=4), random_weight(9, out, seed=5)
    metric = tncompile.Metric.of_samples(inputs, outputs) if seen else None
    arch = LINEAR.instantiate("Interpolative", **sizes)
    fit = arch.fit(weight, metric=metric)
    twin = LINEAR.instantiate("LowRank", **sizes).fit(weight, metric=metric)
    assert (fit.error, fit.metric_error, fit.bound) == (twin.error, twin.metric_error, twin.bound)
    module = arch.module(dtype=torch.float64)
    module.load_state_dict(fit.state_dict)
    trained = sum(p.numel() for name, p in module.named_parameters() if name != "c")
    assert trained == numbers_of(into, out, rank) <= into * out
    lost = float((module.weight.detach() - weight).norm() / weight.norm())
    assert lost == pytest.approx(fit.error, abs=1e-12)
    if rank == min(into, out):
        assert fit.error < 1e-12


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_narrow_weights_are_fitted_in_float64(dtype: torch.dtype) -> None:
    weight = random_weight(12, 9, seed=1).to(dtype)
    arch = LINEAR.instantiate("Interpolative", in_features=9, out_features=12, rank=9)
    state = arch.fit(weight).state_dict
    assert {key: each.dtype for key, each in state.items() if key != "order"} == dict.fromkeys(
        ("columns", "c"), dtype
    )
    assert state["order"].dtype is torch.int64
    module = arch.module(dtype=dtype)
    module.load_state_dict(state)
    assert torch.equal(module.weight, weight)


def test_zero_and_singular_weights() -> None:
    arch = LINEAR.instantiate("Interpolative", in_features=9, out_features=12, rank=4)
    singular = random_weight(12, 2, seed=1) @ random_weight(2, 9, seed=2)
    for weight in (torch.zeros(12, 9, dtype=torch.float64), singular):
        module = arch.module(dtype=torch.float64)
        module.load_state_dict(arch.fit(weight).state_dict)
        torch.testing.assert_close(module.weight.detach(), weight)


def test_a_tolerance_takes_the_rank_of_low_rank() -> None:
    layer = torch.nn.Linear(9, 12)
    with torch.no_grad():
        layer.weight.copy_(random_weight(12, 9, seed=0))
    made = tncompile.from_linear(layer, "Interpolative", tolerance=0.4)
    assert len(made.columns) == tncompile.from_linear(layer, "LowRank", tolerance=0.4).A.shape[1]


def test_a_budget_takes_the_largest_rank() -> None:
    layer = torch.nn.Linear(9, 12)
    made = tncompile.from_linear(layer, "Interpolative", budget=0.5)
    assert len(made.columns) == rank_within(9, 12, 0.5 * 9 * 12)
    whole = tncompile.from_linear(layer, "Interpolative", budget=1.0)
    torch.testing.assert_close(whole.weight, layer.weight, atol=1e-6, rtol=1e-5)
    dense = tncompile.to_dense(made)
    assert torch.equal(dense.weight, made.weight)  # type: ignore[arg-type]


def test_what_is_refused() -> None:
    with pytest.raises(tncompile.CompileError, match="no rank above its smaller side"):
        tncompile.from_linear(torch.nn.Linear(6, 4), "Interpolative", rank=5)
    arch = LINEAR.instantiate("Interpolative", in_features=6, out_features=4, rank=2)
    with pytest.raises(ValueError, match=r"Interpolative.* 4 × 6, not 6 × 4: it is transposed"):
        arch.fit(torch.ones(6, 4))
    with pytest.raises(ValueError, match=r"Interpolative.* has no complex tensor"):
        arch.fit(torch.ones(4, 6, dtype=torch.complex64))
    with pytest.raises(TypeError, match=r"weight is a torch\.Tensor"):
        arch.fit([[1.0]])  # type: ignore[arg-type]
    other = tncompile.loads("model M() { part l = Linear(3, 3) input x(..., 3) output l(x) }")
    with pytest.raises(ValueError, match="M is a model, and none of low rank"):
        other["M"].instantiate().fit(torch.ones(3, 3))


def test_complex_weights_take_complex_tensors() -> None:
    text = COMPLEX.format(kind="complex")
    arch = tncompile.loads(text)["Mine"].instantiate()
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 4, dtype=torch.complex128, generator=generator)
    module = arch.module(dtype=torch.float64)
    fit = arch.fit(weight)
    module.load_state_dict(fit.state_dict)
    lost = (module.weight.detach() - weight).norm() / weight.norm()
    assert float(lost) == pytest.approx(fit.error, abs=1e-12)
    x = torch.randn(3, 4, dtype=torch.complex128, generator=generator)
    torch.testing.assert_close(module(x), x @ module.weight.mT)


COMPLEX = """
model Mine(n: int = 4, m: int = 5, r: int = 2) {{
  tensor some(r, m) init uniform(0.5) {kind}
  tensor sums(n - r, r) init normal(1) {kind}
  tensor places(n) init arange int
  input x(..., n) complex
  let y = take(x, places, dim = -1)
  output (y[..., 0..r] + y[..., r..n] @ sums) @ some
}}
"""
