"""What is wrong with a chart, read off its plot without a browser."""

from __future__ import annotations

from collections.abc import Iterator

from tncompile.inspection.charts.plot import Plot
from tncompile.inspection.drawing.scene import Box

SMALLEST, PAGE = 7.5, 600.0
"""The least size of type, in px, on a page so wide."""

TOUCH = 1.0
"""Texts may have this much in common, and stick out so far: rounding, and edges of lines."""


def faults(plot: Plot) -> list[str]:
    """Every fault in words; a good chart has none."""
    return [*_inside(plot), *_texts(plot)]


def _inside(plot: Plot) -> Iterator[str]:
    for box in plot.boxes():
        if not is_within(box, plot):
            yield f"outside of {plot.width:g} × {plot.height:g}: {box}"


def is_within(box: Box, plot: Plot) -> bool:
    """Whether a box is in the picture; NaN is not."""
    return (
        box.left >= -TOUCH
        and box.top >= -TOUCH
        and box.right <= plot.width + TOUCH
        and box.bottom <= plot.height + TOUCH
    )


def _texts(plot: Plot) -> Iterator[str]:
    texts = [(words.label.line[0].text, words.label) for words in plot.texts()]
    for place, (text, label) in enumerate(texts):
        size = min(span.size for span in label.line)
        if size * min(1.0, PAGE / plot.width) < SMALLEST and plot.width <= PAGE:
            yield f"{text!r} is {size:g} px"
        for other, near in texts[place + 1 :]:
            if label.box.overlaps(near.box, TOUCH):
                yield f"{text!r} is on {other!r}"
