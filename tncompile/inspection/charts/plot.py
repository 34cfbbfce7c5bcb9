"""A plot: what of a chart stands where, in px with y down, before it is written as SVG.

Checks of charts read plots, without a browser: boxes, lines as points, places of texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tncompile.inspection.drawing.markup import NO_XML
from tncompile.inspection.drawing.scene import Box, Label, Point, around
from tncompile.inspection.drawing.text import Span

SIZE = 12.0
"""The size of type in px: 7.8 px where a chart of 600 px is shrunk to a phone of 390 px."""

LINE = 15.0
"""From one line of text to the next."""

Shape = Literal["circle", "square", "up", "diamond", "down", "cross"]
SHAPES: tuple[Shape, ...] = ("circle", "square", "up", "diamond", "down", "cross")


@dataclass(frozen=True)
class Stroke:
    """A line of several pieces, or an area where it is closed; `name` are its classes."""

    pieces: tuple[tuple[Point, ...], ...]
    name: str
    dash: str = ""
    closed: bool = False


@dataclass(frozen=True)
class Block:
    """A rectangle."""

    box: Box
    name: str
    radius: float = 0.0
    title: str = ""


@dataclass(frozen=True)
class Symbol:
    """A marker about a point."""

    x: float
    y: float
    shape: Shape
    name: str
    radius: float = 4.0
    title: str = ""

    @property
    def box(self) -> Box:
        return Box(self.x, self.y, 2 * self.radius, 2 * self.radius)


@dataclass(frozen=True)
class Words:
    """A line of text in the classes `name`."""

    label: Label
    name: str = ""


@dataclass(frozen=True)
class Group:
    """Marks that belong together: a tooltip, names and values for scripts, how far it is moved."""

    marks: tuple[Mark, ...]
    title: str = ""
    data: tuple[tuple[str, str], ...] = ()
    name: str = ""
    shift: float = 0.0  # to the right


Mark = Stroke | Block | Symbol | Words | Group


@dataclass
class Plot:
    """A whole chart, from (0, 0) to its width and height; what comes later lies above."""

    title: str
    description: str
    width: float
    height: float
    marks: list[Mark] = field(default_factory=list)

    def texts(self) -> Iterator[Words]:
        """All texts, where they stand."""
        return (mark for mark, _ in placed(self.marks) if isinstance(mark, Words))

    def boxes(self) -> Iterator[Box]:
        """What every mark covers."""
        for mark, shift in placed(self.marks):
            match mark:
                case Block() | Symbol():
                    yield replace(mark.box, x=mark.box.x + shift)
                case Words():
                    yield mark.label.box
                case Stroke():
                    for piece in mark.pieces:
                        yield around([Box(x + shift, y, 0, 0) for x, y in piece])


def placed(marks: Sequence[Mark], shift: float = 0.0) -> Iterator[tuple[Mark, float]]:
    """Marks that are no groups, with how far their groups are moved; texts have moved already."""
    for mark in marks:
        if isinstance(mark, Group):
            yield from placed(mark.marks, shift + mark.shift)
        elif isinstance(mark, Words):
            yield replace(mark, label=replace(mark.label, x=mark.label.x + shift)), shift
        else:
            yield mark, shift


def text(
    x: float,
    y: float,
    written: str,
    anchor: Literal["start", "middle", "end"] = "start",
    name: str = "",
    *,
    bold: bool = False,
) -> Words:
    """A line of text by its anchor and baseline.

    >>> round(text(10, 20, "batch").label.box.left, 6)
    10.0
    """
    return Words(Label(x, y, (Span(written, SIZE, "bold" if bold else "plain"),), anchor), name)


def width(written: str, *, bold: bool = False) -> float:
    """How wide a line of text is, in px; bold letters are wider."""
    return Span(written, SIZE, "bold" if bold else "plain").width


def one_line(written: str) -> str:
    """A text without breaks and without what XML cannot hold.

    >>> one_line("a\\n  b\\x00")
    'a b�'
    """
    return NO_XML.sub("\ufffd", " ".join(written.split()))


def fitted(written: str, room: float, *, bold: bool = False) -> str:
    """A text on one line that is at most so many px wide, "…" in place of what is cut.

    >>> fitted("predicted time", 60)
    'predict…'
    """
    whole = one_line(written)
    if width(whole, bold=bold) <= room:
        return whole
    low, high = 0, min(len(whole), 500)
    while low < high:
        middle = (low + high + 1) // 2
        if width(whole[:middle].rstrip() + "…", bold=bold) <= room:
            low = middle
        else:
            high = middle - 1
    return whole[:low].rstrip() + "…" if low else ""


def nothing(title: str, description: str, width: float) -> Plot:
    """A chart without data."""
    marks: list[Mark] = [text(width / 2, 36, "nothing to show", "middle", "t")]
    return Plot(title, f"Nothing to show. {description}".strip(), width, 60, marks)
