"""Allocations as pictures."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tncompile.tensorizing.allocating.allocation import Allocation, Choice

SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_a_layer() -> None:
    layers = (
        Choice("up", "linear", "LowRank", {"rank": 8}, 400, 100, 3.0),
        Choice("down", "linear", None, {}, 100, 100, 0.0),
        Choice("last", "conv", "TuckerConv", {"in_rank": 2, "kernel_ranks": [3, 1]}, 400, 40, 1.0),
    )
    found = Allocation(layers, 240, 900, 0.1)
    root = ElementTree.fromstring(found.plot())
    rows = [
        (each.get("fill"), float(each.get("width") or 0))
        for each in root.iter(f"{SVG}rect")
        if each.get("y") not in (None, "28")
    ]
    grays, blues, reds = (rows[k::3] for k in range(3))
    assert {fill for fill, _ in grays} != {fill for fill, _ in blues}
    for whole, kept, part in zip(grays, blues, (0.25, 1.0, 0.1), strict=True):
        assert kept[1] == pytest.approx(part * whole[1], abs=0.2)
    assert grays[1][1] == pytest.approx(grays[0][1] / 2, abs=0.2)  # a quarter of the parameters
    assert reds[0][1] == pytest.approx(3 * reds[2][1], abs=0.2)
    assert reds[1][1] == 0
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert "25 % LowRank 8" in texts
    assert "10 % TuckerConv 2, 3, 1" in texts
    assert "100 % kept" in texts
    assert found.plot() in found._repr_html_()


def test_names_are_text() -> None:
    name = "<script>&\x1b\x00" + "a" * 50
    for shown in (name, name[:12]):
        layers = (Choice(shown, "linear", None, {}, 4, 4, 0.0),)
        ElementTree.fromstring(Allocation(layers, 4, 4, 0.0).plot())
        assert "<script" not in Allocation(layers, 4, 4, 0.0).plot()
