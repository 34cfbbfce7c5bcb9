"""Lines: their numbers, gaps, labels, axes."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inspection.charts.reading import description, groups, root_of, titles, written
from tests.inspection.charts.samples import LINES, RATIOS
from tncompile.inspection.charts.chart import Level, Lines, Series
from tncompile.inspection.charts.lines import MARKERS, laid
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.placing import spread
from tncompile.inspection.charts.plot import Group, Stroke, Symbol
from tncompile.inspection.charts.scales import Scale, scale_for, ticks
from tncompile.inspection.charts.show import plot_of
from tncompile.planning.wording import bytes_text, seconds_text


def test_titles_are_the_numbers_of_the_points() -> None:
    found = groups(root_of(LINES), "series")
    for series in LINES.series:
        points = [(x, y) for x, y in series.points if y is not None]
        said = titles(found[series.name])
        assert len(said) == len(points)
        for (x, y), title in zip(points, said, strict=True):
            assert title.startswith(f"{series.name}: batch {x:,}, predicted time ")
            assert float(re.search(r"\((.*) s\)", title)[1]) == y  # type: ignore[index]


def test_markers_stand_where_their_numbers_are() -> None:
    made = laid(LINES, 600)
    assert made.x is not None
    assert made.frame is not None
    symbols = [m for g in made.plot.marks if isinstance(g, Group) and g.data for m in g.marks
               if isinstance(m, Symbol)]  # fmt: skip
    points = [(x, y) for series in LINES.series for x, y in series.points if y is not None]
    for symbol, (x, _) in zip(symbols, points, strict=True):
        assert symbol.x == pytest.approx(made.x.scale.at(x))
        assert made.frame.top <= symbol.y <= made.frame.bottom
    heights = [symbol.y for symbol in symbols[: len(LINES.series[0].points)]]
    assert heights == sorted(heights, reverse=True)  # larger numbers are above


def test_none_leaves_a_gap() -> None:
    whole, broken = (groups(root_of(LINES), "series")[name] for name in ("this plan", "measured"))
    paths = [group[0].get("d", "") for group in (whole, broken)]
    assert [path.count("M") for path in paths] == [1, 2]


def test_what_a_log_axis_cannot_show_is_said() -> None:
    chart = Lines("t", [Series("s", [(1, 0), (2, 5), (3, -1)])], y=Axis(log=True))
    root = root_of(chart)
    assert len(titles(groups(root, "series")["s"])) == 1
    assert "2 of its points are not positive" in description(root)
    with pytest.raises(ValueError, match="log axis"):
        Lines("t", [], y=Axis(log=True), level=Level(0, "zero"))


def test_a_level_has_its_band_and_its_label() -> None:
    plot = plot_of(RATIOS)
    assert "nn.Linear ± 5 %" in [words.label.line[0].text for words in plot.texts()]
    assert "nn.Linear ± 5 %, 1" in description(root_of(RATIOS))


def test_labels_at_ends_are_in_the_order_of_the_ends_and_apart() -> None:
    chart = Lines("t", [Series(f"s{k}", [(0, k), (1, k / 1000)]) for k in range(12)])
    plot = plot_of(chart)
    found = {w.label.line[0].text: w.label.y for w in plot.texts() if w.name.startswith("x")}
    heights = [found[f"s{k}"] for k in range(12)]
    gaps = [a - b for a, b in pairwise(heights)]
    assert min(gaps) >= 14 - 1e-9


def test_thresholds_and_the_highlighted_point_are_labeled() -> None:
    texts = written(root_of(LINES))
    assert {"from batch 155 another plan", "nn.Linear wins", "planned"} <= set(texts)
    said = titles(root_of(LINES))
    assert "from batch 155 another plan: batch 155" in said
    assert "planned: batch 64, predicted time 724 µs (0.000724 s)" in said


def test_of_many_points_extremes_remain() -> None:
    points = [(k, 100.0 if k == 7777 else math.sin(k)) for k in range(20_000)]
    made = laid(Lines("t", [Series("s", points)]), 600)
    assert made.frame is not None
    group = next(m for m in made.plot.marks if isinstance(m, Group) and m.data)
    (line,) = (m for m in group.marks if isinstance(m, Stroke))
    heights = [y for piece in line.pieces for _, y in piece]
    assert len(heights) < 4 * 600
    scale = scale_for([y for _, y in points], Axis(), made.frame.bottom, made.frame.top,
                      margin=0.05)  # fmt: skip
    assert min(heights) == pytest.approx(scale.at(100.0))
    assert max(heights) == pytest.approx(scale.at(min(y for _, y in points)))
    assert sum(isinstance(m, Symbol) for m in group.marks) <= MARKERS + 1


def test_ticks_are_round_numbers_in_words() -> None:
    def some(most: int, scale: Scale, axis: Axis, whole: bool = False) -> list[str]:
        return [text for _, text in ticks(scale, axis, whole, lambda found: len(found) <= most)]

    log = Scale(-5, -2, 0, 1, log=True)
    assert some(10, log, Axis(text=seconds_text))[:4] == ["10 µs", "20 µs", "50 µs", "100 µs"]
    assert some(5, log, Axis(text=seconds_text)) == ["10 µs", "100 µs", "1 ms", "10 ms"]
    mega = Scale(0, 4.9 * 2**20, 0, 1)
    assert some(6, mega, Axis(text=bytes_text, binary=True)) == [
        "0 B", "1 MiB", "2 MiB", "3 MiB", "4 MiB",
    ]  # fmt: skip
    assert some(5, Scale(0, 12, 0, 1, log=True), Axis(binary=True))[1] == "1,024"
    assert some(30, Scale(1, 4, 0, 1), Axis(), whole=True) == ["1", "2", "3", "4"]
    assert some(5, Scale(2.19, 2.28, 0, 1, log=True), Axis()) == ["160", "170", "180", "190"]


@given(st.lists(st.floats(0, 1000), max_size=20), st.floats(0, 20))
@settings(max_examples=100)
def test_spread_labels_keep_their_order_and_distance(wanted: list[float], gap: float) -> None:
    high = max(1000.0, gap * len(wanted))
    found = spread(wanted, gap, 0, high)
    order = sorted(range(len(wanted)), key=lambda k: (wanted[k], k))
    steps = [found[b] - found[a] for a, b in pairwise(order)]
    assert all(step >= gap - 1e-6 for step in steps)
    assert all(-1e-6 <= each <= high + 1e-6 for each in found)
    apart = all(abs(a - b) >= gap for k, a in enumerate(wanted) for b in wanted[:k])
    if apart:  # nothing moves that need not
        assert found == pytest.approx(wanted, abs=1e-6)
