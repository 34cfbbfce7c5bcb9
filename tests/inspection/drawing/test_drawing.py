"""The SVG of a scene, and the files that drawings become."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import tncompile
from tests.inspection.drawing.subjects import std_network
from tests.support.library import architecture
from tncompile.inspection.drawing.drawing import Drawing
from tncompile.inspection.drawing.networks.draw import network_scene
from tncompile.inspection.drawing.svg import svg_of
from tncompile.inspection.drawing.theme import DARK, LIGHT

SVG = "{http://www.w3.org/2000/svg}"
TARGET = "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4])"


def drawing(theme: str = "auto") -> Drawing:
    return architecture("linear", TARGET).draw(theme=theme)  # type: ignore[arg-type]


def titles(svg: str, kind: str) -> dict[str, str]:
    """What the tooltips of a kind of group say, by the name of each."""
    root = ElementTree.fromstring(svg)
    groups = (each for each in root.iter(f"{SVG}g") if each.get("class") == kind)
    return {g.get(f"data-{kind}", ""): g.findtext(f"{SVG}title") or "" for g in groups}


def test_numbers_are_those_of_the_network() -> None:
    net = architecture("linear", TARGET).network
    svg = drawing().svg
    for key, title in titles(svg, "tensor").items():
        if key.startswith("G["):
            stored = int(re.search(r"([0-9,]+) numbers", title)[1].replace(",", ""))  # type: ignore[index]
            assert stored == math.prod(net.parameter[key.replace("[", ".").rstrip("]")].shape)
    for leg, title in titles(svg, "leg").items():
        assert f"size {net.index[leg].size}," in title


def test_the_root_is_an_image_with_a_title_and_a_description() -> None:
    root = ElementTree.fromstring(drawing().svg)
    assert root.get("role") == "img"
    ids = (root.get("aria-labelledby") or "").split()
    found = {each.get("id"): each.text for each in root.iter() if each.get("id") in ids}
    assert (found[ids[0]] or "").startswith("Tensor network MPO(")
    assert "4 tensors" in (found[ids[1]] or "")


def test_coordinates_have_one_decimal_and_nothing_is_outside() -> None:
    svg = drawing().svg
    left, top, width, height = map(int, re.search(r'viewBox="([^"]*)"', svg)[1].split())  # type: ignore[index]
    for name, low, size in (("x", left, width), ("y", top, height)):
        values = [float(v) for v in re.findall(rf' {name}="(-?[0-9.]+)"', svg)]
        assert values
        assert all(low <= value <= low + size for value in values)
    assert not re.search(r"[0-9]\.[0-9]{2,}[^0-9\"]", "".join(re.findall(r' d="([^"]*)"', svg)))


def test_themes() -> None:
    light, dark, auto = (drawing(theme).svg for theme in ("light", "dark", "auto"))
    assert LIGHT.ground in light
    assert DARK.ground not in light
    assert DARK.ground in dark
    assert LIGHT.ground not in dark
    assert "prefers-color-scheme:dark" in auto
    assert "var(" not in auto


def test_all_selectors_and_ids_have_a_prefix_of_their_own() -> None:
    svg = drawing().svg
    own = re.search(r'<svg [^>]*id="(\w+)"', svg)[1]  # type: ignore[index]
    assert all(each.startswith(own) for each in re.findall(r' id="([^"]*)"', svg))
    style = re.search(r"<style>(.*?)</style>", svg)[1]  # type: ignore[index]
    for selector in re.findall(
        r"([^{}]+)\{[^{}]*\}", style.replace("@media (prefers-color-scheme:dark){", "")
    ):
        assert selector.strip().startswith(f"#{own} "), selector


def test_a_notebook_shows_two_copies_with_ids_of_their_own() -> None:
    arch = architecture("linear", TARGET)
    one, other = arch._repr_svg_(), arch._repr_svg_()
    first, second = (re.search(r'id="(\w+)"', svg)[1] for svg in (one, other))  # type: ignore[index]
    assert first != second
    assert one.replace(first, second) == other


SCRIPT = f"""
import tncompile
arch = tncompile.load("std/linear.tn").instantiate("{TARGET}")
print(arch.draw().svg)
arch = tncompile.load("std/classifier.tn").instantiate("MERAClassifier")
print(arch.draw().svg)
"""


def test_the_text_does_not_depend_on_the_order_of_hashes() -> None:
    texts = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(texts) == 1


def test_markup_in_names_is_text() -> None:
    net = std_network("linear", "LowRank(12, 10, rank = 3)")
    evil = "</title><script>alert(1)</script>\"'&"
    tensors = tuple(
        t.model_copy(update={"name": evil}) if t.role == "parameter" and t.name == "A" else t
        for t in net.tensors
    )
    hostile = net.model_copy(update={"target": evil, "name": evil, "tensors": tensors, "doc": evil})
    svg = svg_of(network_scene(hostile))
    root = ElementTree.fromstring(svg)
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert evil in "".join(root.itertext())


def test_files(tmp_path: Path) -> None:
    picture = drawing("light")
    for name in ("a.svg", "a.html", "a.PNG"):
        picture.save(tmp_path / name)
    assert (tmp_path / "a.svg").read_text(encoding="utf-8") == picture.svg + "\n"
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert picture.svg in page
    png = (tmp_path / "a.PNG").read_bytes()
    assert png.startswith(b"\x89PNG")
    width = int.from_bytes(png[16:20], "big")
    assert width == 2 * int(re.search(r'width="(\d+)"', picture.svg)[1])  # type: ignore[index]
    with pytest.raises(ValueError, match=r"\.svg"):
        picture.save(tmp_path / "a.pdf")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.PNG", "a.html", "a.svg"]


def test_what_is_no_theme_and_no_width() -> None:
    arch = architecture("linear", TARGET)
    with pytest.raises(ValueError, match="light"):
        arch.draw(theme="blue")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="240"):
        arch.draw(width=3)
    with pytest.raises(TypeError, match="px"):
        arch.draw(width=600.0)  # type: ignore[arg-type]


def test_a_narrow_page_folds_more() -> None:
    arch = tncompile.load("std/linear.tn").instantiate(
        "MPO(ins = [2] * 9, outs = [2] * 9)".replace("[2] * 9", str([2] * 9))
    )
    wide, narrow = arch.draw(width=900), arch.draw(width=300)
    assert len(narrow.scene.figures) < len(wide.scene.figures)
