"""The examples run, and their .tn files compile."""

from __future__ import annotations

import re
import subprocess
import sys
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


def run(*arguments: str) -> str:
    """The standard output of an example."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=EXAMPLES, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_quickstart_learns() -> None:
    losses = [float(text) for text in re.findall(r"loss (\S+)", run("quickstart.py"))]
    assert losses[-1] < losses[0]


def test_digits_train_for_an_epoch() -> None:
    lines = run("digits/train.py", "--epochs", "1").splitlines()
    assert [line[:18].strip() for line in lines] == [
        "",
        "dense twin",
        "MPO perceptron",
        "MPS over pixels",
        "tree over patches",
    ]


def test_perceptron_has_at_most_a_fifth_of_the_parameters() -> None:
    line = run("digits/train.py", "--epochs", "0", "MPO perceptron").splitlines()[-1]
    assert int(line.split()[3].rstrip("%")) <= 20


def test_digits_refuse_an_unknown_name() -> None:
    done = subprocess.run(
        [sys.executable, "digits/train.py", "nonsense"],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "no model 'nonsense'" in done.stderr
