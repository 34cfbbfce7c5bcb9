"""Heads of language models: of many outputs the diagonal of the moment of gradients is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tncompile.tensorizing.calibrating import layers
from tncompile.tensorizing.calibrating.sharing import shared_metric

WORDS, WIDTH = 200, 12


class Model(nn.Module):
    """Ids (n, t) to scores of words (n, t, WORDS)."""

    def __init__(self, *, tied: bool, head_first: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        head = nn.Linear(WIDTH, WORDS, bias=not tied)
        if head_first:
            self.head = head
        self.table, self.body = nn.Embedding(WORDS, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.head = head
        if tied:
            self.head.weight = self.table.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """The scores."""
        return self.head(torch.tanh(self.body(self.table(ids))))


def data(count: int = 5) -> list[torch.Tensor]:
    """Batches of ids."""
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, WORDS, (6, 9), generator=generator) for _ in range(count)]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that 200 are many."""
    monkeypatch.setattr(layers, "WIDEST", 100)


def test_the_limit_bounds_memory() -> None:
    with torch.device("meta"):
        head = nn.Linear(768, 50_257, bias=False)
    assert tncompile.Moments.bytes_needed(head) < 10_000_000
    with torch.device("meta"):
        known = nn.Linear(64, layers.WIDEST, bias=False)
    assert tncompile.Moments.bytes_needed(known) > 8 * layers.WIDEST**2


def test_it_is_the_diagonal_of_the_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = Model(tied=False)
    whole = tncompile.calibrate(model, data()).metric("head")
    monkeypatch.setattr(layers, "WIDEST", 100)
    file = tmp_path / "moments.safetensors"
    tncompile.calibrate(model, data(3), file=file)
    moments = tncompile.calibrate(model, data(), file=file)  # continued
    found = moments.metric("head")
    assert whole.outputs is not None
    assert found.outputs is not None
    assert found.inputs is not None
    assert found.outputs.shape == (WORDS,)
    torch.testing.assert_close(found.outputs, whole.outputs.diagonal())
    torch.testing.assert_close(found.inputs, whole.inputs)
    both = tncompile.calibrate(model, data()) + moments
    torch.testing.assert_close(both.metric("head").outputs, found.outputs)


@pytest.mark.usefixtures("few")
def test_fits_refits_integers_and_training() -> None:
    model = Model(tied=False)
    moments = tncompile.calibrate(model, data())
    some = ("head", "body")
    found = tncompile.allocate(model, 0.7, moments=moments, layers=some, multiple=1)
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    plain = tncompile.tensorize(model, found.rewrite)
    rows = {row.names[0]: row for row in done.report.rows}
    assert rows["head"].metric_error is not None
    assert rows["head"].error > next(r.error for r in plain.report.rows if r.names[0] == "head")
    refitted = tncompile.refit(model, done, data(), moments=moments)
    assert all(row.after <= row.before for row in refitted.layers)
    taught = tncompile.distill(model, refitted.tensorized, data(), steps=4, moments=moments)
    assert taught.best <= taught.start
    small = tncompile.quantize(model, "int8", moments=moments)
    verdict = tncompile.compare(model, small, data(), moments=moments, timing=False)
    assert all(line.metric_error is not None for line in verdict.layers)


@pytest.mark.parametrize("head_first", [False, True])
def test_a_tied_head(head_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listed before its table or behind it: nothing of words × words is made, it counts alike."""
    model = Model(tied=True, head_first=head_first)
    names = ("table", "head")
    before = tncompile.calibrate(model, data())
    monkeypatch.setattr(layers, "WIDEST", 100)
    moments = tncompile.calibrate(model, data())
    for kind in ("embedding", "linear"):
        whole, found = (shared_metric(each, names, kind) for each in (before, moments))
        assert whole is not None
        assert found is not None
        assert found.inputs is not None
        assert whole.inputs is not None
        torch.testing.assert_close(found.inputs, whole.inputs)
        if kind == "linear":
            assert found.outputs is not None
            assert whole.outputs is not None
            torch.testing.assert_close(found.outputs, whole.outputs.diagonal())
    text = 'import "std/linear.tn" { LowRank } rewrite R { linear "head" -> LowRank(rank = 6) }'
    rewrite = tncompile.Rewrite.loads(text)
    done = tncompile.tensorize(model, rewrite, moments=moments)
    assert done.report.rows[0].metric_error is not None


def test_files_of_before_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the whole moment of a head: its diagonal is taken."""
    model, file = Model(tied=False), tmp_path / "moments.safetensors"
    whole = tncompile.calibrate(model, data(), file=file).metric("head").outputs
    assert whole is not None
    monkeypatch.setattr(layers, "WIDEST", 100)
    found = tncompile.Moments.load(file).metric("head").outputs
    assert found is not None
    assert torch.equal(found, whole.diagonal())
