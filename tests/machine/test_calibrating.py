"""Calibration: what is probed, what is made of it, and the command; nothing is timed here."""

from __future__ import annotations

import math
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.support.ideal_machine import RATE, ideal
from tncompile.cli.application import run
from tncompile.machine import calibration as calibrating
from tncompile.machine.calibration import measure, summary
from tncompile.machine.call_probes import Key, Probe
from tncompile.machine.fitting import fit
from tncompile.machine.host import machine_text
from tncompile.machine.probes import probes
from tncompile.machine.profile import MachineProfile, read_profile
from tncompile.machine.registry import find_profile
from tncompile.planning import BUILTIN


def test_probes_have_names_of_their_own() -> None:
    counted = Counter(probe.key for probe in probes())
    assert max(counted.values()) == 1


@pytest.mark.parametrize("name", sorted({probe.name for probe in probes()}))
def test_probes_run(name: str) -> None:
    smallest = min(
        (probe for probe in probes() if probe.name == name), key=lambda one: math.prod(one.sizes)
    )
    with torch.set_grad_enabled(smallest.gradients):
        smallest.make()()


def test_a_probe_is_measured() -> None:
    progress: list[tuple[int, int]] = []
    held = [Probe("nothing", (), lambda: lambda: None)]
    found = measure(held, lambda done, total: progress.append((done, total)))
    assert list(found) == [("nothing", ())]
    assert 0 < found["nothing", ()] < 1e-3
    assert progress[-1] == (calibrating.SWEEPS, calibrating.SWEEPS)


def test_a_simple_machine_is_found_again() -> None:
    found: dict[Key, float] = {probe.key: ideal(probe) for probe in probes()}
    profile = fit(found, "ideal", "a machine of one rate")
    assert profile.product_seconds(1, 2048, 1024, 1024) == pytest.approx(2**32 / RATE, rel=0.05)
    assert profile.product_seconds(64, 64, 64, 64) == pytest.approx(2**25 / RATE, rel=0.3)
    assert profile.pass_seconds(2**24) == pytest.approx(2**24 / RATE, rel=0.05)
    assert profile.copy_seconds(2**22, 64) == pytest.approx(2**22 / RATE, rel=0.05)
    assert profile.threads == torch.get_num_threads()


def test_the_summary_is_short() -> None:
    lines = summary(BUILTIN).split("\n")
    assert len(lines) < 20
    assert max(map(len, lines)) <= 100
    assert "GFLOP/s" in lines[1]
    assert machine_text().endswith(f"torch {torch.__version__.split('+')[0]}")


# ── the command ─────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The cache folder, and a calibration that takes no time."""
    monkeypatch.setattr(calibrating, "calibrate", lambda progress, device: BUILTIN)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_the_profile_goes_to_the_cache(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate"]) == 0
    path = measured / "cache" / "tncompile" / "machine.json"
    assert find_profile("measured") == BUILTIN
    shown = capsys.readouterr()
    assert "GFLOP/s" in shown.out
    assert str(path) in shown.err


def test_the_profile_goes_where_it_is_wanted(
    measured: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["calibrate", "-o", str(measured / "mine.json")]) == 0
    assert read_profile(measured / "mine.json") == BUILTIN
    assert not (measured / "cache").exists()
    assert run(["calibrate", "-o", "-"]) == 0
    assert '"version"' in capsys.readouterr().out


def test_a_busy_machine_is_said(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def held_up(progress: object, device: str) -> MachineProfile:
        time.sleep(0.2)  # as a process whose processor others have
        return BUILTIN

    monkeypatch.setattr(calibrating, "calibrate", held_up)
    assert run(["calibrate"]) == 0
    assert "note: the machine was busy (others took " in capsys.readouterr().err
    assert find_profile("measured") == BUILTIN


def test_places_that_take_no_file(measured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["calibrate", "-o", str(measured)]) == 2
    assert "it is a directory" in capsys.readouterr().err
    assert run(["calibrate", "-o", str(measured / "nowhere" / "mine.json")]) == 2
    assert "there is no folder" in capsys.readouterr().err
