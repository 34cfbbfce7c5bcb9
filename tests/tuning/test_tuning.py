"""Measured plans: what is run, chosen, kept and followed, on a busy machine too."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import torch

import tncompile
from tests.tuning.conftest import LAYER, readings
from tncompile.cli.application import run
from tncompile.language.diagnostics.errors import InternalError
from tncompile.planning import Variant
from tncompile.planning.lock import read_lock
from tncompile.planning.plan import ContractionPlan
from tncompile.tuning.results import Trial, Tuning
from tncompile.tuning.timing import Timing


def tuned_plan(path: Path) -> ContractionPlan:
    """The one plan of a lock file."""
    (entry,) = read_lock(path).entries.values()
    return entry.plan


def test_tuning_is_kept_and_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["tune", "layer.tn", "--batch", "1,64", "--seconds", "0.01", "--training"]
    assert run(command) == 0
    text = capsys.readouterr().out
    assert "training step, batch 1 " in text
    assert "folded forward pass, batch 64" in text
    assert "predicted    measured  spread" in text
    assert "chosen" in text
    for block in text.split("\n\n")[1:-1]:
        rows = [line.split("  ")[0] for line in block.splitlines()]
        assert len(set(rows)) == len(rows), block
    assert sorted(path.name for path in folder.iterdir()) == ["layer.tn", "layer.tnlock"]
    planned = tuned_plan(folder / "layer.tnlock")
    assert planned.tuned is not None
    assert "torch" in planned.tuned
    assert any("measured" in variant.reason for variant in planned.variants)

    assert run(["compile", "layer.tn", "--batch", "8"]) == 0
    assert capsys.readouterr().err == ""
    assert run(["compile", "layer.tn", "--search", "fast", "--machine", "cuda"]) == 0
    assert "note" not in capsys.readouterr().err  # another device, another plan
    assert run(["compile", "layer.tn", "--search", "fast"]) == 0
    assert "--search changes nothing: the lock file has a plan" in capsys.readouterr().err
    arch = tncompile.load("layer.tn").instantiate()  # as the command line: without any option
    assert arch.plan(8) == planned.with_batch(8)
    assert arch.plan(8).notes == ()
    assert arch.lock == folder / "layer.tnlock"
    assert "layer.tnlock" in repr(arch)
    assert f"measured on {planned.tuned}" in " ".join(arch.source().replace("#", "").split())
    assert arch.unlocked().plan(8).tuned is None
    assert arch.unlocked().lock is None
    assert arch.plan(8, minimize="memory") != planned.with_batch(8)
    before = (folder / "layer.tnlock").read_bytes()
    assert run(["compile", "layer.tn", "--lock"]) == 0
    assert (folder / "layer.tnlock").read_bytes() == before
    assert not json.loads(before)["plans"][0]["request"]["batch"]


def chosen_and_measured(tuning: Tuning, trial: Trial) -> Variant:
    """What runs at a measured size, once it is known to be among what was measured there."""
    chosen = tuning.plan.variant(trial.batch, trial.mode)
    measured = [(one.option.tree, one.option.schedule) for one in trial.tried]
    assert (chosen.tree, chosen.schedule) in measured
    return chosen


def test_an_architecture_follows_what_it_measured() -> None:
    arch = tncompile.loads(LAYER).instantiate()
    tuning = arch.tune((1, 16), seconds=0.01)
    assert {trial.mode for trial in tuning.trials} == {"inference", "folded"}
    assert arch.plan(5) == tuning.plan.with_batch(5)
    module = arch.module(batch=5, seed=0)
    assert module(torch.randn(5, 24)).shape == (5, 24)
    for trial in tuning.trials:
        assert 1 <= len(trial.tried) <= 6
        assert trial.fastest in trial.tried
        predicted = [one.predicted for one in trial.tried]
        assert predicted == sorted(predicted)
        chosen_and_measured(tuning, trial)


def test_what_is_chosen_at_a_measured_size_was_measured_there() -> None:
    """Estimates of what was not run do not win against what was, however near."""
    arch = tncompile.load("std/linear.tn").instantiate("MPO(ins = [4, 6, 4], outs = [6, 4, 4])")
    tuning = arch.tune((1, 64), training=True, seconds=0.05)
    for trial in tuning.trials:
        chosen = chosen_and_measured(tuning, trial)
        if f" at {trial.batch}" in chosen.reason:
            assert ": measured " in chosen.reason


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.2])
def test_what_measured_worse_is_never_chosen(
    monkeypatch: pytest.MonkeyPatch, spread: float, seed: int
) -> None:
    """Whichever program is fastest at a size, however many sizes there are."""
    from tncompile.tuning import autotuner as tuning

    drawn = Random(seed)

    def made_up(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        return tuple(readings(drawn.uniform(1.0, 1.3), spread) for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", made_up)
    monkeypatch.setattr(tuning, "disagreeing", lambda *given: None)
    arch = tncompile.loads(LAYER).instantiate()
    result = arch.tune([1, 2, 5, 20, 100, 300], search="fast", training=True)
    assert len(result.trials) == 18
    assert result.busy is None
    for trial in result.trials:
        chosen, best = result.chosen(trial).timing.seconds, trial.fastest.timing
        assert chosen <= min(best.high, 1.05 * best.seconds)
        if not spread:
            assert chosen == best.seconds
    rows = [line for line in repr(result).splitlines() if "  chosen" in line]
    assert len(rows) == 18
    stored = result.to_dict()["trials"]
    assert isinstance(stored, list)
    for trial, one in zip(result.trials, stored, strict=True):
        assert [row["spread"] for row in one["tried"]] == pytest.approx([spread] * len(trial.tried))
        assert sum(row["chosen"] for row in one["tried"]) == 1


BUSY = {
    "others took 40 % of the processor's time": readings(1e-3, 0.02, share=0.6),
    "half of the readings of one program lie 60 % apart": readings(1e-3, 0.6),
}


@pytest.mark.parametrize("why", BUSY)
def test_a_busy_machine_is_said_and_nothing_is_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str
) -> None:
    from tncompile.tuning import autotuner as tuning

    rounds: list[int] = []

    def disturbed(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        rounds.append(len(actions))
        return tuple(BUSY[why] for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", disturbed)
    assert run(["tune", "layer.tn", "--search", "fast"]) == 0
    shown = capsys.readouterr()
    assert f"the machine was busy: {why}" in shown.out
    assert "kept in" not in shown.out
    assert f"nothing is kept: the machine was busy ({why})" in shown.err
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]
    assert len(rounds) == 4  # inference and folded, each measured once more

    arch = tncompile.load("layer.tn").instantiate().locked()
    assert arch.tune(search="fast").busy == why
    assert arch.plan(search="fast").tuned is None
    assert arch.tune(search="fast", anyway=True).busy == why
    assert arch.plan(search="fast").tuned is not None

    assert run(["tune", "layer.tn", "--search", "fast", "--anyway", "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["busy"] == why
    assert "kept in layer.tnlock" in shown.err
    assert (folder / "layer.tnlock").exists()


def test_what_was_held_up_once_is_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from tncompile.tuning import autotuner as tuning

    shares = iter([0.5, 1.0, 1.0])

    def measured(actions: list[object], budget: float, **named: object) -> tuple[Timing, ...]:
        share = next(shares)
        return tuple(readings(1e-3, 0.02, share=share) for _ in actions)

    monkeypatch.setattr(tuning, "time_in_turn", measured)
    assert tncompile.loads(LAYER).instantiate().tune(search="fast").busy is None
    assert next(shares, None) is None


def test_programs_that_disagree_are_our_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    from tncompile.tuning import autotuner as tuning

    monkeypatch.setattr(tuning, "disagreeing", lambda *given: 0)
    with pytest.raises(InternalError, match="computes something else than"):
        tncompile.loads(LAYER).instantiate().tune(4, seconds=0.01)


def test_an_interrupted_tuning_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tncompile.tuning import autotuner as tuning

    def interrupted(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "time_in_turn", interrupted)
    assert run(["tune", "layer.tn", "--seconds", "0.01"]) == 130
    assert capsys.readouterr().err == "interrupted\n"
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]
