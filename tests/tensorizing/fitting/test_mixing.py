"""Tables of mixed dimensions: exact where they can be, errors as they are said, never silent."""

from __future__ import annotations

import pytest
import torch

import tncompile
from tests.tensorizing.networks import random_weight
from tncompile import Metric
from tncompile.tensorizing.fitting.mixing import nested
from tncompile.tensorizing.moments import squared

TABLES = tncompile.load("std/embedding.tn")
WORDS, FEATURES = 60, 8


def made(counts: list[int], ranks: list[int]) -> tncompile.Architecture:
    sizes = {"words": WORDS, "features": FEATURES, "counts": counts, "ranks": ranks}
    return TABLES.instantiate("MixedEmbedding", **sizes)


def often() -> torch.Tensor:
    """By Zipf's law, in an order of its own."""
    ranks = torch.arange(1, WORDS + 1, dtype=torch.float64)
    return (1 / ranks)[torch.randperm(WORDS, generator=torch.Generator().manual_seed(1))]


def heard() -> torch.Tensor:
    root = random_weight(FEATURES, FEATURES, seed=7)
    return root @ root.mT


METRICS = {
    "plain": None,
    "often": Metric(inputs=often()),
    "both": Metric(inputs=often(), outputs=heard()),
    "outputs": Metric(outputs=heard()),
    "diagonal": Metric(inputs=often(), outputs=heard().diagonal()),
}


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
@pytest.mark.parametrize(
    ("counts", "ranks"),
    [([20], [2, 6]), ([30, 10], [1, 4, 8]), ([59, 2, 1], [1, 2, 3, 4])],
)
def test_errors_are_those_of_the_module(
    metric: Metric | None, counts: list[int], ranks: list[int]
) -> None:
    weight, arch = random_weight(WORDS, FEATURES, seed=2), made(counts, ranks)
    fit = arch.fit(weight, metric=metric)
    module = arch.module(dtype=torch.float64)
    module.load_state_dict(fit.state_dict)
    lost = weight - module.weight.detach()
    assert fit.error == pytest.approx(float(lost.norm() / weight.norm()), rel=1e-9)
    if metric is None:
        assert fit.metric_error is None
    else:
        part = squared(lost.mT, metric) / squared(weight.mT, metric)
        assert fit.metric_error == pytest.approx(part**0.5, rel=1e-9)
    torch.testing.assert_close(module(torch.arange(WORDS)), module.weight)


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_such_tables_are_found(metric: Metric | None) -> None:
    """Frequent rows in all of the space, rare ones in a plane: no number is wrong."""
    weight = random_weight(WORDS, FEATURES, seed=2)
    weight[15:] = random_weight(45, 2, seed=3) @ random_weight(2, FEATURES, seed=4) / 100
    counts = torch.cat([torch.ones(15), torch.full((45,), 0.1)])
    if metric is not None and metric.inputs is not None:
        metric = Metric(inputs=counts, outputs=metric.outputs)
    assert made([15], [2, 8]).fit(weight, metric=metric).error < 1e-7


@pytest.mark.parametrize("ranks", [[2, 3, 6], [1, 2, 3], [2, 4, 5]])
def test_nothing_is_gained_by_turning_two_blocks(ranks: list[int]) -> None:
    """The error is that of rows in their subspaces; small turns of the basis make it larger."""
    rows = [random_weight(20, 6, seed=k) * 3 ** (k - 1) for k in range(3)]
    grams = [each.mT @ each for each in rows]
    basis, lost = nested(grams, ranks)
    torch.testing.assert_close(basis.mT @ basis, torch.eye(ranks[-1], dtype=torch.float64))

    def error(basis: torch.Tensor) -> float:
        found = 0.0
        for each, rank in zip(rows, ranks, strict=True):
            some = basis[:, :rank]
            found += float((each - each @ some @ some.mT).square().sum())
        return found

    assert lost == pytest.approx(error(basis))
    greedy = torch.zeros(6, 0, dtype=torch.float64)
    for gram, rank in zip(grams, ranks, strict=True):
        free = torch.eye(6, dtype=torch.float64) - greedy @ greedy.mT
        vectors = torch.linalg.eigh(free @ gram @ free).eigenvectors
        greedy = torch.cat([greedy, vectors[:, 6 - (rank - greedy.shape[1]) :]], 1)
    assert lost <= error(greedy) + 1e-9


def test_rare_rows_without_directions_of_their_own() -> None:
    """A rare row in one direction, and two numbers for it: frequent rows have the second one."""
    weight = torch.zeros(WORDS, FEATURES, dtype=torch.float64)
    weight[1:, 1:3] = random_weight(WORDS - 1, 2)
    for rare in (0.0, 1e-3):
        weight[0, 0] = rare
        fit = made([WORDS - 1], [2, 3]).fit(weight, metric=Metric(inputs=torch.ones(WORDS)))
        assert fit.error < 1e-7


def test_frequent_rows_are_nearer_than_in_low_rank() -> None:
    weight, metric = random_weight(WORDS, FEATURES, seed=5), METRICS["often"]
    fit = made([20, 6], [1, 3, 8]).fit(weight, metric=metric)
    numbers = sum(each.numel() for key, each in fit.state_dict.items() if key != "places")
    low = TABLES.instantiate("TTEmbedding", rows=[WORDS], columns=[1, FEATURES], ranks=3)
    assert numbers < sum(p.numel() for p in low.module().parameters())
    assert fit.metric_error is not None
    found = low.fit(weight, metric=metric).metric_error
    assert found is not None
    assert fit.metric_error < found


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtypes(dtype: torch.dtype) -> None:
    weight = random_weight(WORDS, FEATURES, seed=2).to(dtype)
    state = made([20], [2, 8]).fit(weight).state_dict
    assert {each.dtype for key, each in state.items() if key != "places"} == {dtype}
    assert state["places"].dtype is torch.int64
    assert sorted(state["places"].tolist()) == list(range(WORDS))


def test_zeros_and_singular_tables() -> None:
    arch = made([20], [2, 8])
    one = torch.ones(1, FEATURES, dtype=torch.float64)
    for weight in (0 * random_weight(WORDS, 1) @ one, random_weight(WORDS, 1) @ one):
        fit = arch.fit(weight, metric=Metric(inputs=torch.eye(WORDS)[0]))
        assert fit.error < 1e-7
        assert all(bool(torch.isfinite(each).all()) for each in fit.state_dict.values())


def test_a_layer_becomes_one_and_back() -> None:
    layer = torch.nn.Embedding(WORDS, FEATURES)
    table = tncompile.from_embedding(layer, "MixedEmbedding", counts=[20], ranks=[2, 8])
    dense = tncompile.to_dense(table)
    assert isinstance(dense, torch.nn.Embedding)
    torch.testing.assert_close(dense.weight, table.weight)  # type: ignore[arg-type]


def test_what_is_refused() -> None:
    arch, weight = made([20], [2, 8]), random_weight(WORDS, FEATURES)
    with pytest.raises(ValueError, match="60 numbers, how often each row is read"):
        arch.fit(weight, metric=Metric(inputs=torch.eye(WORDS)))
    with pytest.raises(ValueError, match="60 × 8, not 8 × 60: it is transposed"):
        arch.fit(weight.mT)
    with pytest.raises(ValueError, match="effort is one of"):
        arch.fit(weight, effort="some")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="none of low rank"):
        made([20, 30], [2, 4, 8]).fit(weight)
    with pytest.raises(tncompile.CompileError):
        made([20], [4, 4])
    with pytest.raises(tncompile.CompileError, match="fewer than all words"):
        made([60], [2, 8])
    with pytest.raises(tncompile.CompileError, match="more numbers than there are features"):
        made([20], [2, 9])
    layer = torch.nn.Embedding(WORDS, FEATURES)
    with pytest.raises(ValueError, match="counts and ranks of MixedEmbedding are chosen"):
        tncompile.from_embedding(layer, "MixedEmbedding", counts=[20], budget=0.3)
    with pytest.raises(tncompile.CompileError, match="counts"):
        tncompile.from_embedding(layer, "MixedEmbedding")


def test_progress_and_balance() -> None:
    said: list[tuple[int, int]] = []
    weight = random_weight(WORDS, FEATURES) * torch.logspace(0, -3, FEATURES, dtype=torch.float64)
    state = made([20], [2, 8]).fit(weight, progress=lambda *each: said.append(each)).state_dict
    assert said == [(0, 1), (1, 1)]
    rows = torch.cat([state["base"].norm(dim=0), state["more.0"].norm(dim=0)])
    torch.testing.assert_close(rows, state["basis"].norm(dim=1))
