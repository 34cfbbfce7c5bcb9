"""Commands that measure or plan, called wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from tncompile.cli.application import run

WRONG = [
    ("tune layer.tn --batch 0", "--batch takes positive integers"),
    ("tune layer.tn --batch 1,,2", "--batch takes positive integers"),
    ("tune layer.tn --seconds nan", "--seconds takes a positive number"),
    ("tune layer.tn --seconds -1", "--seconds takes a positive number"),
    ("tune layer.tn --seconds soon", "--seconds takes a positive number"),
    ("tune layer.tn --threads 0", "--threads takes a positive integer"),
    ("tune layer.tn --threads 99999", "--threads takes up to 1,024"),
    ("tune layer.tn --lock nowhere/a.tnlock", "its folder cannot be written"),
    ("tune layer.tn --lock .", "cannot read the lock file"),
    ("tune layer.tn --lock layer.tn", "is the file that is tuned"),
    ("tune std/linear.tn Monarch --seconds 1", "--lock LOCK says where"),
    ("tune layer.tn --machine nowhere.json", "there is no machine profile"),
    ("compile layer.tn --machine nowhere.json", "there is no machine profile"),
    ("cost layer.tn --machine layer.tn", "is no machine profile"),
    ("cost layer.tn --memory-limit lots", "--memory-limit takes bytes"),
    ("compile layer.tn --memory-limit 0", "--memory-limit takes bytes"),
    ("explain-slow layer.tn --batch many", "--batch takes a positive integer"),
    ("explain-slow layer.tn --size n=2", "--size names no `batch` axis"),
    ("explain-slow layer.tn --seconds 0", "--seconds takes a positive number"),
    ("explain-slow nowhere.tn", "cannot read nowhere.tn"),
]


@pytest.mark.parametrize(("command", "message"), WRONG, ids=[command for command, _ in WRONG])
def test_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, message: str
) -> None:
    assert run(command.split()) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
    assert shown.err.count("\n") <= 2
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]


@pytest.mark.parametrize("command", ["tune", "explain-slow", "compile", "cost"])
def test_a_target_that_is_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([command, "layer.tn", "Leyer"]) == 1
    assert "error[TN" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["compile", "cost", "tune"])
def test_a_limit_that_nothing_keeps_to(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert run([command, "layer.tn", "--memory-limit", "1K"]) == 1
    assert "error[TN502]" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["layer.tn"]
