"""What became of each weight, measured on the models themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.calibrating.models import Tiny, texts
from tests.tensorizing.comparing.models import batches, classifier, halved
from tests.tensorizing.replacing.models import GPT2, IDS, INPUTS, Mixtral, rewrite_text, seeded
from tncompile import Verdict, compare

LOSSY = {
    GPT2: """
  embedding "wte" -> TTEmbedding(ranks = 2)
  conv1d "*"      -> LowRank(rank = 3)
""",
    Mixtral: """
  parameter "experts.*" -> Experts(shape[0], shape[1], shape[2], rank = 5)
""",
}


def changed(cls: type[nn.Module]) -> tuple[nn.Module, tncompile.Tensorized]:
    """A model and what was made of it."""
    model = seeded(cls)
    rewrite = tncompile.Rewrite.loads(rewrite_text(LOSSY[cls]))
    return model, tncompile.tensorize(model, rewrite)


@pytest.mark.parametrize("cls", LOSSY)
def test_errors_are_those_of_the_report(cls: type[nn.Module]) -> None:
    model, done = changed(cls)
    verdict = compare(model, done, [(INPUTS[cls],)], timing=False)
    found = {line.names[0].removesuffix(".weight"): line for line in verdict.layers}
    assert set(found) == {row.names[0] for row in done.report.rows}
    for row in done.report.rows:
        line = found[row.names[0]]
        assert line.error == pytest.approx(row.error, rel=1e-3)
        assert line.changed == row.network
    bare = compare(model, done.model, [(INPUTS[cls],)], timing=False)
    assert [line.error for line in bare.layers] == [line.error for line in verdict.layers]
    assert bare.layers[0].changed == done.report.rows[0].network.split("(")[0]


def test_errors_in_the_metric_are_those_of_the_fit() -> None:
    model = Tiny().eval()
    batch = texts(20, 0)
    moments = tncompile.calibrate(model, [batch])
    text = """import "std/linear.tn" { LowRank } import "std/embedding.tn" { TTEmbedding }
    rewrite R { embedding "*" -> TTEmbedding(ranks = 2) conv1d "*" -> LowRank(rank = 2)
      linear "up" -> LowRank(rank = 2) }"""
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=moments)
    verdict = compare(model, done, [batch], moments=moments, timing=False)
    assert len(verdict.layers) == 3
    for line, row in zip(verdict.layers, done.report.rows, strict=True):
        assert line.metric_error == pytest.approx(row.metric_error, rel=1e-3, abs=1e-6)
    assert "in its metric" in repr(verdict)
    with pytest.raises(ValueError, match="moments of another model"):
        compare(classifier(), classifier(), batches(), moments=moments, timing=False)


def test_errors_in_a_metric_of_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of convolutions with many inputs, as the fit has them."""
    monkeypatch.setattr("tncompile.tensorizing.calibrating.layers.LARGEST", 20)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(4, 6, 7), nn.ReLU(), nn.Conv1d(6, 4, 5, padding=2))
    data = [torch.randn(8, 4, 30).cumsum(2) for _ in range(3)]
    moments = tncompile.calibrate(model, data)
    text = """import "std/convolution.tn" { TuckerConv }
    rewrite R { conv "*" -> TuckerConv(in_rank = 2, out_rank = 2, kernel_ranks = 3) }"""
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=moments)
    verdict = compare(model, done, data, moments=moments, timing=False)
    assert len(verdict.layers) == 2
    for line, row in zip(verdict.layers, done.report.rows, strict=True):
        assert line.metric_error == pytest.approx(row.metric_error, rel=1e-3)
        assert line.metric_error != pytest.approx(row.error, rel=0.05)


def remarks(model: nn.Module, other: nn.Module) -> Verdict:
    return compare(model, other, [IDS], timing=False)


def test_ties_are_followed() -> None:
    model, done = changed(GPT2)
    read = "lm_head.weight and wte.weight are one weight still, read off one network"
    assert read in remarks(model, done.model).remarks
    same, copied, broken = (seeded(GPT2) for _ in range(3))
    copied.lm_head.weight = nn.Parameter(copied.wte.weight.detach().clone())  # type: ignore[union-attr]
    broken.lm_head.weight = nn.Parameter(broken.wte.weight.detach() + 1)  # type: ignore[union-attr]
    del broken.h[1]  # type: ignore[operator,union-attr]
    start = "lm_head.weight and wte.weight"
    assert f"{start} are one weight still" in remarks(model, same).remarks
    assert f"{start} are equal, in two copies" in remarks(model, copied).remarks
    found = remarks(model, broken)
    assert f"{start} were one weight, and differ now: the tie is broken" in found.remarks
    gone = "nothing in the changed model gives 4 of its weights: h.1.attn.c_attn.weight, "
    assert any(each.startswith(gone) for each in found.remarks)


def test_biases_that_differ_are_counted() -> None:
    model, other = classifier(), classifier()
    assert not compare(model, other, batches(), timing=False).layers
    with torch.no_grad():
        other[0].bias.add_(1)  # type: ignore[index,union-attr,operator]
    assert compare(model, other, batches(), timing=False).remarks == (
        "1 biases and other vectors differ, too",
    )


def test_only_the_worst_are_shown() -> None:
    model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(40)))
    other = nn.Sequential(*(nn.Linear(4, 4) for _ in range(40)))
    verdict = compare(model, other, [torch.rand(3, 4)], timing=False)
    assert len(verdict.layers) == 40
    assert "16 more with smaller errors" in repr(verdict)


def test_a_folder_that_is_read_again_is_the_same(tmp_path: Path) -> None:
    done = halved()
    done.save(tmp_path / "out")
    again = tncompile.load_model(tmp_path / "out", model=classifier)
    verdict = compare(done.model, again, batches(), timing=False, thresholds={"error": 0})
    assert verdict.accepted
    assert not verdict.layers


class Parametrized(nn.Module):
    """Weights that torch computes of other tensors, buffers among them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        kinds = nn.utils.parametrizations
        self.a = kinds.weight_norm(nn.Linear(12, 10))
        self.b = kinds.spectral_norm(nn.Linear(10, 8))
        self.c = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.c(torch.relu(self.b(torch.relu(self.a(x)))))
        return found


def test_parametrized_weights_are_compared_and_saved(tmp_path: Path) -> None:
    model = Parametrized().eval()
    text = 'import "std/linear.tn" { LowRank } rewrite R { linear "%s" -> LowRank(rank = 3) }'
    for pattern, names in (("*", ["a.weight", "b.weight", "c.weight"]), ("c", ["c.weight"])):
        done = tncompile.tensorize(model, tncompile.Rewrite.loads(text % pattern))
        verdict = compare(model, done, batches(), timing=False)
        assert [line.names[0] for line in verdict.layers] == names
        for line, row in zip(verdict.layers, done.report.rows, strict=True):
            assert line.error == pytest.approx(row.error, rel=1e-3)
        done.save(tmp_path / names[0])
        again = tncompile.load_model(tmp_path / names[0], model=Parametrized)
        assert not compare(done.model, again, batches(), timing=False).layers
