"""Charts of any names and numbers: well-formed, within their view, no label on another."""

from __future__ import annotations

import sys
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.inspection.charts.faults import faults
from tests.inspection.charts.samples import SAMPLES
from tncompile.inspection.charts.chart import (
    Bars,
    Chart,
    Dot,
    Highlight,
    Level,
    Lines,
    Part,
    Scatter,
    Series,
    Spectrum,
    Stacks,
    Step,
    Threshold,
    TreeMap,
)
from tncompile.inspection.charts.numbers import Axis
from tncompile.inspection.charts.show import chart_svg, plot_of
from tncompile.inspection.charts.svg import plot_svg

HOSTILE = "</title><script>alert(1)</script>]]>\"'&\x00\x1b\ud800\ufffe\u202e\n e"
EDGES = (0, 1, -1, 1e300, -1e300, 1e-300, 5e-324, sys.float_info.max, -sys.float_info.max, 0.1)

texts = st.text(max_size=30) | st.sampled_from(["", " ", HOSTILE, "W" * 300, "語" * 40])
numbers = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0.001, 1000)
    | st.integers(-(10**6), 10**12)
    | st.sampled_from(EDGES)
)
amounts = st.floats(0, 1e300) | st.floats(0.001, 1000) | st.sampled_from((0, 1, 5e-324, 1e300))
axes = st.builds(Axis, texts, st.booleans(), unit=texts, binary=st.booleans())
lengths = st.builds(Axis, texts, unit=texts, binary=st.booleans())
thresholds = st.lists(st.builds(Threshold, numbers, texts), max_size=6)
series = st.builds(Series, texts, st.lists(st.tuples(numbers, st.none() | numbers), max_size=8))


@st.composite
def lines(draw: st.DrawFn) -> Lines:
    x, y = draw(axes), draw(axes)
    level = st.builds(Level, amounts.filter(bool), texts, st.sampled_from((0, 0.05, 0.9)))
    return Lines(
        draw(texts),
        draw(st.lists(series, max_size=8)),
        x,
        y,
        draw(st.none() | level),
        draw(thresholds),
        draw(st.none() | st.builds(Highlight, numbers, numbers, texts)),
    )


@st.composite
def stacks(draw: st.DrawFn) -> Stacks:
    layers = draw(st.lists(texts, max_size=7))
    count = draw(st.integers(0, 8) | st.just(150))
    few = draw(st.lists(st.lists(amounts, min_size=len(layers), max_size=len(layers)),
                        min_size=1, max_size=6))  # fmt: skip
    name = draw(texts)
    steps = [Step(f"{name}{k}", few[k % len(few)]) for k in range(count)]
    divider = draw(st.none() | st.integers(1, count - 1)) if count > 1 else None
    return Stacks(draw(texts), layers, steps, draw(lengths), divider, draw(st.tuples(texts, texts)))


dots = st.lists(st.builds(Dot, texts, numbers, numbers, amounts), max_size=25)


@st.composite
def scatters(draw: st.DrawFn) -> Scatter:
    found = draw(dots)
    chosen = draw(st.none() | st.integers(0, len(found) - 1)) if found else None
    return Scatter(draw(texts), found, draw(axes), draw(axes), draw(lengths), chosen)


parts = st.recursive(
    st.builds(Part, texts, amounts, kind=texts),
    lambda inner: st.builds(Part, texts, amounts, st.lists(inner, max_size=6), texts),
    max_leaves=25,
)
trees = st.builds(
    TreeMap,
    texts,
    st.lists(parts, max_size=8),
    lengths,
    st.sampled_from(("part", "kind")),
    st.integers(1, 3),
)
bars = st.builds(Bars, texts, st.lists(st.tuples(texts, amounts), max_size=60), lengths)


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    values = draw(st.lists(amounts, max_size=30))
    rank = draw(st.none() | st.integers(0, len(values)))
    fresh = draw(st.lists(amounts, max_size=30))
    return Spectrum(draw(texts), values, fresh, rank, draw(st.tuples(texts, texts)))


KINDS = {"lines": lines(), "stacks": stacks(), "scatter": scatters(), "tree": trees,
         "bars": bars, "spectrum": spectra()}  # fmt: skip
widths = st.sampled_from((240, 390, 600))


def check(chart: Chart, width: int) -> None:
    plot = plot_of(chart, width)
    assert faults(plot) == []
    svg = plot_svg(plot)
    assert svg == chart_svg(chart, width=width)
    root = ElementTree.fromstring(svg.encode())
    assert not [each for each in root.iter() if each.tag.endswith("script")]
    assert not {"nan", "inf"} & {n for e in root.iter() for n in e.get("d", "").split(",")}


@pytest.mark.parametrize("kind", KINDS)
def test_any_chart_is_whole(kind: str) -> None:
    @settings(max_examples=30)
    @given(KINDS[kind], widths)
    def holds(chart: Chart, width: int) -> None:
        check(chart, width)

    holds()


@pytest.mark.parametrize("width", [240, 390, 600, 1000])
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_are_whole(name: str, width: int) -> None:
    check(SAMPLES[name], width)


@given(numbers, st.booleans())
@settings(max_examples=30)
@example(0, True)
@example(-3.0, True)
def test_one_point_is_shown_unless_it_is_on_no_axis(value: float, log: bool) -> None:
    plot = plot_of(Lines("one", [Series("s", [(value, value)])], Axis(log=log), Axis(log=log)))
    assert ("nothing to show" in plot_svg(plot)) == (log and value <= 0)


def test_the_measure_sees_labels_on_each_other_and_outside() -> None:
    plot = plot_of(SAMPLES["lines"])
    plot.marks.append(next(iter(plot.texts())))
    assert any(" is on " in each for each in faults(plot))
    plot = plot_of(SAMPLES["lines"])
    plot.width = 300
    assert any("outside" in each for each in faults(plot))
