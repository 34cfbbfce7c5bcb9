"""Budgets of predicted time: what they promise, and that nothing slower is taken for them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.allocating.test_allocate import skewed
from tncompile import Allocation, Moments, allocate, calibrate


@pytest.fixture(scope="module")
def wide() -> nn.Module:
    return nn.Sequential(skewed(256, 128, 0, 0.3), nn.Tanh(), skewed(256, 256, 1, 0.8))


@pytest.fixture(scope="module")
def moments(wide: nn.Module) -> Moments:
    return calibrate(wide, [torch.randn(512, 128, generator=torch.Generator().manual_seed(0))])


def predicted(found: Allocation, rows: int) -> float:
    """Seconds of all layers, each planned by itself."""
    library, total = tncompile.load("std/linear.tn"), 0.0
    for each in found.layers:
        into = {"0": 128, "2": 256}[each.name]
        rank = 1 if each.block is None else int(each.rank)
        low = library.instantiate("LowRank", in_features=into, out_features=256, rank=rank)
        figures = low.cost(rows, search="fast").inference
        seconds = figures.dense_seconds if each.block is None else figures.seconds
        assert seconds is not None
        total += seconds
    return total


def test_the_time_is_that_of_the_cost_model(wide: nn.Module, moments: Moments) -> None:
    found = [allocate(wide, {"time": part}, moments=moments, multiple=16) for part in (0.4, 0.7, 1)]
    for part, each in zip((0.4, 0.7, 1), found, strict=True):
        assert each.seconds is not None
        assert each.dense_seconds is not None
        assert each.seconds <= part * each.dense_seconds
        assert each.seconds == pytest.approx(predicted(each, 512))
    assert all(one.error > two.error for one, two in pairwise(found))
    assert all(one.seconds < two.seconds for one, two in pairwise(found))  # type: ignore[operator]
    assert [each.block for each in found[-1].layers] == [None, None]
    same = allocate(wide, {"time": 0.7e6 * found[1].dense_seconds}, moments=moments, multiple=16)  # type: ignore[operator]
    assert same.choices == found[1].choices
    assert same.table().endswith(f"({100 * same.seconds / same.dense_seconds:.0f} %)")  # type: ignore[operator]


def test_what_is_slower_is_not_taken() -> None:
    """With one row two small products take longer than one, whatever they save in parameters."""
    model = nn.Sequential(skewed(24, 24, 0, 4), nn.Tanh(), skewed(512, 24, 1, 0.5))
    generator = torch.Generator().manual_seed(0)
    moments = calibrate(model, [torch.randn(1, 24, generator=generator) for _ in range(50)])
    library = tncompile.load("std/linear.tn")
    low = library.instantiate("LowRank", in_features=24, out_features=24, rank=4)
    figures = low.cost(1, search="fast").inference
    assert figures.seconds > figures.dense_seconds  # type: ignore[operator]
    given = {"moments": moments, "multiple": 4, "layers": ["0"]}
    assert allocate(model, {"params": 0.98}, **given).layers[0].block == "LowRank"  # type: ignore[arg-type]
    assert allocate(model, {"time": 1}, **given).layers[0].block is None  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"microseconds is less than the smallest ranks take"):
        allocate(model, {"time": 0.9}, **given)  # type: ignore[arg-type]


def test_candidates_that_take_longer_are_left(wide: nn.Module, moments: Moments) -> None:
    names = ("LowRank", "Monarch")
    found = allocate(wide, {"time": 0.4}, moments=moments, multiple=16, candidates=names)
    alone = allocate(wide, {"time": 0.4}, moments=moments, multiple=16)
    assert found.seconds <= alone.seconds  # type: ignore[operator]
    assert found.error <= alone.error


def test_convolutions_and_tables() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 128, 3, stride=2, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), nn.Conv2d(128, 64, (5, 1), padding="same"), nn.Flatten())
    moments = calibrate(model, [torch.randn(4, 64, 24, 24)])
    only = {"candidates": ("Tucker2Conv",)}
    found = allocate(model, {"time": 0.6}, moments=moments, multiple=32, **only)  # type: ignore[arg-type]
    assert found.seconds <= 0.6 * found.dense_seconds  # type: ignore[operator]
    assert any(each.block for each in found.layers)
    table = nn.Sequential(nn.Embedding(100, 64), skewed(256, 64, 0, 0.5))
    moments = calibrate(table, [torch.randint(0, 100, (8, 40))])
    kinds = [each.block for each in allocate(table, {"time": 0.7}, moments=moments).layers]
    assert kinds == [None, "LowRank"]


def test_without_moments_no_time_is_known(wide: nn.Module) -> None:
    with pytest.raises(ValueError, match="a budget of time takes moments"):
        allocate(wide, {"time": 0.5})
