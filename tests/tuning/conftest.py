"""One thread, a machine on which nothing else runs, a folder with one file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tncompile.machine.host import threads
from tncompile.tuning.timing import Timing, time_in_turn

LAYER = """\
network Layer(ins: int[n] = [4, 6], outs: int[n] = [6, 4], rank: int = 4) {
  index i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  bond b = rank
  input x(..., (i[*]))
  tensor A(i[0], o[0], b)
  tensor B(b, i[1], o[1])
  output y(..., (o[*]))
}
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tests run beside each other."""
    with threads(1):
        yield


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readings are those of a machine on which nothing else runs, whatever runs on this one."""
    from tncompile.tuning import autotuner as tuning

    def steady(*given: Any, **named: Any) -> tuple[Timing, ...]:
        found = time_in_turn(*given, **named)
        return tuple(readings(one.seconds, 0.01, one.readings) for one in found)

    monkeypatch.setattr(tuning, "time_in_turn", steady)


def readings(seconds: float, spread: float, count: int = 9, share: float = 1.0) -> Timing:
    """What some readings around a median come to."""
    half = seconds * spread / 2
    return Timing(seconds, seconds - half, seconds + half, count, share)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own, with one file in it."""
    (tmp_path / "layer.tn").write_text(LAYER)
    monkeypatch.chdir(tmp_path)
    return tmp_path
