"""`tncompile tensorize` with a budget, with data, and after an interruption."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

import tncompile
from tncompile.cli import tensorizing
from tncompile.cli.application import run

MODELS = """
import os, signal
import torch
from torch import nn


def make():
    torch.manual_seed(0)
    maps = nn.Linear(32, 48), nn.Tanh(), nn.Linear(48, 32), nn.Tanh(), nn.Linear(32, 8)
    return nn.Sequential(*maps)


def batches():
    torch.manual_seed(1)
    return (torch.randn(20, 32) for _ in range(3))


def first(model, batch):
    return model(batch)[:, :1]


def one():
    return torch.ones(2, 32)


def wrong():
    return [torch.ones(2, 33)]


def failing():
    raise KeyError("nothing")
"""

REWRITE = """import "std/linear.tn" { LowRank }

rewrite R { linear "*" -> LowRank(rank = 40) }
"""

CALL = ["tensorize", "mine:make", "-o", "out"]
BUDGET = [*CALL, "--budget", "params=0.6", "--multiple", "1"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MODELS, encoding="utf-8")
    (tmp_path / "r.tn").write_text(REWRITE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"__pycache__"}


def test_a_budget_is_shown_fitted_healed_and_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [*BUDGET, "--calibrate", "mine:batches", "--output-of", "mine:first", "--floor", "0=4"]
    assert run([*call, "--refit", "--heal", "steps=2"]) == 0
    out, err = capsys.readouterr()
    allocation, refitted, healed, report = (
        out.index(each) for each in ("of the error", "refitted", "held out", "FLOPs")
    )
    assert allocation < refitted < healed < report
    assert "calibration takes about" in err
    assert err.endswith("wrote out\n")
    assert names(folder) == {"mine.py", "r.tn", "out"}
    small = tncompile.load_model("out", model="mine:make")
    assert sum(p.numel() for p in small.parameters()) <= 0.6 * 3416
    said = json.loads((folder / "out" / "tncompile.json").read_text("utf-8"))
    assert said["model"] == "mine:make"


KILLED = """
import os, signal, sys
sys.path.insert(0, os.getcwd())
from tncompile.cli.application import run
from tncompile.tensorizing.replacing import tensorized

made = tensorized._made

def killing(each, choice):
    if each.layer.name == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return made(each, choice)

tensorized._made = killing
run(sys.argv[1:])
"""


def test_a_killed_call_goes_on_to_the_same_end(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = str(Path(__file__).parents[2])
    call = [*BUDGET, "--calibrate", "mine:batches"]
    threads = str(torch.get_num_threads())  # by which sums are rounded
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *call],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": threads},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert names(folder) == {"mine.py", "r.tn", ".out.tncompile"}
    kept = [path.name for path in (folder / ".out.tncompile").rglob("*.safetensors")]
    assert len(kept) == 2
    assert run(call) == 0
    err = capsys.readouterr().err
    assert "calibration goes on with" in err
    assert "1 layer was fitted before; --no-resume forgets it" in err
    assert names(folder) == {"mine.py", "r.tn", "out"}
    call[3] = "again"
    assert run(call) == 0
    first, second = (
        tncompile.load_model(each, model="mine:make").state_dict() for each in ("out", "again")
    )
    assert all(torch.equal(value, second[key]) for key, value in first.items())


KILLED_EARLIER = """
import os, signal, sys
sys.path.insert(0, os.getcwd())
from tncompile.cli.application import run
from tncompile.tensorizing.allocating import deciding

best = deciding.best_of

def killing(each, *rest):
    if each.name == "2":
        os.kill(os.getpid(), signal.SIGKILL)
    return best(each, *rest)

deciding.best_of = killing
run(sys.argv[1:])
"""


def test_a_call_that_was_killed_while_it_allocated_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [*BUDGET, "--calibrate", "mine:batches", "--candidates", "Monarch"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    env["OMP_NUM_THREADS"] = str(torch.get_num_threads())
    killed = subprocess.run([sys.executable, "-c", KILLED_EARLIER, *call], env=env)
    assert killed.returncode == -signal.SIGKILL
    assert len([*(folder / ".out.tncompile/allocation").glob("*.json")]) == 4
    assert run(call) == 0
    out, err = capsys.readouterr()
    assert "allocation goes on with 4 answers of before; --no-resume forgets them" in err
    call[3] = "again"
    assert run(call) == 0
    assert capsys.readouterr().out == out
    first, second = (
        tncompile.load_model(each, model="mine:make").state_dict() for each in ("out", "again")
    )
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize("weights", ["int8", "int4"])
def test_integers_are_those_of_quantize(
    weights: Literal["int8", "int4"], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*BUDGET, "--calibrate", "mine:batches", "--weights", weights]) == 0
    out = capsys.readouterr().out
    mine = importlib.import_module("mine")
    model = mine.make()
    moments = tncompile.calibrate(model, list(mine.batches()))
    found = tncompile.allocate(model, 0.6, moments=moments, multiple=1)
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    whole, less = done.report, tncompile.quantize(done, weights, moments=moments)
    assert f"{whole.bytes_before:,} bytes before, {less.report.bytes_after:,} now" in out
    assert less.report.bytes_after < 0.6 * whole.bytes_after
    read = (
        "import sys, torch, tncompile\n"
        "model = tncompile.load_model('out', model='mine:make')\n"
        "torch.save(model.state_dict(), 'state.pt')"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", read], env=env, check=True)
    state = torch.load("state.pt", weights_only=True)
    expected = less.model.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(value, expected[key]) for key, value in state.items())
    assert any(key.endswith(f"_{weights}") for key in state)


def test_what_is_kept_may_be_forgotten_and_damage_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call = [*BUDGET, "--calibrate", "mine:batches"]

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tensorizing, "_healed", interrupted)
        assert run(call) == 130
        assert capsys.readouterr().err.endswith("the same call goes on from here\ninterrupted\n")
        work = folder / ".out.tncompile"
        for path in work.rglob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:-3])
        assert run(call) == 130
        err = capsys.readouterr().err
        assert "is damaged, calibration starts anew" in err
        assert err.count("is damaged, its layer is fitted anew") == 2
        assert run([*call, "--no-resume"]) == 130
        err = capsys.readouterr().err
        assert "damaged" not in err
        assert "fitted before" not in err


def test_a_rewrite_with_data_and_a_rank_of_no_use(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*CALL, "--rewrite", "r.tn", "--calibrate", "mine:batches"]) == 0
    out, err = capsys.readouterr()
    assert "in its metric" in out
    assert "warning[TN307]" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", "say what layers become: --rewrite FILE, or --budget params=0.5"),
        ("--rewrite r.tn --budget 0.5", "give one of them"),
        ("--rewrite r.tn --multiple 4", "--multiple is for --budget"),
        ("--rewrite r.tn --embedding-share 0.5", "--embedding-share is for --budget"),
        ("--rewrite r.tn --heal minutes=1", "--heal is for data: add --calibrate DATA"),
        ("--budget 0.5 --tolerance 0.5", "--tolerance is for --rewrite"),
        ("--budget 0.5 --refit", "--refit is for data: add --calibrate DATA"),
        ("--budget 0.5 --output-of mine:first", "--output-of is for data"),
        ("--budget 0.5 --calibrate mine:batches --moments m", "give one of them"),
        ("--budget params=0", "--budget: the budget `params` is a part"),
        ("--budget error=2", "an error between 0 and 1"),
        ("--budget speed=2", "--budget takes params=…, bytes=…, flops=…, time=…, error=…"),
        ("--budget much", "--budget takes params"),
        ("--budget 0.001", "--budget: a budget of 3 params is less than the smallest ranks"),
        ("--budget 0.5 --floor x", "--floor takes a rank or a part"),
        ("--budget 0.5 --floor nothing=3", "no layer is called nothing, which has a floor"),
        ("--budget 0.5 --candidates Mpo", "no candidate is called Mpo"),
        ("--budget 0.5 --embedding-share 2", "--embedding-share takes a part"),
        ("--budget 0.5 --multiple 0", "--multiple takes a positive integer"),
        ("--budget 0.5 --layers nothing", "no layer is called nothing"),
        ("--budget 0.5 --calibrate mine:batches --heal hours=1", "--heal takes minutes=15"),
        ("--budget 0.5 --calibrate mine:batches --heal steps=0", "--heal takes minutes=15"),
        (
            "--budget 0.5 --calibrate mine:one",
            "is a list or another iterable of batches, not a Tensor",
        ),
        ("--budget 0.5 --calibrate mine:failing", "mine:failing raised KeyError"),
        ("--budget 0.5 --calibrate mine:nothing", "mine has no nothing"),
        ("--budget 0.5 --calibrate mine:wrong", "the model cannot be called on these data: mat1"),
        ("--budget 0.5 --weights int2", "--weights takes int8 or int4, not 'int2'"),
        ("--budget 0.5 --group 32", "--group is for integers: add --weights int4"),
        ("--budget 0.5 --weights int4 --group 7", "--weights: "),
        ("--budget 0.5 --planned-for 3x", "--planned-for takes rows and lengths of images"),
        ("--budget 0.5 --planned-for no=3", "planned_for names no, which is not replaced"),
        ("--budget 0.5 --calibrate mine:batches --batch 3", "--batch is for a file of texts"),
        ("--budget 0.5 --calibrate texts.txt", "a file of texts is for a folder with a token"),
        ("--budget 0.5 --calibrate mine:batches --output-of mine:torch", "is no function"),
        ("--budget 0.5 --calibrate mine:batches --memory-limit 1k", "calibration needs about"),
    ],
)
def test_calls_that_are_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], options: str, words: str
) -> None:
    assert run([*CALL, *options.split()]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert words in lines[-1]
    assert lines[-1].startswith("error: ")
    assert names(folder) - {".out.tncompile"} == {"mine.py", "r.tn"}


def test_a_folder_that_is_none_of_transformers(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "bert").mkdir()
    call = ["tensorize", "bert", "--budget", "0.5", "-o", "out"]
    assert run(call) == 2
    assert "error: MODEL: a model is a folder with config.json and safetensors, or named as" in (
        capsys.readouterr().err
    )
    (folder / "bert" / "config.json").write_text("{}", "utf-8")
    torch.save(nn.Linear(1, 1).state_dict(), folder / "bert" / "pytorch_model.bin")
    assert run(call) == 2
    assert "error: MODEL: bert has pickled weights (pytorch_model.bin), which are not read" in (
        capsys.readouterr().err
    )
