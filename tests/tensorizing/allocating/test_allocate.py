"""Ranks of all layers for a budget: never worse than any other choice, and what is promised."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.calibrating.models import Tiny, texts
from tests.tensorizing.networks import random_weight
from tncompile import Moments, allocate, calibrate
from tncompile.tensorizing.allocating.options import Option, best, hull


def skewed(out: int, into: int, seed: int, power: float) -> nn.Linear:
    """A layer whose singular values fall as a power of their number."""
    layer = nn.Linear(into, out)
    u, _, v = torch.linalg.svd(random_weight(out, into, seed=seed), full_matrices=False)
    values = torch.arange(1, len(v) + 1, dtype=torch.float64) ** -power
    with torch.no_grad():
        layer.weight.copy_(u * values @ v)
    return layer


@pytest.fixture(scope="module")
def model() -> nn.Module:
    """Layers of which some need much rank and others little."""
    return nn.Sequential(
        skewed(40, 24, 0, 0.1), nn.Tanh(), skewed(32, 40, 1, 2), nn.Tanh(), skewed(5, 32, 2, 1)
    )


@pytest.fixture(scope="module")
def moments(model: nn.Module) -> Moments:
    """Those of inputs of unequal sizes."""
    scale = torch.linspace(0.1, 2, 24)
    return calibrate(model, [random_weight(200, 24, seed=s).float() * scale for s in range(3)])


def error_of(model: nn.Module, moments: Moments, ranks: dict[str, int]) -> float:
    """Σ ‖G^½ (W − W') A^½‖² with the best W' of each rank, by eigenvalues."""
    total = 0.0
    for name, rank in ranks.items():
        metric = moments.metric(name)
        sides = []
        for moment in (metric.outputs, metric.inputs):
            assert moment is not None
            values, vectors = torch.linalg.eigh(moment.double())
            values = values + metric.damping * values.mean()
            sides.append(vectors * values.clamp(min=0).sqrt() @ vectors.mT)
        weight = model.get_submodule(name).weight.detach().double()
        values = torch.linalg.svdvals(sides[0] @ weight @ sides[1])
        total += float(values[rank:].square().sum())
    return total


def numbers(model: nn.Module, ranks: dict[str, int]) -> int:
    """Parameters of layers of these ranks, where that saves any."""
    shapes = {name: model.get_submodule(name).weight.shape for name in ranks}
    return sum(min(sum(shapes[name]) * rank, shapes[name].numel()) for name, rank in ranks.items())


@pytest.mark.parametrize("part", [0.4, 0.5, 0.7])
def test_no_other_ranks_are_better(model: nn.Module, moments: Moments, part: float) -> None:
    found = allocate(model, part, moments=moments, multiple=4)
    assert found.parameters <= part * found.dense
    full = {name: min(model.get_submodule(name).weight.shape) for name in ("0", "2", "4")}
    chosen = {
        each.name: full[each.name] if each.block is None else int(each.rank)
        for each in found.layers
    }
    spent = numbers(model, chosen)
    assert sum(each.parameters for each in found.layers) == spent
    lost = error_of(model, moments, chosen)
    assert sum(each.error for each in found.layers) == pytest.approx(lost, rel=1e-5)
    assert found.error == pytest.approx(math.sqrt(lost / (moments.output / moments.samples)))
    grids = [[*range(4, n, 4), n] for n in full.values()]
    for ranks in itertools.product(*grids):
        other = dict(zip(full, ranks, strict=True))
        if numbers(model, other) <= spent:
            assert error_of(model, moments, other) >= lost * (1 - 1e-6), other


def test_the_model_that_comes_of_it(model: nn.Module, moments: Moments) -> None:
    """Its parameters are those that were said, its error near the one predicted."""
    found = allocate(model, 0.6, moments=moments, multiple=2)
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    assert sum(p.numel() for p in done.model.parameters()) == found.parameters
    x = random_weight(400, 24, seed=9).float() * torch.linspace(0.1, 2, 24)
    with torch.no_grad():
        actual = float((done.model(x) - model(x)).norm() / model(x).norm())
    assert actual == pytest.approx(found.error, rel=0.5)
    uniform = tncompile.Rewrite.loads(
        'import "std/linear.tn" { LowRank }\n'
        "rewrite U { linear * -> LowRank(rank = max(1, 6 * in_features * out_features"
        " // (10 * (in_features + out_features)))) }".replace("*", '"*"', 1)
    )
    plain = tncompile.tensorize(model, uniform)
    with torch.no_grad():
        assert actual < 0.8 * float((plain.model(x) - model(x)).norm() / model(x).norm())


@pytest.mark.parametrize("unit", ["params", "bytes", "flops", "error"])
def test_budgets_in_every_unit(model: nn.Module, moments: Moments, unit: str) -> None:
    value = 0.2 if unit == "error" else 0.4
    found = allocate(model, {unit: value}, moments=moments, multiple=1)
    weights = sum(each.parameters for each in found.layers)
    dense = sum(each.dense for each in found.layers)
    if unit == "error":
        assert 0.15 < found.error <= 0.2
    elif unit == "flops":
        assert weights <= 0.4 * dense
        assert weights > 0.35 * dense
    else:
        assert 0.37 * found.dense < found.parameters <= 0.4 * found.dense
        size = 4 if unit == "bytes" else 1
        same = allocate(model, {unit: 0.4 * size * found.dense}, moments=moments, multiple=1)
        assert same.choices == found.choices


def test_larger_budgets_lose_less(model: nn.Module, moments: Moments) -> None:
    errors = [
        allocate(model, part / 10, moments=moments, multiple=1).error for part in range(2, 11)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0


def test_floors_and_multiples(model: nn.Module, moments: Moments) -> None:
    for multiple in (1, 3, 4):
        found = allocate(model, 0.7, moments=moments, multiple=multiple, floors={"2": 10, "*": 0.2})
        ranks = {each.name: int(each.rank) for each in found.layers if each.block}
        assert all(rank % multiple == 0 for rank in ranks.values())
        assert ranks["2"] >= 10
        assert ranks.get("0", 24) >= 0.2 * 24
    unbound = allocate(model, 0.7, moments=moments, multiple=1)
    assert int({each.name: each.rank for each in unbound.layers}["2"]) < 10


def test_without_moments_errors_are_relative(model: nn.Module) -> None:
    found = allocate(model, 0.5, multiple=1)
    lost = 0.0
    for each in found.layers:
        values = torch.linalg.svdvals(model.get_submodule(each.name).weight.detach().double())
        rank = int(each.rank) if each.block else len(values)
        lost += float(values[rank:].square().sum() / values.square().sum())
    assert found.error == pytest.approx(math.sqrt(lost / 3), rel=1e-4)
    scaled = nn.Sequential(*(skewed(40, 24, 0, 0.1), nn.Tanh(), model[2], nn.Tanh(), model[4]))
    with torch.no_grad():
        scaled[0].weight.mul_(100)
    assert allocate(scaled, 0.5, multiple=1).choices == found.choices


def test_embeddings_have_a_share_of_their_own() -> None:
    model = Tiny()
    moments = calibrate(model, [texts(30, 0)])
    found = allocate(model, 0.9, moments=moments, multiple=1, embedding_share=0.8)
    layers = {each.name: each for each in found.layers}
    words = layers["words"]
    assert words.block == "TTEmbedding"
    assert words.parameters <= 0.8 * 66
    assert words.arguments == {"rows": [11], "columns": [1, 6], "ranks": 3}
    for name in ("unused", "aside"):  # nothing is known of them
        assert (layers[name].block, layers[name].error) == (None, 0)
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    assert sum(p.numel() for p in done.model.parameters()) == found.parameters
    free = allocate(model, {"flops": 0.8}, moments=moments, multiple=1)
    assert next(each for each in free.layers if each.name == "words").block is None
    text = found.table()
    assert "words" in text
    assert "TTEmbedding" in text
    assert "kept" in text


def test_convolutions_and_shared_weights() -> None:
    torch.manual_seed(0)
    conv, grouped, head = nn.Conv2d(8, 16, 3), nn.Conv2d(16, 16, 3, groups=4), nn.Linear(16, 16)
    model = nn.Sequential(conv, nn.ReLU(), grouped, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    tied = nn.Linear(16, 16)
    tied.weight = head.weight
    model.append(tied)
    moments = calibrate(model, [torch.randn(8, 8, 9, 9)])
    found = allocate(model, 0.6, moments=moments, multiple=2)
    kinds = {each.name: each.block for each in found.layers}
    assert kinds.keys() == {"0", "2", "5"}
    assert kinds["0"] == "Tucker2Conv"
    assert kinds["2"] is None
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    assert sum(p.numel() for p in done.model.parameters()) == found.parameters
    row = next(each for each in done.report.rows if "0" in each.names)
    assert row.metric_error is not None


def test_the_best_candidate_is_taken() -> None:
    """A layer that is a Monarch matrix, and one of low rank."""
    arch = tncompile.load("std/linear.tn").instantiate("Monarch", ins=[4, 4], outs=[4, 4])
    exact = arch.module(seed=2, search="fast")
    model = nn.Sequential(tncompile.to_dense(exact), skewed(16, 16, 1, 3))
    found = allocate(model, 0.5, candidates=("LowRank", "Monarch"), multiple=2)
    assert [each.block for each in found.layers] == ["Monarch", "LowRank"]
    assert found.layers[0].error == pytest.approx(0, abs=1e-8)
    low = allocate(model, 0.5, multiple=2)
    assert found.parameters <= low.parameters
    assert found.error < low.error
    assert found.rewrite.lines[0].target == "Monarch(ins = [4, 4], outs = [4, 4])"


def test_progress(model: nn.Module) -> None:
    seen: list[tuple[int, int]] = []
    allocate(model, 0.5, multiple=1, progress=lambda *done: seen.append(done))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


WRONG: dict[str, tuple[object, dict[str, object], str]] = {
    "nothing": (0.0, {}, "the budget `params` is a part, or a number above 1, not 0"),
    "not a number": (math.nan, {}, "the budget `params` is a part"),
    "unit": ({"seconds": 1.0}, {}, "a budget is one of params, bytes, flops, time, error"),
    "two": ({"params": 0.5, "bytes": 0.5}, {}, "a budget is one of"),
    "error": ({"error": 1.5}, {}, "`error` is an error between 0 and 1"),
    "small": (0.01, {}, "is less than the smallest ranks take: 1,325, 53 % of the model"),
    "candidate": (0.5, {"candidates": ("Lowrank",)}, "no candidate is called Lowrank: there are"),
    "floor": (0.5, {"floors": {"9": 3}}, "no layer is called 9, which has a floor"),
    "floor's size": (0.5, {"floors": -1}, "a floor is a rank, or a part below 1"),
    "multiple": (0.5, {"multiple": 0}, "ranks are multiples of 1 or more"),
    "share": (0.5, {"embedding_share": 2.0}, "the share of embeddings is a part up to 1"),
    "layers": (0.5, {"layers": ["x"]}, "no layer is called x"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case: str, model: nn.Module) -> None:
    budget, options, problem = WRONG[case]
    with pytest.raises(ValueError, match=problem):
        allocate(model, budget, **options)  # type: ignore[arg-type]


def test_moments_of_another_model(moments: Moments) -> None:
    with pytest.raises(ValueError, match="these are moments of another model"):
        allocate(nn.Linear(3, 3), 0.5, moments=moments)
    with pytest.raises(TypeError, match="the budget `params` is a number, not str"):
        allocate(nn.Linear(3, 3), "half")  # type: ignore[arg-type]


def test_hull_and_threshold_by_hand() -> None:
    steep = [Option(0, 0, 10), Option(1, 1, 2), Option(2, 2, 1.9), Option(3, 3, 0)]
    flat = [Option(0, 0, 3), Option(2, 2, 0.5), Option(4, 4, 0)]
    assert [o.cost for o in hull(steep)] == [0, 1, 3]
    chosen, least = best([hull(steep), hull(flat)], 3)
    assert ([o.cost for o in chosen], least) == ([1, 2], 1.25)
    chosen, least = best([hull(steep), hull(flat)], math.inf, error=3)
    assert sum(o.error for o in chosen) == 2.5
    assert best([steep, flat], 100)[0][0].error == 0
    assert [o.cost for o in best([steep], 2.5)[0]] == [2]  # what is left is spent off the hull


@pytest.mark.parametrize("factor", [0.0, 1e-21])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("blocks", [None, ("LowRank", "MPO"), ("TuckerConv", "Interpolative")])
def test_layers_that_the_output_does_not_depend_on(
    place: int, blocks: tuple[str, ...] | None, factor: float
) -> None:
    """What comes in is nothing: all entries count alike in fits, none in the choice."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 8, 3)
            self.next = nn.Conv2d(8, 24, 3)
            self.up = nn.Linear(24, 40)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x).relu() * (factor if place == 0 else 1.0)
            x = self.next(x).relu().mean((2, 3)) * (factor if place == 1 else 1.0)
            found: torch.Tensor = self.up(x)
            return found

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, data = Gated().eval(), [torch.randn(8, 3, 9, 9)]
    moments = tncompile.calibrate(model, data)
    some = {} if blocks is None else {"candidates": blocks}
    found = tncompile.allocate(model, 0.9, moments=moments, multiple=1, **some)  # type: ignore[arg-type]
    silent = ("next", "up")[place]
    (row,) = (each for each in found.layers if each.name == silent)
    assert row.block is not None
    assert row.error == 0
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    with torch.no_grad():
        assert torch.allclose(done.model(data[0]), model(data[0]), atol=1e-6)
    if factor == 0:
        again = tncompile.refit(model, done, data, moments=moments)
        with torch.no_grad():
            assert torch.allclose(again.model(data[0]), model(data[0]), atol=1e-6)
