"""An allocation that was killed goes on: the same choices, nothing asked twice, damage said."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tncompile import Allocation, Moments
from tncompile.tensorizing.allocating import deciding
from tncompile.tensorizing.allocating.subjects import Subject

ROOT = Path(__file__).parents[3]

CANDIDATES = ("LowRank", "Monarch")

KILLED = """
import os, signal, sys
from pathlib import Path
import tncompile
from tests.tensorizing.resuming.test_answers import found

def progress(done, total):
    if done == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)

found(tncompile.Moments.load(sys.argv[2]), Path(sys.argv[1]), progress=progress)
"""


def model() -> nn.Module:
    torch.manual_seed(0)
    conv = nn.Conv1d(8, 12, 3, padding=1)
    return nn.Sequential(conv, nn.Tanh(), nn.Flatten(), nn.Linear(120, 16), nn.Linear(16, 16))


def found(moments: Moments, checkpoint: Path | None, **options: object) -> Allocation:
    given = {"multiple": 4, "candidates": CANDIDATES, "checkpoint": checkpoint, **options}
    return tncompile.allocate(model(), 0.6, moments=moments, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def moments() -> Moments:
    torch.manual_seed(1)
    return tncompile.calibrate(model(), [torch.randn(30, 8, 10)])


@pytest.fixture(scope="module")
def whole(moments: Moments) -> Allocation:
    """What a run that nothing interrupts ends with."""
    return found(moments, None)


@pytest.fixture(scope="module")
def kept(moments: Moments, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run left that was killed before its second candidate: three spectra, one best."""
    folder = tmp_path_factory.mktemp("kept")
    moments.save(folder / "moments")
    call = [sys.executable, "-c", KILLED, str(folder / "answers"), str(folder / "moments"), "4"]
    threads = str(torch.get_num_threads())  # by which sums are rounded
    killed = subprocess.run(call, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": threads})
    assert killed.returncode == -signal.SIGKILL
    return folder / "answers"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of which layer."""
    names: list[str] = []
    options, best = Subject.options, deciding.best_of

    def noted(self: Subject, *given: object) -> object:
        names.append(f"options {self.name}")
        return options(self, *given)  # type: ignore[arg-type]

    def noted_best(each: Subject, *given: object) -> object:
        names.append(f"best {each.name}")
        return best(each, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Subject, "options", noted)
    monkeypatch.setattr(deciding, "best_of", noted_best)
    return names


def test_a_killed_run_goes_on_to_the_same_end(
    folder: Path, moments: Moments, whole: Allocation, asked: list[str]
) -> None:
    assert len([*folder.glob("*.json")]) == 4
    assert found(moments, folder) == whole
    assert asked == ["best 3", "best 4"]
    asked.clear()
    assert found(moments, folder) == whole
    assert asked == []


@pytest.mark.parametrize(
    ("options", "again"),
    [
        ({"seed": 1}, ["best 0", "best 3", "best 4"]),
        ({"floors": {"4": 8}, "candidates": "LowRank"}, ["options 4"]),
        ({"damping": 0.1, "candidates": "LowRank"}, ["options 0", "options 3", "options 4"]),
        ({"multiple": 2, "candidates": "LowRank"}, ["options 0", "options 3", "options 4"]),
    ],
)
def test_what_other_options_decide_on_is_asked_anew(
    options: dict[str, object], again: list[str], folder: Path, moments: Moments, asked: list[str]
) -> None:
    found(moments, folder, **options)
    assert asked == again


def test_times_are_kept_with_the_calls_that_they_are_for(
    tmp_path: Path, moments: Moments, asked: list[str]
) -> None:
    given = {"candidates": "LowRank", "checkpoint": tmp_path, "multiple": 8}
    one = tncompile.allocate(model(), {"time": 1}, moments=moments, **given)  # type: ignore[arg-type]
    asked.clear()
    assert tncompile.allocate(model(), {"time": 1}, moments=moments, **given) == one  # type: ignore[arg-type]
    assert asked == []


def _edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], object]:
    def edit(path: Path) -> None:
        said = json.loads(path.read_text("utf-8"))
        change(said)
        path.write_text(json.dumps(said), encoding="utf-8")

    return edit


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut off": (lambda p: p.write_bytes(p.read_bytes()[:-9]), "is damaged, its layer is looked at"),
    "no text": (lambda p: p.write_bytes(b"\xff"), "is no text in UTF-8"),
    "deep": (lambda p: p.write_bytes(b"[" * 99_999), "lie in each other too deep"),
    "a list": (lambda p: p.write_bytes(b"[]"), "it is of another layer"),
    "another": (_edited(lambda said: said.update(key="0" * 64)), "it is of another layer"),
    "changed": (_edited(lambda said: said.update(answer=[])), "it is not what was written"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_said_and_asked_anew(
    case: str, folder: Path, moments: Moments, whole: Allocation, asked: list[str]
) -> None:
    change, words = DAMAGE[case]
    for path in folder.glob("*.json"):
        change(path)
    with pytest.warns(UserWarning, match=words):
        assert found(moments, folder) == whole
    assert len(asked) == 6


@pytest.mark.parametrize(
    "answer",
    [None, [], [1], [[1, 1.0, 1.0, None]], [[-1, 1.0, 1.0, None, {}]], [[1, "1", 1.0, None, {}]],
     [[1, 1e999, 1.0, None, {}]], [[1, 1.0, 1.0, 3, {}]], [[1, 1.0, 1.0, None, []]]],
)  # fmt: skip
def test_hostile_answers(answer: object, folder: Path, moments: Moments, whole: Allocation) -> None:
    from tncompile.tensorizing.resuming.answers import _digest

    for path in folder.glob("*.json"):
        said = json.loads(path.read_text("utf-8"))
        said |= {"answer": answer, "digest": _digest(answer)}
        path.write_text(json.dumps(said), encoding="utf-8")
    with pytest.warns(UserWarning, match="is damaged, its layer is looked at anew: it "):
        assert found(moments, folder) == whole


def test_folders_of_something_else_are_refused(tmp_path: Path, moments: Moments) -> None:
    (tmp_path / "thesis.txt").write_text("mine", "utf-8")
    with pytest.raises(ValueError, match=r"'thesis\.txt': answers are kept in a folder alone"):
        found(moments, tmp_path)
    assert os.listdir(tmp_path) == ["thesis.txt"]
