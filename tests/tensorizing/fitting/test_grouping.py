"""Tables whose frequent rows have more numbers: what is predicted is what is fitted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.networks import random_weight
from tncompile import Metric, Moments, allocate, calibrate, tensorize
from tncompile.tensorizing.allocating.spectra import seen_weight
from tncompile.tensorizing.fitting.grouping import mixed_forms

WORDS, WIDTH = 400, 24
MIXED = "MixedEmbedding"
BOTH = ("LowRank", MIXED)


def table() -> torch.Tensor:
    """Rows that share directions, frequent ones with more of their own."""
    scale = torch.linspace(1, 0.2, WIDTH, dtype=torch.float64)
    return random_weight(WORDS, WIDTH) * scale


class Bag(nn.Module):
    """The mean of rows, then a map."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.words = nn.Embedding(WORDS, WIDTH, padding_idx=0)
            self.up = nn.Linear(WIDTH, 16)
        with torch.no_grad():
            self.words.weight.copy_(table())

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.up(self.words(ids).mean(1))
        return found


def batches() -> list[torch.Tensor]:
    """Ids by Zipf's law, in an order of their own."""
    generator = torch.Generator().manual_seed(0)
    places = torch.randperm(WORDS, generator=generator)
    often = 1 / torch.arange(1, WORDS + 1)
    drawn = torch.multinomial(often, 6000, replacement=True, generator=generator)
    return list(places[drawn].reshape(10, 60, 10))


@pytest.fixture(scope="module")
def model() -> Bag:
    return Bag()


@pytest.fixture(scope="module")
def moments(model: Bag) -> Moments:
    return calibrate(model, batches())


@pytest.mark.parametrize("given", ["often", "both", "plain"])
def test_predicted_errors_are_those_of_fits(given: str) -> None:
    often = 1 / torch.arange(1, WORDS + 1, dtype=torch.float64)
    root = random_weight(WIDTH, WIDTH, seed=3)
    metric = {
        "often": Metric(inputs=often),
        "both": Metric(inputs=often, outputs=root @ root.mT),
        "plain": None,
    }[given]
    weight = table()
    seen = seen_weight(weight.mT, metric).mT
    whole, sizes = float(seen.square().sum()), {"words": WORDS, "features": WIDTH}
    library, found = tncompile.load("std/embedding.tn"), list(mixed_forms(seen, 2, 2))
    assert len(found) > 5
    for form in found[:: len(found) // 4]:
        ranks = {"counts": list(form.counts), "ranks": list(form.ranks)}
        arch = library.instantiate("MixedEmbedding", **sizes, **ranks)
        fit = arch.fit(weight, metric=metric)
        reached = fit.error if fit.metric_error is None else fit.metric_error
        assert form.error == pytest.approx(reached**2 * whole, rel=1e-6)
        numbers = sum(each.numel() for key, each in fit.state_dict.items() if key != "places")
        assert form.parameters == numbers


def test_a_budget_or_a_tolerance_chooses_groups_and_ranks() -> None:
    layer = nn.Embedding(WORDS, WIDTH).double()
    with torch.no_grad():
        layer.weight.copy_(table())
    metric = Metric(inputs=1 / torch.arange(1, WORDS + 1, dtype=torch.float64))

    def numbers(module: nn.Module) -> int:
        return sum(each.numel() for each in module.parameters())

    def error(module: nn.Module) -> float:
        lost = seen_weight((module.weight - layer.weight).detach().mT, metric)  # type: ignore[operator]
        return float(lost.norm() / seen_weight(layer.weight.detach().mT, metric).norm())

    def chosen(**asked: float) -> nn.Module:
        return tncompile.from_embedding(layer, "MixedEmbedding", metric=metric, **asked)

    half = chosen(budget=0.5)
    assert 0.47 < numbers(half) / layer.weight.numel() <= 0.5
    low = tncompile.from_embedding(
        layer, "TTEmbedding", rows=[WORDS], columns=[1, WIDTH], metric=metric, budget=0.5
    )
    assert error(half) < 0.8 * error(low)
    near = chosen(tolerance=1.01 * error(half))
    assert error(near) <= 1.01 * error(half)
    assert numbers(near) <= numbers(half)
    assert (
        numbers(chosen(budget=0.3)) < numbers(half) < numbers(chosen(tolerance=0.5 * error(half)))
    )
    with pytest.raises(ValueError, match="the smallest MixedEmbedding of this table has"):
        chosen(budget=0.01)
    with pytest.raises(ValueError, match="has an error of 1e-09"):
        chosen(tolerance=1e-9)


def test_rare_words_keep_some() -> None:
    """However steep their frequencies are: most that low rank would give them."""
    often = torch.arange(1, WORDS + 1, dtype=torch.float64) ** -3
    found = list(mixed_forms(seen_weight(table().mT, Metric(inputs=often)).mT, 1, 1))
    assert len(found) > 5
    for form in found:
        assert 0.6 * form.parameters / (WORDS + WIDTH) <= form.ranks[0] < form.ranks[1]
    assert any(form.ranks[0] < 0.7 * form.parameters / (WORDS + WIDTH) for form in found)


def test_nearer_than_low_rank_of_as_many_numbers(model: Bag, moments: Moments) -> None:
    options = {"moments": moments, "multiple": 2, "embedding_share": 0.4}
    low = allocate(model, 0.45, **options)  # type: ignore[arg-type]
    found = allocate(model, 0.45, candidates=BOTH, **options)  # type: ignore[arg-type]
    assert low.layers[0].block == "TTEmbedding"
    assert found.layers[0].block == "MixedEmbedding"
    assert found.layers[0].parameters <= 0.4 * WORDS * WIDTH
    assert found.layers[0].error < 0.6 * low.layers[0].error
    done = tensorize(model, found.rewrite, moments=moments)
    twin = tensorize(model, low.rewrite, moments=moments)
    ids = torch.cat(batches())
    with torch.no_grad():
        due = model(ids)
        assert float((done.model(ids) - due).norm()) < float((twin.model(ids) - due).norm())
    assert "MixedEmbedding" in found.text()
    assert ", " in found.layers[0].rank


@pytest.mark.parametrize("features", [64, 84])
def test_tables_of_few_words_are_nearer_than_low_rank(features: int) -> None:
    layer = nn.Embedding(128, features).double()
    with torch.no_grad():
        layer.weight.copy_(random_weight(128, features) / torch.arange(1, 129).unsqueeze(1))
    errors = {}
    for block, more in (("TTEmbedding", {"rows": [128], "columns": [1, features]}), (MIXED, {})):
        made = tncompile.from_embedding(layer, block, budget=0.5, **more)  # type: ignore[arg-type]
        errors[block] = float((made.weight - layer.weight).detach().norm())  # type: ignore[operator]
    assert errors[MIXED] < errors["TTEmbedding"]


def test_blocks_of_other_forms_are_left_alone() -> None:
    layer = nn.Embedding(60, 8)
    with pytest.raises(ValueError, match="a table of 1 × 8 has no groups of words"):
        tncompile.from_embedding(nn.Embedding(1, 8), MIXED, budget=0.5)
    with pytest.raises(ValueError, match="no groups of words gain anything in this table of 15"):
        tncompile.from_embedding(nn.Embedding(15, 8), MIXED, budget=0.5)
    with pytest.raises(ValueError, match="tolerance is a relative error below 1"):
        tncompile.from_embedding(layer, MIXED, tolerance=1.5)
    with pytest.raises(tncompile.CompileError, match="counts"):
        tncompile.from_embedding(layer, MIXED, ranks=[2, 4], budget=0.5)


def test_small_and_empty_tables() -> None:
    assert not list(mixed_forms(torch.ones(15, 4), 1, 1))
    assert not list(mixed_forms(torch.zeros(64, 4), 1, 1))
    assert not list(mixed_forms(random_weight(64, 4), 4, 1))
