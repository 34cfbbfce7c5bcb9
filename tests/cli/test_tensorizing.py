"""`tncompile tensorize`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import IDS, gpt2
from tncompile.cli.application import run

MODEL = "tests.tensorizing.replacing.models:gpt2"

REWRITE = """import "std/linear.tn" { LowRank }

rewrite Small {
  conv1d "h.*.c_fc" -> LowRank(rank = 2)
}

rewrite Others {
  conv1d "h.*.c_proj" -> LowRank
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "r.tn").write_text(REWRITE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_folder_is_written_and_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["tensorize", MODEL, "--rewrite", "r.tn", "-o", "out"]
    assert run([*call, "--name", "Small"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("layer")
    assert "h.1.c_fc" in out
    assert "of memory are needed" in err
    assert "wrote out" in err
    assert tncompile.load_model("out", model=MODEL).h[0].c_fc.A.shape == (8, 2)  # type: ignore[index,union-attr]
    assert run(["compile", "out/model.tn", "LowRank_1", "-o", "layer.py"]) == 0
    assert run(["check", "out/model.tn"]) == 0
    assert run([*call, "--name", "Small"]) == 2
    assert "error: -o out is there already" in capsys.readouterr().err


def test_moments_give_layers_a_metric(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tncompile.calibrate(gpt2(), [IDS]).save("m.safetensors")
    call = ["tensorize", MODEL, "--rewrite", "r.tn", "--name", "Small", "-o", "out"]
    assert run([*call, "--moments", "m.safetensors"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("error  in its metric")
    tncompile.calibrate(nn.Linear(2, 2), [torch.ones(1, 2)]).save("other.safetensors")
    assert run([*call[:-1], "new", "--moments", "other.safetensors"]) == 2
    assert "error: these are moments of another model" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"MODEL": "nowhere:make"}, 2, "error: MODEL: nowhere cannot be imported"),
        ({"MODEL": "model.py"}, 2, "named as `module:callable`"),
        ({"--rewrite": "none.tn"}, 2, "error: cannot read none.tn"),
        ({"--moments": "none.safetensors"}, 2, "error: cannot read none.safetensors"),
        ({"--moments": "r.tn"}, 2, "is no whole file of safetensors"),
        ({"--name": "Smal"}, 2, "did you mean 'Small'"),
        ({"--tolerance": "2"}, 2, "--tolerance takes a relative error"),
        ({"--seed": "-1"}, 2, "seed"),
        ({"--memory-limit": "1k"}, 2, "are needed, the limit is 1.00 KiB"),
        ({"-o": "r.tn"}, 2, "error: -o r.tn is there already"),
    ],
)
def test_calls_that_are_wrong(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str],
    code: int,
    words: str,
) -> None:
    options = {"MODEL": MODEL, "--rewrite": "r.tn", "-o": "out", "--name": "Small", **change}
    model = options.pop("MODEL")
    pairs = [word for pair in options.items() for word in pair]
    assert run(["tensorize", model, *pairs]) == code
    assert words in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["r.tn"]


def test_mistakes_of_the_rewrite_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "r.tn").write_text(REWRITE.replace("c_fc", "fc"), encoding="utf-8")
    assert run(["tensorize", MODEL, "--rewrite", "r.tn", "--name", "Small", "-o", "out"]) == 1
    assert "error[TN701]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("r.tn/out", "r.tn is not a directory"),
        ("blocked", ".blocked.tncompile is in the way"),
        ("x" * 300, "file name too long"),
    ],
)
@pytest.mark.parametrize("how", [["--rewrite", "r.tn", "--name", "Small"], ["--budget", "0.5"]])
def test_places_that_cannot_be_written_are_refused_at_the_start(
    folder: Path, capsys: pytest.CaptureFixture[str], out: str, words: str, how: list[str]
) -> None:
    (folder / ".blocked.tncompile").write_text("", encoding="utf-8")
    before = sorted(folder.iterdir())
    assert run(["tensorize", "nowhere:make", *how, "-o", out]) == 2
    err = capsys.readouterr().err
    assert f"error: cannot write {out}: " in err
    assert words in err
    assert sorted(folder.iterdir()) == before


def test_a_long_name_is_written(folder: Path) -> None:
    out = "x" * 250
    assert run(["tensorize", MODEL, "--rewrite", "r.tn", "--name", "Small", "-o", out]) == 0
    assert (folder / out / "model.safetensors").exists()


def test_a_full_disk_is_said_and_what_is_done_is_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import SafetensorError

    from tncompile.tensorizing import storing

    def full(*_: object) -> None:
        raise SafetensorError("Error while serializing: No space left on device (os error 28)")

    call = ["tensorize", MODEL, "--rewrite", "r.tn", "--name", "Small", "-o", "out"]
    with monkeypatch.context() as patched:
        patched.setattr(storing, "save_file", full)
        assert run(call) == 2
    err = capsys.readouterr().err.lower()
    assert "error: cannot write out: no space left on device" in err
    assert not (folder / "out").exists()
    assert run(call) == 0


def test_what_a_failed_call_leaves_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Answers about layers are of use to the next budget; without any, nothing is left."""
    before = sorted(folder.iterdir())
    for more in (["--budget", "=0.5"], ["--budget", "0.5", "--candidates", ","]):
        assert run(["tensorize", MODEL, *more, "-o", "out"]) == 2
        assert sorted(folder.iterdir()) == before
    capsys.readouterr()
    assert run(["tensorize", MODEL, "--budget", "params=0.001", "-o", "out"]) == 2
    err = capsys.readouterr().err
    assert "what is done is kept in .out.tncompile; --no-resume forgets it" in err
    assert "error: --budget" in err
    assert (folder / ".out.tncompile").is_dir()
