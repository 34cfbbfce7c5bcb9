"""The SVG of charts: one text on all machines, ids of its own, themes, files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.inspection.charts.samples import BARS, LINES, SAMPLES
from tncompile.inspection.charts.chart import Bars
from tncompile.inspection.charts.show import chart_drawing, chart_svg
from tncompile.inspection.drawing.theme import DARK, LIGHT

SCRIPT = """
import sys
from tests.inspection.charts.samples import SAMPLES
from tncompile.inspection.charts.show import chart_svg
print([chart_svg(chart) for chart in SAMPLES.values()])
print(sorted({"torch", "numpy", "lark", "cotengra"} & set(sys.modules)))
"""


def test_the_text_does_not_depend_on_the_order_of_hashes() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "77")
    }
    assert len(outputs) == 1
    lines = outputs.pop().splitlines()
    assert lines[0] == repr([chart_svg(chart) for chart in SAMPLES.values()])
    assert lines[1] == "[]"  # what is heavy is not loaded


@pytest.mark.parametrize("name", SAMPLES)
def test_the_root_is_an_image_with_a_title_and_a_description(name: str) -> None:
    root = ElementTree.fromstring(chart_svg(SAMPLES[name]))
    assert root.get("role") == "img"
    ids = (root.get("aria-labelledby") or "").split()
    found = {each.get("id"): each.text for each in root.iter() if each.get("id") in ids}
    assert found[ids[0]] == SAMPLES[name].title
    assert len(found[ids[1]] or "") > 40


@pytest.mark.parametrize("name", SAMPLES)
def test_all_selectors_and_ids_have_a_prefix_of_their_own(name: str) -> None:
    svg = chart_svg(SAMPLES[name])
    own = re.search(r'<svg [^>]*id="(\w+)"', svg)[1]  # type: ignore[index]
    assert all(each.startswith(own) for each in re.findall(r' id="([^"]*)"', svg))
    style = re.search(r"<style>(.*?)</style>", svg)[1]  # type: ignore[index]
    rules = style.replace("@media (prefers-color-scheme:dark){", "")
    selectors = re.findall(r"([^{}]+)\{[^{}]*\}", rules)
    assert all(each.startswith(f"#{own} ") for each in selectors)
    classes = {c for names in re.findall(r' class="([^"]*)"', svg) for c in names.split()}
    styled = {each.partition(".")[2] for each in selectors if "." in each}
    assert styled <= classes
    assert classes - styled <= {"step", "part", "cut", "ring"}  # for scripts


def test_copies_and_charts_of_one_title_have_ids_of_their_own() -> None:
    other = Bars(BARS.title, [("x", 0.5)], BARS.measure)
    texts = [chart_svg(BARS), chart_svg(BARS, "auto", 1), chart_svg(other)]
    assert len({re.search(r'id="(\w+)"', svg)[1] for svg in texts}) == 3  # type: ignore[index]


def test_themes() -> None:
    light, dark, auto = (chart_svg(LINES, theme) for theme in ("light", "dark", "auto"))  # type: ignore[arg-type]
    assert LIGHT.ground in light
    assert DARK.ground not in light
    assert DARK.ground in dark
    assert LIGHT.ground not in dark
    assert "prefers-color-scheme:dark" in auto
    assert "var(" not in auto
    with pytest.raises(ValueError, match="light"):
        chart_svg(LINES, "blue")  # type: ignore[arg-type]


def test_coordinates_have_one_decimal() -> None:
    for chart in SAMPLES.values():
        svg = re.sub(r"<(title|desc|style).*?</\1>", "", chart_svg(chart))
        drawn = " ".join(re.findall(r' (?:d|x|y|cx|cy|r|width|height)="([^"]*)"', svg))
        assert not re.search(r"\.\d\d", drawn)


def test_files_are_those_of_a_drawing(tmp_path: Path) -> None:
    picture = chart_drawing(BARS, "light")
    for name in ("a.svg", "a.html", "a.png"):
        picture.save(tmp_path / name)
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == chart_svg(BARS, "light") + "\n"
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert picture.svg in page
    assert "<script" not in page
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert picture._repr_svg_() != picture._repr_svg_()


def test_what_is_no_chart_and_no_width() -> None:
    with pytest.raises(ValueError, match="240"):
        chart_svg(BARS, width=3)
    with pytest.raises(TypeError, match="px"):
        chart_svg(BARS, width=600.0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dict is no chart"):
        chart_svg({})  # type: ignore[arg-type]
