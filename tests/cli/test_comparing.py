"""`tncompile compare`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tncompile
from tests.tensorizing.comparing.models import batches, classifier, halved
from tncompile.cli.application import run

MODELS = "tests.tensorizing.comparing.models"
CALL = ["compare", f"{MODELS}:classifier", "small", "--data", f"{MODELS}:batches"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder, and moments of the original."""
    folder = tmp_path_factory.mktemp("saved")
    halved().save(folder / "small")
    tncompile.calibrate(classifier(), batches()).save(folder / "m.safetensors")
    return folder


@pytest.fixture
def folder(saved: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.chdir(saved)
    return saved


def test_the_exit_code_is_the_verdict(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CALL, "--no-time", "--require", "error=2", "--require", "parameters=0.7"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("ACCEPT: 2 of 2 requirements fulfilled; vectors of 60 samples\n")
    assert "0.weight  Linear  LowRank" in out
    assert err == ""
    assert run([*CALL, "--no-time", "--require", "error=0.001"]) == 1
    assert capsys.readouterr().out.startswith("REGRESSION: 0 of 1 requirements fulfilled;")
    assert run([*CALL, "--no-time"]) == 0
    assert capsys.readouterr().out.startswith("ACCEPT: nothing was required;")


def test_everything_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {
        "--data2": "streamed",
        "--labels": "labels",
        "--scores": "scores",
        "--samples": "texts",
    }
    call = [*CALL, *(part for key, name in options.items() for part in (key, f"{MODELS}:{name}"))]
    call += ["--moments", "m.safetensors", "--strict", "--seed", "3", "--kind", "logits"]
    requires = ["kl=9", "flips=1", "score:items=0", "loss:size=9", "time=1e6"]
    call += [part for each in requires for part in ("--require", each)]
    assert run([*call, "--json", "out.json"]) == 0
    out, err = capsys.readouterr()
    assert "at the worse ends of their intervals; logits of 60 and 60 samples" in out
    assert "in its metric" in out
    assert "original: class " in out
    assert err == "wrote out.json\n"
    written = json.loads((folder / "out.json").read_text(encoding="utf-8"))
    assert written["verdict"] == "ACCEPT"
    required = {each["name"] for each in written["lines"] if each["required"]}
    assert required == {"kl", "flips", "score:items", "score:size", "time"}
    assert len(written["samples"]) == 2
    plain = [*CALL, "--no-time", "--json", "-"]
    assert run(plain) == 0
    first = capsys.readouterr().out
    assert run(plain) == 0
    assert capsys.readouterr().out == first
    assert json.loads(first)["kind"] == "vectors"


USER = """
import torch
def data():
    yield torch.zeros(2, 12)
    raise KeyError("lost")
def narrow(): return [torch.zeros(2, 3)]
def ends(): raise SystemExit(0)
number = 3
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"MODEL": "nowhere:make"}, "error: MODEL: nowhere cannot be imported"),
        ({"FOLDER": "none"}, "error: cannot read none: no such file"),
        ({"FOLDER": "damaged"}, "error: FOLDER: damaged/model.safetensors is no whole file"),
        ({"FOLDER": "garbled"}, "error: FOLDER: error[TN"),
        ({"MODEL": f"{MODELS}:halved"}, "makes a Tensorized, not an nn.Module"),
        ({"--data": "user"}, "error: --data: it is named as `module:callable`, not 'user'"),
        ({"--data": "user_code:none"}, "error: --data: user_code has no none"),
        ({"--data": "user_code:data"}, "error: --data raised KeyError: 'lost'"),
        ({"--data": "user_code:number"}, "what --data gives is a list or another iterable of"),
        ({"--data": "user_code:narrow"}, "batch 1 of the data, original model raised RuntimeError"),
        ({"--data": "user_code:ends"}, "what is imported ends the process: exit code 0"),
        ({"--scores": "user_code:number"}, "scores are a dict of names and functions"),
        ({"--labels": "user_code:number"}, "--labels: user_code:number is no function"),
        ({"--moments": "none"}, "error: cannot read none: no such file"),
        ({"--require": "cosin=1"}, "no threshold 'cosin'; did you mean 'cosine'?"),
        ({"--require": "cosine"}, "--require takes NAME=NUMBER, like cosine=0.95, not 'cosine'"),
        ({"--require": "cosine=nan"}, "--require takes NAME=NUMBER"),
        ({"--require": "time=1"}, "time is required, and timing=False measures none"),
        ({"--seed": "x"}, "--seed takes a whole number"),
        ({"--json": "nowhere/out.json"}, "cannot write nowhere/out.json"),
    ],
)
def test_calls_that_are_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], change: dict[str, str], words: str
) -> None:
    (folder / "user_code.py").write_text(USER, encoding="utf-8")
    for name in ("damaged", "garbled"):
        (folder / name).mkdir(exist_ok=True)
        for path in (folder / "small").iterdir():
            if path.is_file():
                (folder / name / path.name).write_bytes(path.read_bytes())
    (folder / "damaged" / "model.safetensors").write_bytes(b"nothing")
    (folder / "garbled" / "model.tn").write_text("rewrite {", encoding="utf-8")
    given = dict(zip(["MODEL", "FOLDER", "--data"], [CALL[1], CALL[2], CALL[4]], strict=True))
    given |= change
    positional = [given.pop("MODEL"), given.pop("FOLDER")]
    options = [part for pair in given.items() for part in pair]
    assert run(["compare", *positional, "--no-time", *options]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert "Traceback" not in err
    assert err.count("error: ") == 1


def test_nothing_is_required_twice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CALL, "--require", "kl=1", "--require", "kl=2"]) == 2
    assert "error: --require kl is given twice" in capsys.readouterr().err
