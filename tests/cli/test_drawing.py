"""`tncompile show`: formats, what it refuses, what it leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

import tncompile
from tncompile.cli.application import run


@pytest.mark.parametrize(
    ("name", "start"), [("map.svg", b"<svg"), ("map.html", b"<!doctype"), ("map.png", b"\x89PNG")]
)
def test_formats_by_the_name(folder: Path, name: str, start: bytes) -> None:
    assert run(["show", "map.tn", "-o", name]) == 0
    assert (folder / name).read_bytes().startswith(start)


def test_standard_output_takes_the_svg_of_the_api(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", "map.tn", "Map(o = 8)", "--theme", "dark"]) == 0
    arch = tncompile.load("map.tn").instantiate("Map(o = 8)")
    assert capsys.readouterr().out == arch.draw(theme="dark").svg + "\n"


def test_all_and_width(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chain = ["show", "std/classifier.tn", "MPSClassifier(sites = 40)"]
    assert run(chain) == 0
    short = capsys.readouterr().out
    assert run([*chain, "--all"]) == 0
    whole = capsys.readouterr().out
    assert run([*chain, "--width", "5000"]) == 0
    wide = capsys.readouterr().out
    counts = [text.count('class="tensor"') for text in (short, whole, wide)]
    assert counts[1] == 41
    assert counts[0] <= counts[2] < counts[1]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (["map.tn", "-o", "map.pdf"], "-o takes a name that ends in .svg, .png or .html"),
        (["map.tn", "-o", "map"], "-o takes a name that ends in"),
        (["map.tn", "--width", "3"], "--width is from 240 to 10,000 px"),
        (["map.tn", "--width", "wide"], "--width takes a positive integer"),
        (["nothing.tn"], "nothing.tn"),
        (["map.tn", "--depth", "5"], "--depth is from 0 to 4"),
        (["map.tn", "--depth", "x"], "--depth is from 0 to 4"),
        (["map.tn", "-o", "away/map.svg"], "cannot write away/map.svg: no such file or directory"),
    ],
)
def test_wrong_calls(
    folder: Path, capsys: pytest.CaptureFixture[str], call: list[str], words: str
) -> None:
    before = sorted(folder.iterdir())
    assert run(["show", *call]) == 2
    assert words in capsys.readouterr().err
    assert sorted(folder.iterdir()) == before


def test_wrong_programs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "wrong.tn", "-o", "wrong.svg"]) == 1
    assert "error[TN201]" in capsys.readouterr().err
    assert not (folder / "wrong.svg").exists()


def test_models_are_drawn_and_unfold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["show", "std/transformer.tn", "FeedForward(dense = false)"]
    assert run(call) == 0
    assert ">G<" not in capsys.readouterr().out
    assert run([*call, "--depth", "1"]) == 0
    assert ">G<" in capsys.readouterr().out
    assert run([*call, "-o", "page.html"]) == 0
    assert '<details id="part-1">' in (folder / "page.html").read_text(encoding="utf-8")


def test_png_without_its_library(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    assert run(["show", "map.tn", "-o", "map.png"]) == 2
    assert "pip install 'tncompile[png]'" in capsys.readouterr().err
    assert not (folder / "map.png").exists()


def test_contractions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = "MPO(ins = [4, 8], outs = [8, 4])"
    arch = tncompile.load("std/linear.tn").instantiate(target)
    call = ["show", "std/linear.tn", target, "--contraction", "--batch", "8", "--training"]
    assert run(call) == 0
    drawing = arch.draw_contraction(8, training=True)
    assert capsys.readouterr().out.rstrip("\n") == drawing.svg
    assert "a training step" in drawing.svg
    assert run(["show", "std/transformer.tn", "FeedForward", "--contraction"]) == 2
    assert "this is a model" in capsys.readouterr().err
