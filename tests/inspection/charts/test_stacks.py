"""Stacks: sums, the peak, many steps, tooltips."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inspection.charts.reading import description, groups, root_of, title, written
from tests.inspection.charts.samples import LONG, MEMORY, STACKS
from tncompile.inspection.charts.chart import Stacks, Step
from tncompile.inspection.charts.plot import Block, Group
from tncompile.inspection.charts.show import plot_of
from tncompile.inspection.charts.stacks import bars_of


def test_titles_have_the_step_and_the_bytes_of_each_layer() -> None:
    found = groups(root_of(STACKS), "step")
    assert list(found) == ["0", "1", "2"]
    for key, group in found.items():
        step = STACKS.steps[int(key)]
        assert title(group).startswith(f"{step.name}: input ")
        for layer, value in zip(STACKS.layers, step.amounts, strict=True):
            assert f"{layer} {MEMORY.said(value)}" in title(group)
        assert f"together {MEMORY.said(step.total)}" in title(group)


def test_layers_are_as_high_as_amounts_and_stand_on_each_other() -> None:
    marks = [m for m in plot_of(STACKS).marks if isinstance(m, Group) and m.name == "step"]
    scales = set[float]()
    for group, step in zip(marks, STACKS.steps, strict=True):
        blocks = [mark.box for mark in group.marks if isinstance(mark, Block)]
        amounts = [value for value in step.amounts if value]
        scales |= {round(b.height / a, 9) for b, a in zip(blocks, amounts, strict=True)}
        for low, high in pairwise(blocks):
            assert high.bottom == pytest.approx(low.top)
    assert len(scales) == 1


def test_the_peak_is_named() -> None:
    assert STACKS.peak == 1
    assert f"peak {MEMORY.short(STACKS.steps[1].total)} at t2" in written(root_of(STACKS))
    assert {"forward", "backward", *STACKS.layers} <= set(written(root_of(STACKS)))


@pytest.mark.parametrize("width", [390, 600])
def test_of_many_steps_the_peak_never_vanishes(width: int) -> None:
    root = root_of(LONG, width)
    found = groups(root, "step")
    assert "1003" in found
    assert len(found) <= 125
    assert "t1003: " in title(found["1003"]) or "t1003: weights" in title(found["1003"])
    assert any(each.startswith("peak 9.77 KiB at t1003") for each in written(root))
    assert "the highest of the steps" in description(root)


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=500), st.integers(20, 600))
@settings(max_examples=50)
def test_every_step_is_in_one_bar_as_high_as_the_highest(totals: list[float], room: int) -> None:
    bars = bars_of(totals, 0, room)
    assert [k for bar in bars for k in range(bar.first, bar.last + 1)] == list(range(len(totals)))
    for bar in bars:
        assert totals[bar.shown] == max(totals[bar.first : bar.last + 1])
    assert all(a.right <= b.left + 1e-9 for a, b in pairwise(bars))
    assert bars[0].left >= -1e-9
    assert bars[-1].right <= room + 1e-9


def test_what_is_no_stack() -> None:
    with pytest.raises(ValueError, match="below zero"):
        Step("t1", (1, -1))
    with pytest.raises(ValueError, match="3 amounts for 2 layers"):
        Stacks("t", ("a", "b"), [Step("t1", (1, 2, 3))])
    with pytest.raises(ValueError, match="too large"):
        Step("t1", (1.7e308, 1.7e308))
    with pytest.raises(ValueError, match="divider"):
        Stacks("t", ("a",), [Step("t1", (1,))], divider=1)
    assert "nothing to show" in written(root_of(Stacks("t", ("a",), [Step("t1", (0,))])))
