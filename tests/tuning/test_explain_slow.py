"""`tncompile explain-slow`: what it says, and the changes that it proposes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import tncompile
from tests.tuning.conftest import readings
from tncompile.cli.application import run
from tncompile.cli.slow_report import changes
from tncompile.network.model import TensorNetwork
from tncompile.simulation.dense_layer import Twin, dense_twin
from tncompile.tuning.timing import Timing, dense_layer


@pytest.mark.parametrize("training", [False, True])
def test_explain_slow(folder: Path, capsys: pytest.CaptureFixture[str], training: bool) -> None:
    command = ["explain-slow", "layer.tn", "--batch", "16", "--seconds", "0.01", "--threads", "1"]
    assert run([*command, *(["--training"] if training else [])]) == 0
    text = capsys.readouterr().out
    assert ("backward" in text) is training
    assert ("fold() it" in text) is not training
    assert "dense nn.Linear" in text
    assert "of a product of 1024³" in text
    assert "a batch of 64 " in text
    assert "rank = 2 " in text
    assert "× the parameters" in text
    assert max(map(len, text.splitlines())) <= 110


def test_explain_slow_says_that_a_machine_is_busy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tncompile.cli import slow_report

    shares = [0.5]

    def measured(actions: list[object], *given: object, **named: object) -> tuple[Timing, ...]:
        return tuple(readings(1e-3, 0.02, share=shares[0]) for _ in actions)

    monkeypatch.setattr(slow_report, "time_in_turn", measured)
    assert run(["explain-slow", "layer.tn", "--seconds", "0.01"]) == 0
    assert "The machine was busy: others took 50 % of the proc" in capsys.readouterr().out
    shares[0] = 1.0
    assert run(["explain-slow", "layer.tn", "--seconds", "0.01"]) == 0
    assert "busy" not in capsys.readouterr().out


def test_explain_slow_without_a_dense_equivalent(capsys: pytest.CaptureFixture[str]) -> None:
    target = "MPSClassifier(sites = 6, rank = 3, classes = 4)"
    assert run(["explain-slow", "std/classifier.tn", target, "--seconds", "0.01"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "no dense layer to compare it with: a dense map of the 6 slices of `x`" in text


@pytest.mark.parametrize(
    ("lead", "sizes"), [("..., ", "at a batch of 2, h = 9, w = 32, m"), ("", "at h = 9, w = 32, m")]
)
def test_explain_slow_says_how_large_images_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lead: str, sizes: str
) -> None:
    path = tmp_path / "image.tn"
    path.write_text(f"""network Image() {{
      window h = conv(3), w = conv(3)
      index  i = 2, o = 3
      input  x({lead}i, h.in, w.in)
      tensor K(i, o, h.kernel, w.kernel)
      output y({lead}o, h.out, w.out)
    }}""")
    command = ["explain-slow", str(path), "--batch", "2", "--size", "h=9", "--seconds", "0.01"]
    assert run(command) == 0
    assert sizes in capsys.readouterr().out


def test_explain_slow_of_a_bilinear_block(capsys: pytest.CaptureFixture[str]) -> None:
    target = "BilinearTN(12, 20, 6, rank = 3)"
    assert run(["explain-slow", "std/linear.tn", target, "--seconds", "0.01"]) == 0
    assert "dense nn.Bilinear" in capsys.readouterr().out
    twin = dense_twin(tncompile.load("std/linear.tn").instantiate(target).network, {"...": 4})
    assert isinstance(twin, Twin)
    with torch.profiler.profile() as seen:
        dense_layer(twin, "inference")()
    assert "aten::bilinear" in {event.name for event in seen.events()}


def test_changes_keep_what_goes_in_and_out() -> None:
    spec = tncompile.load("std/linear.tn")
    arch = spec.instantiate("MPO(ins = [8, 8], outs = [8, 8], ranks = 6)")
    found = changes(spec, arch)
    assert found[0].words == "ranks = [4]"
    assert found[0].parameters < 1
    assert any(change.words.startswith("ins = [4, 4, 4]") for change in found)
    for change in found:
        network: TensorNetwork = change.architecture.network
        assert network.inputs[0].axes[-1].length == 64
