"""Colors of charts: told apart with any cones, and read on what they stand on."""

from __future__ import annotations

from itertools import combinations

import pytest

from tests.inspection.charts.color_vision import contrast, distance
from tncompile.inspection.charts.colors import COLORS, FILLS, series_style
from tncompile.inspection.drawing.theme import DARK, LIGHT, Palette

THEMES = pytest.mark.parametrize("colors", [LIGHT, DARK], ids=["light", "dark"])


@THEMES
def test_series_are_told_apart(colors: Palette) -> None:
    assert len(colors.series) == COLORS
    assert min(distance(a, b) for a, b in combinations(colors.series, 2)) >= 0.11
    assert min(contrast(each, colors.ground) for each in colors.series) >= 4.5


@THEMES
def test_fills_are_told_apart_and_carry_text(colors: Palette) -> None:
    assert len(colors.shared) == FILLS
    assert min(distance(a, b) for a, b in combinations(colors.shared, 2)) >= 0.035
    fills = (*colors.shared, colors.frozen[0])
    assert min(contrast(fill, colors.on_fill) for fill in fills) >= 5
    assert contrast(colors.ink, colors.ground) >= 5
    # Fills are pale: it is their edges that stand out from the ground.
    assert contrast(colors.tensor[1], colors.ground) >= 3
    assert contrast(colors.dim, colors.ground) >= 4.5


def test_distances_see_what_protanopia_hides() -> None:
    assert distance("#0067a8", "#c24e00") > 0.15
    assert distance("#8a6f00", "#c24e00") < 0.1
    assert contrast("#ffffff", "#000000") == pytest.approx(21)


def test_series_differ_in_more_than_color() -> None:
    styles = [series_style(k) for k in range(30)]
    assert len({(color, dash) for color, dash, _, _ in styles}) == 30
    assert len({(dash, shape) for _, dash, shape, _ in styles[:6]}) == 6
    assert len({shape for _, _, shape, _ in styles[:6]}) == 6
