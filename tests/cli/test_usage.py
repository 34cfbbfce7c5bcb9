"""Help, versions, wrong calls, and what is nobody's mistake but ours."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import COMMANDS
from tncompile.cli import application, reading
from tncompile.cli.application import run
from tncompile.language.linking.importing import files_of


@pytest.mark.parametrize("command", ["check", "compile", "cost", "fmt", "blocks"])
@pytest.mark.parametrize("name", ["std/linaer.tn", "linear.tn"])
def test_a_file_of_the_library_that_was_meant_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    assert run([command, name]) == 2
    assert f"cannot read {name}: no such file or directory; did you mean std/linear.tn?" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("command", ["check", "compile", "cost", "fmt"])
def test_the_files_of_a_folder_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    library = ", ".join(files_of("std")[:8])
    for written in ("std", "std/"):
        assert run([command, written]) == 2
        assert f"{written}: is a directory; name one of its files: {library}, …\n" in (
            capsys.readouterr().err
        )
    (folder / "own").mkdir()
    assert run([command, "own"]) == 2
    assert "cannot read own: is a directory\n" in capsys.readouterr().err
    for k in range(10):
        (folder / "own" / f"n{k}.tn").write_text("", encoding="utf-8")
    assert run([command, "own"]) == 2
    assert "one of its files: own/n0.tn, own/n1.tn, " in (said := capsys.readouterr().err)
    assert said.endswith("own/n7.tn, …\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("check missing.tn", "cannot read missing.tn: no such file"),
        ("compile missing.tn", "cannot read missing.tn: no such file"),
        ("fmt missing.tn", "cannot read missing.tn: no such file"),
        ("blocks missing.tn", "cannot read missing.tn: no such file"),
        ("check .", "cannot read .: is a directory"),
        ("compile .", "cannot read .: is a directory"),
        ("compile map.tn -o .", "cannot write .: it is a directory"),
        ("compile map.tn -o nowhere/out.py", "cannot write nowhere/out.py: no such file"),
        ("compile map.tn -o map.tn/out.py", "cannot write map.tn/out.py: not a directory"),
        ("compile map.tn --emit nonsense", "--emit takes program, network, plan"),
        ("compile map.tn --batch 1,two", "--batch takes positive integers"),
        ("compile map.tn --batch 0", "--batch takes positive integers"),
        ("compile map.tn --batch ,", "--batch takes positive integers"),
        ("cost map.tn --size n", "--size takes NAME=N"),
        ("cost map.tn --size n=-1", "--size n=N takes a positive integer, not '-1'"),
        ("cost map.tn --batch 0", "--batch takes a positive integer, not '0'"),
        ("chekc map.tn", "there is no command 'chekc'; did you mean 'check'?"),
        ("--verbose", "there is no option '--verbose'"),
        ("compile map.tn Map more", "unrecognized arguments: more"),
        ("compile map.tn --out x", "unrecognized arguments"),
        ("cost map.tn --size q=3", "--size names no `batch` axis 'q'; the block declares none"),
        ("cost map.tn --search hard", "invalid choice: 'hard'"),
        ("check", "the following arguments are required: FILE"),
        ("nonsense", "there is no command 'nonsense'; there are check, compile"),
        ("check --nonsense map.tn", "unrecognized arguments: --nonsense"),
    ],
)
def test_wrong_usage(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: str, message: str
) -> None:
    assert run(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_permissions(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuses)
    for command in COMMANDS:
        if command != "explain":
            assert run([command, *["map.tn"] * (2 if command == "diff" else 1)]) == 2
            assert "cannot read map.tn: permission denied" in capsys.readouterr().err


def test_a_bug_of_ours_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*arguments: object, **named: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr(reading, "link_file", breaks)
    assert run(["compile", "map.tn"]) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[TN900]: a bug of tncompile, not of your file: KeyError: 'lost'" in err
    assert "report" in err
    assert "Traceback" not in err
    monkeypatch.setenv(application.TRACEBACK, "1")
    assert run(["compile", "map.tn"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    import tncompile

    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"tncompile {tncompile.__version__}\n"


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What `--help` prints."""
    assert run([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_in_help_work(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    examples = re.findall(r"^ +(.*\btncompile .*)$", help_of(command, capsys), re.MULTILINE)
    examples = [line for line in examples if not line.startswith("Usage")]
    assert examples, "no example"
    for line in examples:
        if line.startswith("tncompile "):
            code, (out, err) = run(shlex.split(line)[1:]), capsys.readouterr()
        else:
            script = line.replace("tncompile", f"{shlex.quote(sys.executable)} -m tncompile.cli")
            done = subprocess.run(
                ["sh", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120
            )
            code, out, err = done.returncode, done.stdout, done.stderr
        assert code == 0, err
        assert command in ("check", "fmt") or out or "-o" in line


def test_commands_without_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(command in err for command in COMMANDS)
    assert run(["--help"]) == 0
    assert capsys.readouterr().out == err


def test_options_may_stand_anywhere(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compile", "--emit", "network", "two.tn", "Other"]) == 0
    first = capsys.readouterr().out
    assert run(["compile", "two.tn", "--emit", "network", "Other"]) == 0
    assert capsys.readouterr().out == first


def test_too_little_memory_is_no_bug(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain-slow", "map.tn", "--batch", str(2**45), "--seconds", "1"]
    assert run(command) == 1
    due = "not enough memory for this batch and these sizes; try smaller ones\n"
    assert capsys.readouterr().err.endswith(due)
    assert run(["compile", "map.tn", "--batch", str(2**63)]) == 2
    assert "up to 18 digits" in capsys.readouterr().err
