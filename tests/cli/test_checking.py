"""`tncompile check`, and problems that other commands report in the same way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import MAP, TWO, UNCOMPILED
from tncompile.cli.application import run


def test_check_is_silent_on_standard_output(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "map.tn"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "1 file checked: no errors\n"


def test_check_reports_each_problem_at_its_place(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", "wrong.tn", "map.tn"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[TN201]" in err
    assert "wrong.tn:4:15" in err
    assert "2 files checked: 1 error" in err


def test_check_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "--json", "wrong.tn"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert [problem["code"] for problem in json.loads(out)] == ["TN201"]
    assert run(["check", "--json", "map.tn"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_check_with_a_target(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "map.tn", "--with", "Map(d = 0)"]) == 1
    assert "error[TN301]" in capsys.readouterr().err
    assert run(["check", "map.tn", "--with", "Map(d = "]) == 1
    assert "error[TN102]" in capsys.readouterr().err


def test_warnings_do_not_count(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", "warned.tn"]) == 0
    err = capsys.readouterr().err
    assert "warning[TN204]" in err
    assert "no errors, 1 warning" in err


def test_check_leaves_blocks_that_need_arguments(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "open.tn").write_text(MAP.replace("d: int = 4", "d: int"), encoding="utf-8")
    assert run(["check", "open.tn"]) == 0


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (MAP.replace("d: int = 4", "d: int"), " (1 block needs arguments: --with 'NAME("),
        (TWO.replace("d: int = 4", "d: int"), " (2 blocks need arguments: --with 'NAME("),
        ("# nothing\n", " (no blocks in it)"),
    ],
)
def test_check_says_what_it_left_out(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, note: str
) -> None:
    (folder / "open.tn").write_text(text, encoding="utf-8")
    assert run(["check", "open.tn"]) == 0
    assert f"1 file checked: no errors{note}" in capsys.readouterr().err


def test_check_reads_rewrites(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As far as that goes without a model: networks, arguments, what is known of a layer."""
    right = UNCOMPILED + MAP + 'rewrite S { linear "*" -> Map(d = in_features, o = 3) }'
    (folder / "right.tn").write_text(right, encoding="utf-8")
    assert run(["check", "right.tn"]) == 0
    assert "1 file checked: no errors" in capsys.readouterr().err
    (folder / "typo.tn").write_text(right.replace("in_features", "in_feature"), encoding="utf-8")
    assert run(["check", "--json", "typo.tn"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["hint"]) == ("TN201", "did you mean `in_features`?")


def test_ranks_that_cannot_be_are_told_by_every_command(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = "MPO(ins = [4, 8], outs = [8, 4], ranks = 1000)"
    instance = f'import "std/linear.tn" {{ MPO }}\n\nnetwork Wide = {call}\n'
    (folder / "wide.tn").write_text(instance, encoding="utf-8")
    quick = ["--batch", "8", "--search", "fast"]
    for arguments in (
        ["check", "wide.tn"],
        ["check", "std/linear.tn", "--with", call],
        ["compile", "std/linear.tn", call, "-o", "wide.py", *quick],
        ["cost", "std/linear.tn", call, *quick],
    ):
        assert run(arguments) == 0
        err = capsys.readouterr().err
        assert err.count("warning[TN307]") == 1
        assert "`b[0]` has size 1000, of which 32 are of use" in err


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_a_file_that_is_missing_does_not_keep_others_back(
    folder: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (folder / "broken.tn").write_text("network N( {", encoding="utf-8")
    assert run([command, "missing.tn", "broken.tn", "map.tn"]) == 2
    err = capsys.readouterr().err
    assert "error: cannot read missing.tn: no such file" in err
    assert "error[TN1" in err
    assert command == "fmt" or "2 files checked: 1 error" in err


def test_imports_stay_under_the_root(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "up.tn").write_text('import "../map.tn" { Map }\nnetwork M = Map(d = 2)\n')
    assert run(["check", "inner/up.tn"]) == 1
    assert "TN206" in capsys.readouterr().err
    assert run(["check", "--root", ".", "inner/up.tn"]) == 0
    assert run(["compile", "--root", ".", "inner/up.tn"]) == 0
    assert run(["check", "--root", "nowhere", "inner/up.tn"]) == 2


def test_not_utf8_is_a_diagnostic(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "latin.tn").write_bytes(MAP.encode() + b"# caf\xe9\n")
    for command in ("check", "compile", "cost", "fmt", "blocks"):
        assert run([command, "latin.tn"]) == 1
        assert "error[TN103]" in capsys.readouterr().err
