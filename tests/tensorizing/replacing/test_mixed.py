"""Whole models with tables of mixed dimensions: everything that is done with other tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.fitting.test_grouping import BOTH, WIDTH, WORDS, Bag, batches
from tncompile.tensorizing.healing.distilling.coordinates import coordinates_of
from tncompile.tensorizing.healing.distilling.stepping import trained
from tncompile.tensorizing.replacing.tensorized import Tensorized

LINES = """
import "std/embedding.tn" { MixedEmbedding }

rewrite Small {
  embedding "words" -> MixedEmbedding(counts = [160, 40], ranks = [4, 10, 24])
}
"""


@pytest.fixture(scope="module")
def moments() -> tncompile.Moments:
    return tncompile.calibrate(Bag(), batches())


@pytest.fixture(scope="module")
def done(moments: tncompile.Moments) -> Tensorized:
    return tncompile.tensorize(Bag(), tncompile.Rewrite.loads(LINES), moments=moments)


def test_the_report_and_the_row_of_padding(done: Tensorized) -> None:
    (row,) = done.report.rows
    assert row.network.startswith("MixedEmbedding(")
    assert row.after == WORDS * 4 + 161 * 6 + 41 * 14 + 24 * WIDTH < row.before
    assert row.metric_error is not None
    assert row.metric_error < row.error
    original, ids = Bag(), torch.zeros(2, 5, dtype=torch.int64)
    assert torch.equal(done.model.words(ids), original.words(ids))  # type: ignore[operator]


def test_a_folder_loads_in_a_fresh_process(done: Tensorized, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    done.save(folder)
    ids = batches()[0]
    torch.save(ids, tmp_path / "x")
    script = f"""
import torch, tncompile
from tests.tensorizing.fitting.test_grouping import Bag
x = torch.load({str(tmp_path / "x")!r})
torch.save(tncompile.load_model({str(folder)!r}, model=Bag())(x), {str(tmp_path / "y")!r})
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300)
    assert torch.equal(torch.load(tmp_path / "y"), done.model(ids))


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_quantized_and_saved(
    done: Tensorized, moments: tncompile.Moments, weights: str, tmp_path: Path
) -> None:
    small = tncompile.quantize(done, weights, moments=moments)  # type: ignore[arg-type]
    small.save(tmp_path / "small")
    again = tncompile.load_model(tmp_path / "small", model=Bag())
    ids = batches()[0]
    assert torch.equal(again(ids), small.model(ids))
    with torch.no_grad():
        due = done.model(ids)
        lost = float((small.model(ids) - due).norm() / due.norm())
    assert 0 < lost < {"int8": 0.02, "int4": 0.3}[weights]


def test_checkpoints_give_the_same_model(moments: tncompile.Moments, tmp_path: Path) -> None:
    rewrite = tncompile.Rewrite.loads(LINES)
    first, second = (
        tncompile.tensorize(Bag(), rewrite, moments=moments, checkpoint=tmp_path / "fits")
        for _ in range(2)
    )
    for key, tensor in first.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[key], tensor)


def test_it_is_trained_in_coordinates(done: Tensorized, moments: tncompile.Moments) -> None:
    """Along the basis' features, its bond, and the bond of each of the tables; not along rows."""
    found = coordinates_of(done._placed, trained(done.model, None), moments)
    along = {name.rsplit("table.", 1)[-1]: each.along for name, each in found.items()}
    bond = ((1,),)
    assert along == {"base": bond, "more.0": bond, "more.1": bond, "basis": ((0,), (1,))}
    taught = tncompile.distill(Bag(), done, batches(), moments=moments, steps=20)
    assert taught.best < taught.start
    assert taught.tensorized is not None
    (row,) = taught.tensorized.report.rows
    assert row.error != done.report.rows[0].error


def test_a_tied_head_reads_it(moments: tncompile.Moments) -> None:
    net = Bag()
    net.head = nn.Linear(WIDTH, WORDS, bias=False)
    net.head.weight = net.words.weight
    made = tncompile.tensorize(net, tncompile.Rewrite.loads(LINES), moments=moments).model
    assert torch.equal(made.head.weight, made.words.weight)  # type: ignore[union-attr]


def test_refit_keeps_it_and_compare_sees_it(done: Tensorized, moments: tncompile.Moments) -> None:
    found = tncompile.allocate(Bag(), 0.5, moments=moments, candidates=BOTH, multiple=2)
    small = tncompile.tensorize(Bag(), found.rewrite, moments=moments)
    again = tncompile.refit(Bag(), small, batches(), moments=moments)
    assert again.layers[0].how == "kept"
    assert "MixedEmbedding" in str(tncompile.compare(Bag(), done, batches()))
