"""`tncompile fmt`, `tncompile blocks` and `tncompile explain`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import MAP
from tncompile.cli.application import run


def test_fmt(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    untidy = "network  N( ) {index i=2\ninput x(i) # in\ntensor A(i) output y() }"
    (folder / "untidy.tn").write_text(untidy, encoding="utf-8")
    assert run(["fmt", "--check", "untidy.tn"]) == 1
    assert capsys.readouterr().out == "untidy.tn\n"
    assert (folder / "untidy.tn").read_text() == untidy
    assert run(["fmt", "untidy.tn"]) == 0
    assert (folder / "untidy.tn").read_text() != untidy
    assert "# in" in (folder / "untidy.tn").read_text()
    assert run(["fmt", "--check", "untidy.tn"]) == 0


def test_fmt_leaves_files_with_errors_alone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "broken.tn").write_text("network N( {", encoding="utf-8")
    assert run(["fmt", "broken.tn", "map.tn"]) == 1
    assert "error[TN1" in capsys.readouterr().err
    assert (folder / "broken.tn").read_text() == "network N( {"


def test_explain(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "tn401"]) == 0
    assert "TN401" in capsys.readouterr().out
    assert run(["explain", "401"]) == 0
    assert "TN401" in capsys.readouterr().out
    assert run(["explain", "TN499"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "no code 'TN499'" in err
    assert run(["explain", ""]) == 2
    assert "a code is wanted, like TN101" in capsys.readouterr().err


def test_blocks(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'import "std/linear.tn" { LowRank }\n"""Four to three."""\n' + MAP
    (folder / "some.tn").write_text(text + "network Five = Map(d = 5)\n", encoding="utf-8")
    assert run(["blocks", "some.tn"]) == 0
    out = capsys.readouterr().out
    assert "network Map(d: int = 4, o: int = 3)\n    Four to three.\n" in out
    assert "network Five = Map(" in out
    assert re.search(r"network LowRank\(.*# imported", out)


def test_a_file_without_blocks_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "none.tn").write_text("# nothing yet\n", encoding="utf-8")
    assert run(["blocks", "none.tn"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "none.tn declares no blocks\n"


def test_the_blocks_of_a_folder_are_a_line_each(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["blocks", "std"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(re.fullmatch(r"std/linear.tn +network LowRank +\S.*", line) for line in lines)
    assert any(re.match(r"std/transformer.tn +model LanguageModel +\S", line) for line in lines)
    assert len(lines) == len({line.split("  ")[0] + line.split()[2] for line in lines})
    (folder / "empty").mkdir()
    assert run(["blocks", "empty"]) == 2
    assert "cannot read empty: is a directory" in capsys.readouterr().err
