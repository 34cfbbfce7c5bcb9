"""A scene: what stands where, in px with y down, before it is written as SVG.

Checks of drawings read scenes, without a browser: boxes, lines as points, places of texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import hypot
from typing import Literal

from tncompile.inspection.drawing.text import Line, width_of

Point = tuple[float, float]

ALIKE = 6
"""Two legs that share more places of 3 px than these lie on each other."""


@dataclass(frozen=True)
class Box:
    """A rectangle by its center."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2

    def overlaps(self, other: Box, least: float = 0.0) -> bool:
        """Whether two boxes have more in common than `least` px along both axes."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across > least and down > least

    def holds(self, point: Point, inside: float = 0.0) -> bool:
        """Whether a point is in the box, so far from its edges."""
        x, y = point
        return (
            self.left + inside < x < self.right - inside
            and self.top + inside < y < self.bottom - inside
        )


def around(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds some."""
    left, right = min(b.left for b in boxes), max(b.right for b in boxes)
    top, bottom = min(b.top for b in boxes), max(b.bottom for b in boxes)
    return Box((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)


Shape = Literal[
    "tensor", "window", "more", "subtree", "plus",
    "model", "layer", "function", "stored", "frame",
    "input", "rung", "bar",
]  # fmt: skip

Mark = Literal["", "changed", "first", "second"]
"""What two pictures beside each other outline: what differs in both, what one of them has alone."""


@dataclass(frozen=True)
class Figure:
    """A node: its shape, its label, how it is filled; `members` are the nodes folded into it."""

    key: str
    shape: Shape
    box: Box
    label: Line
    title: str
    shade: int | None = None
    frozen: bool = False
    note: Line = ()  # a second line
    inner: Scene | None = None  # what a frame holds
    link: str = ""  # a place of the page that it leads to
    members: tuple[str, ...] = ()
    mark: Mark = ""


@dataclass(frozen=True)
class CellBox:
    """A cell of a strip; `legs` are where legs meet it, `bar` whether a thick line joins them."""

    box: Box
    text: Line
    legs: tuple[float, ...] = ()
    bar: bool = False
    dotted: bool = False
    padded: float = 0.0
    square: bool = False  # legs are drawn as stubs that end in squares


@dataclass(frozen=True)
class StripBox:
    """An input or the output."""

    key: str
    role: Literal["input", "output"]
    box: Box
    cells: tuple[CellBox, ...]
    name: Line
    title: str
    mark: Mark = ""


Segment = tuple[Point, ...]
"""A straight line to one point, or a cubic curve: two controls and its end."""


@dataclass(frozen=True)
class Wire:
    """A line: where it starts, its segments, whose leg it is, what it joins."""

    start: Point
    segments: tuple[Segment, ...]
    width: float
    kind: Literal["leg", "one", "batch", "cut", "plain"]
    leg: str = ""
    joins: tuple[str, ...] = ()
    title: str = ""
    mark: Mark = ""

    def points(self, step: float = 4.0) -> list[Point]:
        """Points along it, at most so far from each other."""
        found, at = [self.start], self.start
        for segment in self.segments:
            corners = (at, *segment)
            long = sum(hypot(c - a, d - b) for (a, b), (c, d) in pairwise(corners))
            count = max(1, round(long / step + 0.5))
            (a, b), (c, d) = at, segment[-1]
            if len(segment) == 1:
                found += [
                    (a + (c - a) * k / count, b + (d - b) * k / count) for k in range(1, count + 1)
                ]
            else:
                (e, f), (g, h), _ = segment
                for k in range(1, count + 1):
                    t = k / count
                    s = 1 - t
                    p, q, r, u = s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t
                    found.append((p * a + q * e + r * g + u * c, p * b + q * f + r * h + u * d))
            at = segment[-1]
        return found


@dataclass(frozen=True)
class Disk:
    """A filled dot: an index with other than two ends, or where batch lines meet.

    Squares in the color of an input or the output stand for a cell of its strip.
    """

    x: float
    y: float
    radius: float
    kind: Literal["dot", "batch", "input", "output"]
    leg: str = ""
    title: str = ""


@dataclass(frozen=True)
class Label:
    """A line of text by its anchor; `plate` where it stands on its own line."""

    x: float
    y: float  # of the baseline
    line: Line
    anchor: Literal["start", "middle", "end"] = "start"
    leg: str = ""
    plate: bool = False
    turned: bool = False  # read from below

    @property
    def box(self) -> Box:
        """What its ink covers, about."""
        width, size = width_of(self.line), max(span.size for span in self.line)
        if self.turned:
            return Box(self.x - 0.36 * size, self.y, 0.72 * size, width)
        shift = {"start": 0.5, "middle": 0.0, "end": -0.5}[self.anchor]
        lowered = max(span.lowered for span in self.line)
        top, bottom = self.y - 0.74 * size, self.y + 0.06 * size + lowered * 0.6
        return Box(self.x + shift * width, (top + bottom) / 2, width, bottom - top)


@dataclass
class Scene:
    """A whole drawing."""

    title: str
    description: str
    figures: list[Figure] = field(default_factory=list)
    strips: list[StripBox] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)  # a sign and what it says

    def marks(self) -> list[Mark]:
        """One for each thing that is outlined, in what frames hold, too."""
        found = [figure.mark for figure in self.figures]
        found += [strip.mark for strip in self.strips]
        found += [wire.mark for wire in self.wires]
        inner = (figure.inner for figure in self.figures if figure.inner is not None)
        found += [mark for scene in inner for mark in scene.marks()]
        return [mark for mark in found if mark]

    def boxes(self) -> Iterator[tuple[str, Box]]:
        """All that no line and no label may cross, but those that end there."""
        for figure in self.figures:
            yield figure.key, figure.box
        for strip in self.strips:
            yield strip.key, strip.box

    def smallest_type(self) -> float:
        """The size of the smallest type, in px."""
        lines = [label.line for label in self.labels]
        lines += [figure.label for figure in self.figures]
        lines += [cell.text for strip in self.strips for cell in strip.cells]
        return min((span.size for line in lines for span in line), default=12.0)

    def is_crowded(self) -> bool:
        """Whether two legs lie on each other for a while, so that one seems to be missing."""
        places: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        legs = [wire for wire in self.wires if wire.leg]
        for number, wire in enumerate(legs):
            for x, y in wire.points(2.0):
                places[int(x // 3), int(y // 3)].add(number)
        shared: Counter[tuple[int, int]] = Counter()
        for numbers in places.values():
            if len(numbers) > 1:
                shared.update((a, b) for a in numbers for b in numbers if a < b)
        return any(count > ALIKE and legs[a].leg != legs[b].leg for (a, b), count in shared.items())

    def extent(self) -> Box:
        """What holds everything."""
        boxes = [box for _, box in self.boxes()]
        boxes += [label.box for label in self.labels]
        boxes += [Box(d.x, d.y, 2 * d.radius, 2 * d.radius) for d in self.disks]
        for wire in self.wires:
            boxes += [Box(x, y, wire.width, wire.width) for x, y in wire.points(12)]
        return around(boxes) if boxes else Box(0, 0, 10, 10)


@dataclass(frozen=True)
class Page:
    """What a page of HTML shows: a scene with links, and a place, a title, a scene for each."""

    linked: Scene
    inner: tuple[tuple[str, str, Scene], ...] = ()
