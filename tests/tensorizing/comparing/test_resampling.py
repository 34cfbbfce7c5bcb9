"""Intervals: what they are of, that they cover, and that samples come in any order."""

from __future__ import annotations

import math

import pytest
import torch

from tests.tensorizing.comparing.models import batches, classifier, noisy
from tests.tensorizing.networks import random_weight
from tncompile import compare
from tncompile.tensorizing.comparing.resampling import (
    draws,
    interval,
    ordered,
    resampled,
    resampled_sums,
)


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = random_weight(400, 1, seed=0)
    found = interval(resampled_sums(values, 0)[:, 0] / 400)
    assert found is not None
    mean, deviation = float(values.mean()), float(values.std()) / 20
    for bound, sign in zip(found, (-1, 1), strict=True):
        assert bound == pytest.approx(mean + sign * 1.645 * deviation, abs=0.15 * deviation)


def test_intervals_cover_what_is_true() -> None:
    """Of 200 data sets, nine in ten have the true mean in their interval."""
    hits = 0
    for seed in range(200):
        values = random_weight(60, 1, seed=seed)
        found = interval(resampled_sums(values, seed)[:, 0] / 60)
        assert found is not None
        hits += found[0] <= 0 <= found[1]
    assert 165 <= hits <= 195


def test_columns_are_drawn_together() -> None:
    values = random_weight(50, 1, seed=0)
    sums = resampled_sums(torch.cat([values, 2 * values, torch.ones(50, 1)], 1), 3)
    assert torch.allclose(2 * sums[:, 0], sums[:, 1])
    assert bool((sums[:, 2] == 50).all())
    assert len(sums) == draws(50) == 1000


def test_large_tables_are_drawn_less_often() -> None:
    assert [draws(n) for n in (1, 10**5, 2 * 10**5, 10**9)] == [1000, 1000, 500, 200]


def test_rows_are_ordered_by_all_columns() -> None:
    table = torch.tensor([[1.0, 2.0], [0.0, 5.0], [1.0, 1.0], [0.0, 4.0]])
    assert ordered(table).tolist() == [[0, 4], [0, 5], [1, 1], [1, 2]]


def test_a_function_of_items_is_resampled_for_both() -> None:
    items = random_weight(80, 2, seed=1) + random_weight(80, 1, seed=2)

    def correlation(pairs: torch.Tensor) -> float:
        return float(torch.corrcoef(pairs.mT)[0, 1])

    same = resampled((items, items), correlation, 0)
    assert torch.equal(same, torch.ones(1000, dtype=torch.float64))
    worse = items + torch.tensor([0.0, 2.0]) * random_weight(80, 2, seed=5)
    low_high = interval(resampled((items, worse), correlation, 0))
    assert low_high is not None
    assert low_high[0] < correlation(worse) / correlation(items) < low_high[1] < 1
    model = classifier()
    scores = {"r": lambda m: (items if m is model else worse, correlation)}
    verdict = compare(model, noisy(model, 0.1), batches(), scores=scores, timing=False)
    assert (verdict["score:r"].low, verdict["score:r"].high) == low_high


def test_one_sample_has_no_interval() -> None:
    model = classifier()
    changed = noisy(model, 0.1)
    verdict = compare(model, changed, batches(1, 1), timing=False, strict=True)
    assert verdict["cosine"].low is None
    assert interval(torch.tensor([1.0, math.nan])) is None


def test_strict_takes_the_worse_end() -> None:
    model = classifier()
    changed = noisy(model, 0.1)
    plain = compare(model, changed, batches(), timing=False)
    for name in ("cosine", "error"):
        line = plain[name]
        assert line.low is not None
        assert line.high is not None
        worse = line.low if name == "cosine" else line.high
        between = (line.value + worse) / 2
        for strict in (False, True):
            found = compare(
                model, changed, batches(), timing=False, thresholds={name: between}, strict=strict
            )
            assert found.accepted is not strict
            assert ("worse end" in repr(found)) is strict
