"""The examples run, and their .tn files compile."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tncompile

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.rglob("*.tn")), ids=lambda path: path.name)
def test_files_compile_and_are_formatted(path: Path) -> None:
    spec = tncompile.load(path)
    assert not spec.warnings
    assert spec.describe() == path.read_text(encoding="utf-8")
    for name, block in spec.blocks.items():
        if all(parameter.default is not None for parameter in block.parameters):
            assert f"class {name}" in spec.instantiate(name).source()


Run = Callable[..., str]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(file, *arguments)` runs an example and returns its standard output."""

    def run(file: str, *arguments: str) -> str:
        monkeypatch.chdir(EXAMPLES)
        monkeypatch.syspath_prepend(EXAMPLES / Path(file).parent)
        monkeypatch.setattr(sys, "argv", [file, *arguments])
        runpy.run_path(file, run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.filterwarnings("default")
def test_quickstart_learns(run: Run) -> None:
    losses = [float(text) for text in re.findall(r"loss (\S+)", run("quickstart.py"))]
    assert losses[-1] < losses[0]


@pytest.mark.filterwarnings("default")
def test_digits_train_for_an_epoch(run: Run) -> None:
    lines = run("digits/train.py", "--epochs", "1").splitlines()
    assert [line[:18].strip() for line in lines] == [
        "",
        "dense twin",
        "MPO perceptron",
        "MPS over pixels",
        "tree over patches",
    ]


@pytest.mark.filterwarnings("default")
def test_perceptron_has_at_most_a_fifth_of_the_parameters(run: Run) -> None:
    line = run("digits/train.py", "--epochs", "0", "MPO perceptron").splitlines()[-1]
    assert int(line.split()[3].rstrip("%")) <= 20


@pytest.mark.filterwarnings("default")
def test_digits_refuse_an_unknown_name(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run("digits/train.py", "nonsense")
    assert ended.value.code == 2
    assert "no model 'nonsense'" in capsys.readouterr().err
