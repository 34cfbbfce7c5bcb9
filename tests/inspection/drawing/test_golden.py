"""The pictures of the documentation are those that are drawn, to a tenth of a px."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[3] / "docs"
SCRIPTS: list[dict[str, Any]] = [
    runpy.run_path(str(DOCS / f"generate_{name}.py")) for name in ("drawings", "library")
]
PICTURES = [(script, name) for script in SCRIPTS for name in script["TARGETS"]]

NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
TOLERANCE = 0.11
"""Floating-point sums differ in their last digit from machine to machine."""


def elements(svg: str) -> list[tuple[str, list[tuple[str, str]], str]]:
    root = ElementTree.fromstring(svg)
    return [(e.tag, sorted(e.attrib.items()), e.text or "") for e in root.iter()]


def alike(one: str, other: str) -> bool:
    """Whether two texts are equal but for numbers, and those nearly so."""
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(abs(float(a) - float(b)) <= TOLERANCE for a, b in pairs)


@pytest.mark.parametrize(("script", "name"), PICTURES, ids=[name for _, name in PICTURES])
def test_pictures_of_the_docs(
    script: dict[str, Any], name: str, request: pytest.FixtureRequest
) -> None:
    path, drawn = script["DRAWINGS"] / f"{name}.svg", script["drawing"](name)
    if request.config.getoption("--update-golden"):
        path.write_text(drawn, encoding="utf-8")
    stored = path.read_text(encoding="utf-8")
    before, now = elements(stored), elements(drawn)
    assert len(before) == len(now)
    for one, other in zip(before, now, strict=True):
        assert one[0] == other[0]
        assert [key for key, _ in one[1]] == [key for key, _ in other[1]]
        assert alike(one[2], other[2]), other
        for (key, a), (_, b) in zip(one[1], other[1], strict=True):
            assert alike(a, b), (key, a, b)


def test_numbers_may_differ_in_the_last_digit_alone() -> None:
    assert alike("M1.0,2.5", "M1.1,2.5")
    assert not alike("M1.0,2.5", "M1.3,2.5")
    assert not alike("a 1", "b 1")


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_picture_is_left_over(script: dict[str, Any]) -> None:
    assert {path.stem for path in script["DRAWINGS"].glob("*.svg")} == set(script["TARGETS"])


def test_pictures_of_the_library_are_small() -> None:
    """One page shows all of them; the grid has nine tensors with a leg each."""
    sizes = {path.stem: path.stat().st_size for path in SCRIPTS[1]["DRAWINGS"].glob("*.svg")}
    assert sizes.pop("PEPSClassifier") < 20_000
    assert {name: size for name, size in sizes.items() if size > 15_000} == {}
