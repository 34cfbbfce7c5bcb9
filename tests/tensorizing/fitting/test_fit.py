"""Weights onto networks: exact where a network has the weight, and never worse than the start."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import tncompile
from tests.tensorizing.networks import (
    LINEAR,
    architecture,
    distance,
    own_weight,
    random_tree,
    random_weight,
    weight_of,
)
from tncompile.tensorizing.fitting.products.posing import posed
from tncompile.tensorizing.fitting.starting.peeling import peel

SHAPE = {"ins": [3, 4, 2], "outs": [2, 3, 4]}

PEELED = {
    "LowRank": {"in_features": 12, "out_features": 10, "rank": 3},
    "MPO": {**SHAPE, "ranks": [4, 3]},
    "Tucker": {**SHAPE, "in_ranks": 2, "out_ranks": [2, 2, 3]},
    "HierarchicalTucker": {**SHAPE, "rank": 3},
    "TreeLinear": {**SHAPE, "rank": 3},
    "Monarch": {"ins": [4, 3], "outs": [3, 4]},
    "BTT": {"ins": [4, 3], "outs": [3, 4], "rank": 2},
}
"""Networks onto which singular value decompositions are exact."""

SEARCHED = {
    "TensorRing": {"ins": [2, 2, 2, 3], "outs": [3, 2, 2, 2], "ranks": 2},
    "KroneckerSum": {"ins": [4, 3], "outs": [3, 4], "terms": 3},
    "CP": {**SHAPE, "rank": 3},
    "BlockTerm": {"ins": [4, 3], "outs": [3, 4], "terms": 2, "ranks": 2},
}
"""Networks with loops, or with sums over three tensors and more."""


def linear(
    name: str, arguments: dict[str, object], *, with_bias: bool = False
) -> tncompile.Architecture:
    return LINEAR.instantiate(name, **arguments, with_bias=with_bias)


@pytest.mark.parametrize("name", PEELED)
def test_what_has_no_loop_is_exact_at_once(name: str) -> None:
    arch = linear(name, PEELED[name])
    weight = own_weight(arch)
    fit = arch.fit(weight)
    assert fit.method == "peel"
    assert fit.error < 1e-12
    assert distance(weight_of(arch, fit.state_dict), weight) < 1e-12


@pytest.mark.parametrize("name", SEARCHED)
def test_what_has_loops_is_found(name: str) -> None:
    arch = linear(name, SEARCHED[name])
    weight = own_weight(arch)
    fit = arch.fit(weight)
    assert fit.error < 1e-6
    assert distance(weight_of(arch, fit.state_dict), weight) < 1e-6


def test_sums_of_products_come_from_a_pencil() -> None:
    """As many terms as two groups of the modes have entries, of each kind of number."""
    arch = linear("CP", {**SHAPE, "rank": 8})
    fit = arch.fit(own_weight(arch))
    assert fit.method == "pencil"
    assert fit.error < 1e-8
    factors = [torch.complex(random_weight(n, 3, seed=n), random_weight(n, 3)) for n in (3, 4, 5)]
    network = tncompile.loads("""network Terms() {
      index i = 3, j = 4, k = 5
      hyper r = 3
      tensor A(i, r) complex
      tensor B(j, r) complex
      tensor C(r, k) complex
      output y(i, j, k)
    }""").instantiate()
    fit = network.fit(torch.einsum("ir,jr,kr->ijk", *factors))
    assert fit.method == "pencil"
    assert fit.error < 1e-8


@pytest.mark.parametrize("name", [*PEELED, *SEARCHED])
def test_the_error_is_that_of_the_module_and_of_the_best_step(name: str) -> None:
    arch = linear(name, (PEELED | SEARCHED)[name])
    weight = random_weight(*own_weight(arch).shape)
    fit = arch.fit(weight)
    assert distance(weight_of(arch, fit.state_dict), weight) == pytest.approx(fit.error, rel=1e-9)
    assert fit.error == pytest.approx(min(step.error for step in fit.history), rel=1e-9)
    assert fit.bound is not None
    assert fit.bound <= fit.error * (1 + 1e-9)


def test_low_rank_is_the_truncated_decomposition() -> None:
    weight = random_weight(10, 12)
    arch = LINEAR.instantiate("LowRank", in_features=12, out_features=10, rank=4, with_bias=False)
    fit = arch.fit(weight)
    values = torch.linalg.svdvals(weight)
    best = float(values[4:].norm() / values.norm())
    assert fit.method == "peel"
    assert fit.error == pytest.approx(best)
    assert fit.bound == pytest.approx(best)


@given(st.integers(0, 10_000), st.integers(2, 4))
@settings(max_examples=15)
def test_trees_are_exact_and_close(seed: int, rank: int) -> None:
    arch = random_tree(seed, rank)
    own = own_weight(arch)
    assert arch.fit(own).error < 1e-10
    other = random_weight(*own.shape, seed=seed)
    problem, _ = posed(arch.network, other, {})
    peeled = peel(problem, torch.Generator().manual_seed(0))
    assert peeled.loop_free
    first = problem.error(peeled.values)
    cuts = sum(index.kind == "bond" for index in arch.network.indices)
    assert peeled.bound <= first + 1e-12
    assert first <= math.sqrt(cuts) * peeled.bound + 1e-12
    fit = arch.fit(other)
    assert peeled.bound - 1e-12 <= fit.error <= first + 1e-12


def test_a_train_is_better_than_its_decomposition() -> None:
    """Sequential truncation is no optimum; alternating least squares go on from it."""
    arch = linear("MPO", {**SHAPE, "ranks": 2})
    fit = arch.fit(random_weight(24, 24))
    assert fit.history[0].method == "peel"
    assert fit.error < 0.999 * fit.history[0].error


def test_biases_are_zero_and_the_state_dict_is_whole() -> None:
    arch = linear("MPO", PEELED["MPO"], with_bias=True)
    weight = random_weight(24, 24)
    fit = arch.fit(weight.float())
    module = arch.module(search="fast")
    module.load_state_dict(fit.state_dict)
    assert all(tensor.dtype == torch.float32 for tensor in fit.state_dict.values())
    assert not module.bias.any()
    assert distance(module.weight.detach().double(), weight) == pytest.approx(fit.error, rel=1e-4)


@pytest.mark.parametrize("name", ["MPO", "TensorRing", "CP"])
def test_equal_seeds_give_equal_parameters(name: str) -> None:
    arch = linear(name, (PEELED | SEARCHED)[name])
    weight = random_weight(24, 24)
    if name == "CP":  # whose minima of random numbers are flat: rounding leads apart
        own = own_weight(arch)
        weight = own + 0.02 * weight * own.norm() / weight.norm()
    state = torch.random.get_rng_state()
    first, second = (arch.fit(weight, seed=3).state_dict for _ in range(2))
    for key in first:  # BLAS rounds by where memory lies
        torch.testing.assert_close(first[key], second[key], rtol=1e-6, atol=1e-8)
    assert torch.equal(state, torch.random.get_rng_state())


def test_rounding_does_not_choose_among_starts() -> None:
    """Most starts end in the one minimum, their errors apart by what is rounded off."""
    arch = linear("CP", SEARCHED["CP"])
    own, noise = own_weight(arch), random_weight(24, 24)
    weight = own + 0.02 * noise * own.norm() / noise.norm()
    rounded = weight * (1 + 1e-14 * random_weight(24, 24, seed=1))
    first, second = (arch.fit(each, seed=3).state_dict for each in (weight, rounded))
    for key in first:
        torch.testing.assert_close(first[key], second[key], rtol=1e-6, atol=1e-7)


def test_a_tolerance_ends_it() -> None:
    arch = linear("TensorRing", SEARCHED["TensorRing"])
    weight = random_weight(24, 24)
    loose = arch.fit(weight, tolerance=0.99)
    assert len(loose.history) == 1
    assert loose.error <= 0.99


def test_progress_is_reported_up_to_the_end() -> None:
    calls: list[tuple[int, int]] = []
    arch = linear("CP", SEARCHED["CP"])
    arch.fit(random_weight(24, 24), progress=lambda done, total: calls.append((done, total)))
    assert calls[0][0] == 0
    assert calls[-1][0] == calls[-1][1]
    assert all(a <= b for (a, _), (b, _) in pairwise(calls))


def test_zero_is_met() -> None:
    for name in ("MPO", "TensorRing"):
        fit = linear(name, (PEELED | SEARCHED)[name]).fit(torch.zeros(24, 24))
        assert fit.error == 0


def test_padding_does_not_count() -> None:
    """A width that is cut off: what lies beyond is free."""
    arch = linear("MPO", {"ins": [3, 4], "outs": [4, 3], "ranks": 3, "inputs": 11, "outputs": 10})
    own = own_weight(arch)
    assert own.shape == (10, 11)
    assert arch.fit(own).error < 1e-4
    weight = random_weight(10, 11)
    fit = arch.fit(weight)
    assert fit.bound is None
    assert distance(weight_of(arch, fit.state_dict), weight) == pytest.approx(fit.error, rel=1e-9)
    assert fit.error < 0.99 * fit.history[0].error


def test_convolutions_and_tables() -> None:
    conv = tncompile.load("std/convolution.tn").instantiate(
        "Tucker2Conv", in_channels=6, out_channels=8, in_rank=3, out_rank=4, with_bias=False
    )
    own = own_weight(conv)
    assert own.shape == (8, 6, 3, 3)
    assert conv.fit(own).error < 1e-12
    table = tncompile.load("std/embedding.tn").instantiate(
        "TTEmbedding", rows=[4, 5], columns=[2, 3], ranks=3
    )
    own = own_weight(table)
    assert own.shape == (20, 6)
    assert table.fit(own).error < 1e-12


def test_a_weight_may_be_unflattened() -> None:
    arch = linear("MPO", PEELED["MPO"])
    weight = random_weight(24, 24)
    flat = arch.fit(weight).state_dict
    split = arch.fit(weight.reshape(2, 3, 4, 3, 4, 2)).state_dict
    assert all(torch.equal(flat[key], split[key]) for key in flat)


def test_a_network_without_inputs_is_a_tensor() -> None:
    arch = tncompile.from_einsum("ir,jr,kr->ijk", (4, 3), (5, 3), (6, 3), inputs=0)
    factors = [random_weight(n, 3, seed=n) for n in (4, 5, 6)]
    assert arch.fit(torch.einsum("ir,jr,kr->ijk", *factors)).error < 1e-6


class Largest(TorchDispatchMode):
    """Sees how many entries the largest result of torch has."""

    entries = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = function(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, torch.Tensor):
                self.entries = max(self.entries, each.untyped_storage().nbytes() // 8)
        return result


def test_nothing_larger_than_the_weight_is_made() -> None:
    """A table of many rows onto a train, and a matrix onto one of low rank."""
    table = tncompile.load("std/embedding.tn").instantiate(
        "TTEmbedding", rows=[16, 16, 16], columns=[2, 2, 2], ranks=4
    )
    low = LINEAR.instantiate("LowRank", in_features=96, out_features=256, rank=4, with_bias=False)
    for arch, shape in ((table, (4096, 8)), (low, (256, 96))):
        weight = random_weight(*shape)
        with Largest() as seen:
            arch.fit(weight)
        assert seen.entries <= weight.numel()


def test_large_matrices_are_sampled() -> None:
    """The randomized decomposition is as near as the whole one where the spectrum falls."""
    generator = torch.Generator().manual_seed(0)
    left, right = (
        torch.linalg.qr(torch.randn(n, 60, dtype=torch.float64, generator=generator))[0]
        for n in (800, 700)
    )
    values = 0.8 ** torch.arange(60, dtype=torch.float64)
    weight = (left * values) @ right.mT
    arch = LINEAR.instantiate("LowRank", in_features=700, out_features=800, rank=10)
    fit = arch.fit(weight)
    best = float(values[10:].norm() / values.norm())
    assert fit.error == pytest.approx(best, rel=1e-6)


LOG = """network Log() {
  index i = 2, o = 2
  input x(..., i)
  tensor A(i, o)
  output y(..., o) log
}"""


THREE = """network Three() {
  index i = 2, j = 2, k = 2, o = 2
  input x(..., i)
  input y(..., j)
  input z(..., k)
  tensor A(i, j, k, o)
  output w(..., o)
}"""


def test_what_is_wrong_is_said() -> None:
    arch = linear("MPO", PEELED["MPO"])
    weight = random_weight(24, 24)
    with pytest.raises(ValueError, match=r"24 × 24 or 2 × 3 × 4 × 3 × 4 × 2, not 24 × 12"):
        arch.fit(weight[:, :12])
    wide = linear("LowRank", PEELED["LowRank"])
    with pytest.raises(ValueError, match="10 × 12, not 12 × 10: it is transposed"):
        wide.fit(random_weight(12, 10))
    weight[3, 4] = math.nan
    with pytest.raises(ValueError, match="an entry that is not finite"):
        arch.fit(weight)
    with pytest.raises(TypeError, match=r"torch\.Tensor, not list"):
        arch.fit([[1.0]])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"not torch\.int64"):
        arch.fit(torch.ones(24, 24, dtype=torch.int64))
    with pytest.raises(ValueError, match="is complex, and MPO"):
        arch.fit(torch.ones(24, 24, dtype=torch.complex64))
    with pytest.raises(ValueError, match="tolerance is a relative error below 1"):
        arch.fit(torch.ones(24, 24), tolerance=2.0)
    with pytest.raises(ValueError, match="gives a logarithm"):
        architecture(LOG).fit(torch.ones(2, 2))
    bilinear = LINEAR.instantiate("BilinearTN", left_features=3, right_features=4, out_features=2)
    with pytest.raises(ValueError, match="2 × 3 × 4 or 2 × 12, not 3 × 4 × 2"):
        bilinear.fit(torch.ones(3, 4, 2))
    with pytest.raises(ValueError, match=r"several inputs .*no bilinear map"):
        architecture(THREE).fit(torch.ones(2, 2, 2, 2))


def test_a_quick_fit_is_a_start_of_the_whole_one() -> None:
    """Fewer steps from one start; exact where peeling is, and never nearer than the whole fit."""
    arch = linear("MPO", {"ins": [4, 4, 3], "outs": [3, 4, 4], "ranks": [5, 5]})
    weight, seen = random_weight(48, 48, seed=0), random_weight(96, 48, seed=1)
    metric = tncompile.Metric.of_samples(seen * torch.linspace(0.1, 2, 48), seen.flip(1))
    whole = arch.fit(weight, metric=metric)
    quick = arch.fit(weight, metric=metric, effort="quick")
    assert whole.metric_error is not None
    assert quick.metric_error is not None
    assert whole.metric_error <= quick.metric_error * (1 + 1e-9)
    assert {step.start for step in quick.history} == {"peel"}
    methods = [step.method for step in quick.history]
    assert methods == ["peel", "ALS", "ALS", "LBFGS"]
    assert quick.metric_error < quick.history[0].error
    low = linear("LowRank", PEELED["LowRank"])
    given = random_weight(10, 12, seed=2)
    assert low.fit(given, effort="quick").error == low.fit(given).error
    with pytest.raises(ValueError, match="effort is one of full, quick, not 'fast'"):
        arch.fit(weight, effort="fast")  # type: ignore[arg-type]
