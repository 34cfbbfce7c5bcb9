"""Scatter, bars and spectra: fronts, shares, cuts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inspection.charts.reading import description, groups, root_of, title, titles, written
from tests.inspection.charts.samples import BARS, SCATTER, SPECTRUM, TIME
from tncompile.inspection.charts.bars import MOST
from tncompile.inspection.charts.chart import Bars, Dot, Scatter, Spectrum, front_of
from tncompile.inspection.charts.plot import Block, Group, Symbol
from tncompile.inspection.charts.show import plot_of

small = st.integers(1, 12)


@given(st.lists(st.builds(Dot, st.just("d"), small, small), min_size=1, max_size=20))
@settings(max_examples=60)
def test_nothing_beats_the_front_and_it_beats_all_others(dots: list[Dot]) -> None:
    def beats(one: Dot, other: Dot) -> bool:
        better = (one.x, one.y) != (other.x, other.y)
        return better and one.x <= other.x and one.y <= other.y

    front = {(dot.x, dot.y) for dot in front_of(dots)}
    due = {(dot.x, dot.y) for dot in dots if not any(beats(other, dot) for other in dots)}
    assert front == due


def test_titles_and_labels_of_points() -> None:
    root = root_of(SCATTER)
    found = groups(root, "point")
    assert len(found) == len(SCATTER.dots)
    for key, group in found.items():
        dot = SCATTER.dots[int(key)]
        (said,) = titles(group)
        assert said.startswith(f"{dot.name}: FLOPs ")
        assert f"predicted time {TIME.said(dot.y)}" in said
        assert SCATTER.size.said(dot.size) in said
    assert {"sweep forward", "search (flops)"} <= set(written(root))
    assert "Chosen: sweep forward" in description(root)


def test_areas_of_points_are_sizes() -> None:
    dots = [Dot("a", 1, 1, 4), Dot("b", 2, 2, 1)]
    groups = [m for m in plot_of(Scatter("t", dots)).marks if isinstance(m, Group)]
    radii = {g.data[0][1]: g.marks[0].radius for g in groups if isinstance(g.marks[0], Symbol)}
    assert radii["0"] == pytest.approx(2 * radii["1"])


def test_of_very_many_points_the_front_remains() -> None:
    dots = [Dot(f"d{k}", 1 + k, 1 + (k * 7919) % 5000) for k in range(5000)]
    root = root_of(Scatter("t", dots, chosen=4001))
    found = groups(root, "point")
    assert {str(dots.index(dot)) for dot in front_of(dots)} <= set(found)
    assert "4001" in found
    assert len(found) < 1100
    assert "Of the 5,000 in all these are a part" in description(root)


def test_bars_are_as_long_as_their_numbers() -> None:
    groups_of = [m for m in plot_of(BARS).marks if isinstance(m, Group)]
    lengths = [b.box.width for g in groups_of for b in g.marks if isinstance(b, Block)]
    shares = [value for _, value in BARS.rows]
    assert [each / lengths[0] for each in lengths] == pytest.approx([s / 0.44 for s in shares])
    found = groups(root_of(BARS), "bar")
    assert title(found["x · t1"]) == "x · t1: 44 % (0.44)"
    assert {"44 %", "50 %", "< 1 %"} <= set(written(root_of(BARS)))


def test_more_bars_than_one_reads_are_summed() -> None:
    rows = [(f"r{k}", 1.0 + k) for k in range(100)]
    found = groups(root_of(Bars("t", rows)), "bar")
    assert len(found) == MOST
    assert title(found["61 more"]) == f"61 more: {sum(1 + k for k in range(61)):,}"


def test_a_script_can_move_the_cut() -> None:
    """Behind rank r it stands half-way between the markers of r and r + 1."""
    root = root_of(SPECTRUM)
    cut = groups(root, "rank")["6"]
    x0, dx = (float(cut.get(f"data-{key}", "")) for key in ("x0", "dx"))
    shift = float(re.search(r"translate\((.*) 0\)", cut.get("transform", ""))[1])  # type: ignore[index]
    assert shift == pytest.approx(x0 + 6 * dx, abs=0.06)
    plot = plot_of(SPECTRUM)
    series = next(
        m for m in plot.marks if isinstance(m, Group) and m.data[:1] == (("series", "trained"),)
    )
    xs = [m.x for m in series.marks if isinstance(m, Symbol)]
    for rank in range(1, len(xs)):
        assert x0 + rank * dx == pytest.approx((xs[rank - 1] + xs[rank]) / 2, abs=0.01)
    assert "rank 6" in written(root)


def test_singular_values_that_are_rounding_hide_no_others() -> None:
    root = root_of(Spectrum("t", [1.0, 1e-3, 1e-17, 0.0], [0.5, 0.4]))
    assert len(titles(groups(root, "series")["trained"])) == 2
    assert "2 values are zero but for rounding" in description(root)
    assert "trained: number 2, singular value 0.001" in titles(root)
    with pytest.raises(ValueError, match="rank"):
        Spectrum("t", [1.0], rank=2)
    with pytest.raises(ValueError, match="below zero"):
        Spectrum("t", [-1.0])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400])
def test_what_is_no_finite_number(value: float) -> None:
    for make in (lambda: Dot("d", value, 1), lambda: Bars("t", [("a", value)])):
        with pytest.raises(ValueError, match=r"finite|too large"):
            make()
    with pytest.raises(TypeError, match="number"):
        Dot("d", "1", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="text"):
        Dot(1, 1, 1)  # type: ignore[arg-type]
