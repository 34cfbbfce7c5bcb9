"""Whole models with low rank without its gauge: everything that is done with low rank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.networks import random_weight
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.tensorizing.fitting.interpolating import numbers_of
from tncompile.tensorizing.replacing.tensorized import Tensorized

LINES = """
import "std/linear.tn" { Interpolative }

rewrite Small {
  linear "0" -> Interpolative(rank = 12)
  linear "2" -> Interpolative(rank = out_features // 2)
}
"""

MAKE = "import torch; net = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 20, bias=False))"  # noqa: E501


def model() -> nn.Sequential:
    """Two layers, the second without a bias."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(24, 32), nn.GELU(), nn.Linear(32, 20, bias=False))
    with torch.no_grad():
        for k, layer in enumerate((net[0], net[2])):
            layer.weight.copy_(random_weight(*layer.weight.shape, seed=k) / 5)
    return net


def batches() -> list[torch.Tensor]:
    scale = torch.linspace(0.1, 2, 24)
    return [random_weight(60, 24, seed=s).float() * scale for s in range(3)]


@pytest.fixture(scope="module")
def moments() -> tncompile.Moments:
    return tncompile.calibrate(model(), batches())


@pytest.fixture(scope="module")
def done(moments: tncompile.Moments) -> Tensorized:
    return tncompile.tensorize(model(), tncompile.Rewrite.loads(LINES), moments=moments)


def test_the_report_is_that_of_low_rank_but_for_its_size(
    done: Tensorized, moments: tncompile.Moments
) -> None:
    text = LINES.replace("Interpolative", "LowRank")
    twin = tncompile.tensorize(model(), tncompile.Rewrite.loads(text), moments=moments)
    for row, other, (into, out, rank, bias) in zip(
        done.report.rows,
        twin.report.rows,
        [(24, 32, 12, 32), (32, 20, 10, 0)],
        strict=True,
    ):
        assert (row.error, row.metric_error) == (other.error, other.metric_error)
        assert row.after == numbers_of(into, out, rank) + bias == other.after - rank**2
        assert row.dense_flops == other.dense_flops
        assert row.flops is not None
        assert other.flops is not None
        assert row.flops < other.flops
    x = batches()[0]
    torch.testing.assert_close(done.model(x), twin.model(x), atol=1e-4, rtol=1e-3)


def test_a_folder_loads_in_a_fresh_process(done: Tensorized, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    done.save(folder)
    x = torch.ones(2, 24)
    torch.save(x, tmp_path / "x")
    script = f"""
import tncompile; {MAKE}
x = torch.load({str(tmp_path / "x")!r})
torch.save(tncompile.load_model({str(folder)!r}, model=net)(x), {str(tmp_path / "y")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
    assert torch.equal(torch.load(tmp_path / "y"), done.model(x))


def test_quantized_and_saved(done: Tensorized, tmp_path: Path) -> None:
    small = tncompile.quantize(done, "int8")
    state = small.model.state_dict()
    assert {"0.columns_int8", "0.columns_scale", "0.rest", "0.order", "0.c"} <= set(state)
    assert state["0.order"].dtype is torch.int64
    small.save(tmp_path / "eight")
    again = tncompile.load_model(tmp_path / "eight", model=model())
    x = batches()[0]
    assert torch.equal(again(x), small.model(x))
    torch.testing.assert_close(small.model(x), done.model(x), atol=0.1, rtol=0.1)


def test_checkpoints_give_the_same_model(moments: tncompile.Moments, tmp_path: Path) -> None:
    rewrite = tncompile.Rewrite.loads(LINES)
    first, second = (
        tncompile.tensorize(model(), rewrite, moments=moments, checkpoint=tmp_path / "fits")
        for _ in range(2)
    )
    for key, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[key], tensor)


def test_refit_and_distill(done: Tensorized, moments: tncompile.Moments) -> None:
    found = tncompile.refit(model(), done, batches(), moments=moments)
    assert any(layer.how == "weight" for layer in found.layers)
    assert all(layer.after <= layer.before for layer in found.layers)
    taught = tncompile.distill(model(), found.tensorized, batches(), steps=2)
    assert taught.tensorized is not None
    order = taught.tensorized.model[0].order  # type: ignore[index]
    assert torch.equal(order, found.tensorized.model[0].order)  # type: ignore[index]


def test_ties_read_the_weight() -> None:
    net = model()
    net.head = nn.Linear(24, 32)
    net.head.weight = net[0].weight
    rewrite = LINES.replace('linear "2" -> Interpolative(rank = out_features // 2)', "")
    made = tncompile.tensorize(net, tncompile.Rewrite.loads(rewrite)).model
    assert torch.equal(made.head.weight, made[0].weight)  # type: ignore[index]


def test_compare_sees_it(done: Tensorized) -> None:
    verdict = tncompile.compare(model(), done, batches())
    assert verdict["parameters"].value < 0.7
    assert "Interpolative" in str(verdict)


def test_other_models_do_not_stand_for_a_layer() -> None:
    text = """
    model Deep(in_features: int, out_features: int) {
      part l = Linear(in_features, out_features)
      input x(..., in_features)
      output l(x)
    }
    rewrite R { linear "0" -> Deep }
    """
    with pytest.raises(tncompile.CompileError) as caught:
        tncompile.tensorize(model(), tncompile.Rewrite.loads(text))
    (found,) = caught.value.diagnostics
    assert found.code == Code.WEIGHT_MISFIT
    assert "none of low rank" in found.message
