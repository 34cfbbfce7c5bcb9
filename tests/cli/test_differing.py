"""`tncompile diff`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tncompile
from tests.cli.conftest import MAP, process
from tncompile.cli.application import run

Capture = pytest.CaptureFixture[str]


def test_what_is_printed_is_the_table(folder: Path, capsys: Capture) -> None:
    assert run(["diff", "map.tn", "map.tn:Map(o = 5)", "--batch", "8"]) == 0
    spec = tncompile.load("map.tn")
    one, other = spec.instantiate("Map"), spec.instantiate("Map(o = 5)")
    assert capsys.readouterr() == (one.diff(other, 8).table(), "")
    assert run(["diff", "map.tn", "map.tn:Map(o = 5)", "--batch", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(
        json.dumps(one.diff(other, 8).to_dict())
    )


def test_exit_codes(folder: Path, capsys: Capture) -> None:
    assert run(["diff", "map.tn", "map.tn", "--exit-code"]) == 0
    assert "No difference" in capsys.readouterr().out
    assert run(["diff", "map.tn", "map.tn:Map(o = 5)", "--exit-code"]) == 1
    assert run(["diff", "map.tn", "map.tn:Map(o = 5)"]) == 0


def test_the_target_of_a_counts_for_b(folder: Path, capsys: Capture) -> None:
    (folder / "new.tn").write_text(MAP.replace("W(i, j)", "W(j, i)"), encoding="utf-8")
    assert run(["diff", "two.tn:Map(o = 4)", "new.tn"]) == 0
    out = capsys.readouterr().out
    assert "A     two.tn: Map(o = 4)\nB     new.tn: Map(o = 4)\n" in out
    assert "tensor W, legs" in out


def test_files_with_colons(folder: Path, capsys: Capture) -> None:
    for name in ("a:b.tn", "plain", "x.tn:y.tn"):
        (folder / name).write_text(MAP, encoding="utf-8")
        assert run(["diff", name, "map.tn", "--exit-code"]) == 0
    assert run(["diff", "plain:Map(o = 5)", "map.tn:Map"]) == 0
    assert "A     Map(o = 5)\nB     Map\n" in capsys.readouterr().out


def test_pictures(folder: Path, capsys: Capture) -> None:
    call = ["diff", "map.tn", "map.tn:Map(o = 5)"]
    for name, start in (("d.svg", b"<svg"), ("d.HTML", b"<!doctype"), ("d.png", b"\x89PNG")):
        assert run([*call, "-o", name, "--theme", "dark", "--width", "400"]) == 0
        out, err = capsys.readouterr()
        assert "index j, size" in out
        assert err == f"wrote {name}\n"
        assert (folder / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("call", "code", "words"),
    [
        (["map.tn"], 2, "required: B"),
        (["map.tn", "nothing.tn"], 2, "cannot read nothing.tn"),
        (["nothing.tn:Map", "map.tn"], 2, "cannot read nothing.tn"),
        (["map.tn", "map.tn:Mop"], 1, "did you mean `Map`"),
        (["map.tn:Map(", "map.tn"], 1, "error[TN1"),
        (["two.tn", "two.tn"], 1, "several blocks"),
        (["map.tn", "wrong.tn"], 1, "error[TN201]"),
        (["-", "-"], 2, "both standard input"),
        (["map.tn", "map.tn", "-o", "d.pdf"], 2, "-o takes a name that ends in .svg"),
        (["map.tn", "map.tn", "-o", "away/d.svg"], 2, "cannot write away/d.svg"),
        (["map.tn", "map.tn", "--width", "1"], 2, "--width is from 240"),
        (["map.tn", "map.tn", "--size", "q=3"], 2, "`q` is a run-time size of neither"),
        (["map.tn", "map.tn", "--batch", "0"], 2, "--batch takes a positive integer"),
        (["map.tn", ":"], 2, "cannot read"),
        (["", ""], 2, "cannot read"),
    ],
)
def test_wrong_calls(folder: Path, capsys: Capture, call: list[str], code: int, words: str) -> None:
    before = sorted(folder.iterdir())
    assert run(["diff", *call]) == code
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""
    assert sorted(folder.iterdir()) == before


def test_standard_input() -> None:
    done = process(["diff", "-:Map", "-"], MAP)
    assert done.returncode == 2
    done = process(["diff", "-", "std/linear.tn:LowRank(4, 3)", "--search", "fast"], MAP)
    assert done.returncode == 0, done.stderr
    assert "both  x (..., 4) → (..., 3)" in done.stdout


def test_one_call_is_not_warned_of_twice(folder: Path, capsys: Capture) -> None:
    assert run(["diff", "warned.tn", "warned.tn"]) == 0
    assert capsys.readouterr().err.count("`spare` is never used") == 1
