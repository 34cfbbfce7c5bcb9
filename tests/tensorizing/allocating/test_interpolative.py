"""Low rank without its gauge among candidates: never worse, at a price that is concave."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.tensorizing.networks import random_weight
from tncompile import Moments, Rewrite, allocate, calibrate, tensorize
from tncompile.tensorizing.fitting.interpolating import numbers_of

BOTH = ("LowRank", "Interpolative")


@pytest.fixture(scope="module")
def model() -> nn.Sequential:
    net = nn.Sequential(nn.Linear(24, 40), nn.Tanh(), nn.Linear(40, 32), nn.Tanh())
    with torch.no_grad():
        for k, (layer, power) in enumerate(((net[0], 0.3), (net[2], 1.5))):
            u, s, v = torch.linalg.svd(random_weight(*layer.weight.shape, seed=k))
            s = torch.arange(1, len(s) + 1, dtype=torch.float64) ** -power
            layer.weight.copy_(u[:, : len(s)] * s @ v[: len(s)])
    return net


@pytest.fixture(scope="module")
def moments(model: nn.Sequential) -> Moments:
    return calibrate(model, [random_weight(100, 24, seed=s).float() for s in range(3)])


@pytest.mark.parametrize("unit", ["params", "bytes", "flops"])
@pytest.mark.parametrize("part", [0.4, 0.6, 0.8])
def test_it_is_never_worse_than_low_rank_alone(
    model: nn.Sequential, moments: Moments, unit: str, part: float
) -> None:
    options = {"moments": moments, "multiple": 1}
    one = allocate(model, {unit: part}, **options)  # type: ignore[arg-type]
    two = allocate(model, {unit: part}, candidates=BOTH, **options)  # type: ignore[arg-type]
    assert two.error < one.error
    assert {block for block, _ in two.choices.values()} == {"Interpolative"}
    if unit == "params":
        assert two.parameters <= part * two.dense
    for each in two.layers:
        if each.block == "Interpolative":
            out, into = model.get_submodule(each.name).weight.shape  # type: ignore[union-attr]
            assert each.parameters == numbers_of(into, out, int(str(each.arguments["rank"])))


def test_every_rank_of_one_layer_is_reached(model: nn.Sequential) -> None:
    """Budgets just above the price of each rank: what the hull leaves out is filled in."""
    layer = nn.Sequential(model[0])
    whole = sum(p.numel() for p in layer.parameters())
    for rank in range(1, 24):
        price = numbers_of(24, 40, rank) + 40
        found = allocate(layer, (price + 0.5) / whole, candidates=BOTH, multiple=1)
        assert found.choices["0"] == ("Interpolative", {"rank": rank})


def test_an_error_takes_fewer_parameters(model: nn.Sequential, moments: Moments) -> None:
    options = {"moments": moments, "multiple": 1}
    one = allocate(model, {"error": 0.1}, **options)  # type: ignore[arg-type]
    two = allocate(model, {"error": 0.1}, candidates=BOTH, **options)  # type: ignore[arg-type]
    assert two.error <= 0.1 * (1 + 1e-9)
    assert two.parameters < one.parameters


def test_multiples_and_the_rewrite(model: nn.Sequential, moments: Moments) -> None:
    found = allocate(model, 0.6, candidates=BOTH, moments=moments)
    ranks = [arguments["rank"] for _, arguments in found.choices.values()]
    assert ranks
    assert all(int(str(rank)) % 8 == 0 for rank in ranks)
    made = tensorize(model, Rewrite.loads(found.text()), moments=moments)
    assert sum(p.numel() for p in made.model.parameters()) == found.parameters


def test_time_takes_what_is_predicted_to_be_fast() -> None:
    net = nn.Sequential(nn.Linear(256, 256))
    moments = calibrate(net, [torch.randn(512, 256, generator=torch.Generator().manual_seed(0))])
    found = allocate(net, {"time": 0.9}, candidates=BOTH, moments=moments, multiple=32)
    assert found.seconds is not None
    assert found.dense_seconds is not None
    assert found.seconds <= 0.9 * found.dense_seconds
    alone = [
        allocate(net, {"time": 0.9}, candidates=(name,), moments=moments, multiple=32).error
        for name in BOTH
    ]
    assert found.error <= min(alone) * (1 + 1e-9)
