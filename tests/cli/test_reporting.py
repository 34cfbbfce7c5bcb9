"""`tncompile report`: a page, weights, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

import tncompile
from tncompile.cli.application import run

TRAIN = "MPO(ins = [4, 3], outs = [3, 4], ranks = 4)"
CALL = ["report", "std/linear.tn", TRAIN, "--search", "fast", "--batch", "8"]


def test_pages(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = tncompile.load("std/linear.tn").instantiate(TRAIN)
    assert run([*CALL, "-o", "map.html"]) == 0
    page = (folder / "map.html").read_text(encoding="utf-8")
    assert page == arch.report(8, search="fast").html
    assert capsys.readouterr() == ("", "wrote map.html\n")
    assert run([*CALL, "--training", "--theme", "dark"]) == 0
    made = arch.report(8, search="fast", training=True, theme="dark")
    assert capsys.readouterr().out == made.html


def test_weights(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arch = tncompile.load("std/linear.tn").instantiate(TRAIN)
    module = arch.module(seed=4, search="fast")
    save_file(module.state_dict(), "w.safetensors")
    assert run([*CALL, "--weights", "w.safetensors", "-o", "map.html"]) == 0
    page = (folder / "map.html").read_text(encoding="utf-8")
    assert page == arch.report(8, search="fast", weights=module).html


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-o", "map.txt"], "ends in .html"),
        (["-o", "none/map.html"], "cannot write none/map.html"),
        (["--weights", "none.safetensors"], "cannot read none.safetensors"),
        (["--weights", "map.tn"], "no whole file of safetensors"),
        (["--weights", "other.safetensors"], "--weights: "),
        (["--theme", "pink"], "pink"),
        (["--batch", "0"], "positive"),
    ],
)
def test_refusals(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    other = tncompile.load("std/linear.tn").instantiate("LowRank(12, 12, rank = 2)")
    save_file(other.module(seed=0, search="fast").state_dict(), "other.safetensors")
    before = sorted(path.name for path in folder.iterdir())
    assert run([*CALL, *options]) == 2
    assert words in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before
