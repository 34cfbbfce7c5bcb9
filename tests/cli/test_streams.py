"""What commands read and write: standard streams, terminals, files that appear whole or not."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import MAP, process, with_full_device
from tncompile.cli import writing
from tncompile.cli.application import run


@with_full_device
@pytest.mark.parametrize("arguments", ["compile map.tn", "cost map.tn --json", "--help"])
def test_standard_output_that_is_full(folder: Path, arguments: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tncompile.cli", *arguments.split()],
            cwd=folder,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 2
    assert done.stderr == "error: cannot write to standard output: no space left on device\n"


def test_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for held, wanted in ((None, 100), ("60", 100), ("160", 160)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if held:
            monkeypatch.setenv("COLUMNS", held)
        assert writing.columns() == wanted


def test_output_has_the_permissions_of_any_new_file(folder: Path) -> None:
    (folder / "plain").touch()
    expected = stat.S_IMODE((folder / "plain").stat().st_mode)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 0
    assert stat.S_IMODE((folder / "out.py").stat().st_mode) == expected
    (folder / "out.py").chmod(0o640)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 0
    assert stat.S_IMODE((folder / "out.py").stat().st_mode) == 0o640


def test_output_through_a_link_keeps_the_link(folder: Path) -> None:
    (folder / "real.py").write_text("old")
    (folder / "link.py").symlink_to("real.py")
    assert run(["compile", "map.tn", "-o", "link.py"]) == 0
    assert (folder / "link.py").is_symlink()
    assert "class Map(" in (folder / "real.py").read_text()


def test_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "out.py").write_text("old")

    def fails(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tncompile.files.os.replace", fails)
    assert run(["compile", "map.tn", "-o", "out.py"]) == 2
    assert (folder / "out.py").read_text() == "old"
    assert not list(folder.glob(".out*"))


@pytest.mark.parametrize("command", ["check -", "compile -", "cost -", "fmt -", "blocks -"])
def test_standard_input(command: str) -> None:
    done = process(command.split(), stdin=MAP)
    assert done.returncode == 0, done.stderr
    done = process(command.split(), stdin="network N( {")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "<stdin>:1:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("variables", "colored"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colors_are_for_terminals(folder: Path, variables: dict[str, str], colored: bool) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    master, terminal = os.openpty()
    subprocess.run(
        [sys.executable, "-m", "tncompile", "check", "wrong.tn"],
        stderr=terminal,
        cwd=folder,
        env={**environment, "TERM": "xterm", **variables},
        timeout=120,
    )
    os.close(terminal)
    seen = os.read(master, 65536).decode()
    os.close(master)
    assert "TN201" in seen
    assert ("\x1b[" in seen) is colored


def test_a_bar_appears_only_for_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    bar = writing.Bar("searching")
    bar.advance(1, 10)
    assert bar._drawn is None
    monkeypatch.setattr(writing, "PATIENCE", -1.0)
    bar.advance(2, 10)
    assert bar._drawn is not None
    bar.wipe()
    assert bar._drawn is None


def test_nothing_waits_without_a_terminal() -> None:
    with writing.waiting("searching") as progress:
        assert progress is None


def test_a_reader_that_leaves_early(folder: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m tncompile.cli compile map.tn | head -1"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr


def test_a_source_is_not_written_over_by_what_it_becomes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compile", "map.tn", "-o", "./map.tn"]) == 2
    assert "-o ./map.tn is the file that is compiled" in capsys.readouterr().err
    assert run(["tune", "map.tn", "--seconds", "1", "--lock", "map.tn"]) == 2
    assert "--lock map.tn is the file that is tuned" in capsys.readouterr().err
    assert Path("map.tn").read_text(encoding="utf-8") == MAP


@pytest.mark.parametrize("arguments", [["cost", "map.tn"], ["compile", "map.tn"]])
def test_a_closed_standard_output_is_said(
    folder: Path,
    arguments: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    code = run(arguments)
    monkeypatch.undo()
    assert code == 2
    assert "cannot write to standard output: it is closed" in capsys.readouterr().err
