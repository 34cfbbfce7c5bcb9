"""Where the labels of legs stand: beside their lines, clear of everything else."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tncompile.inspection.drawing.layout.subject import Subject
from tncompile.inspection.drawing.scene import Box, Label, Point, Scene, Wire
from tncompile.inspection.drawing.signs import LABEL
from tncompile.inspection.drawing.text import Line

CELL = 40
STEP = 6.0
AT = (0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73, 0.2, 0.8, 0.14, 0.86)
"""Where along its line a label is tried, in parts of its length."""

ASCENT = 0.74 * LABEL
FLAT = 0.35
"""Lines that rise by less than this carry their labels above or below."""


@dataclass(frozen=True)
class Wanted:
    """The label of a leg, and the lines that it may stand at."""

    leg: str
    line: Line
    wires: tuple[Wire, ...]
    dot: tuple[float, float, float] | None = None  # x, y, radius
    short: Line = ()  # where there is no room for all; the size alone by default


class Occupancy:
    """What stands where, in a grid of cells, so that only what is near is looked at."""

    def __init__(self) -> None:
        self.cells: defaultdict[tuple[int, int], list[tuple[Box, bool]]] = defaultdict(list)

    def add(self, box: Box, *, solid: bool = True) -> None:
        """Enter a box."""
        for cell in self._near(box):
            self.cells[cell].append((box, solid))

    def add_scene(self, scene: Scene) -> None:
        """Enter nodes, strips, dots, labels and lines."""
        for _, box in scene.boxes():
            self.add(box)
        for label in scene.labels:
            self.add(label.box)
        for disk in scene.disks:
            self.add(Box(disk.x, disk.y, 2 * disk.radius, 2 * disk.radius))
        for wire in scene.wires:
            side = max(2.0, wire.width)
            for x, y in wire.points(STEP):
                self.add(Box(x, y, side, side), solid=False)
            if wire.kind == "cut":
                x, y = wire.segments[-1][-1]
                self.add(Box(x, y, 14, 10))  # its head

    def hits(self, box: Box) -> tuple[int, int]:
        """How many nodes and texts a box stands on, and how many points of lines."""
        seen: set[int] = set()
        solid = crossed = 0
        for cell in self._near(box):
            for other, is_solid in self.cells.get(cell, ()):
                if id(other) not in seen and box.overlaps(other):
                    seen.add(id(other))
                    solid, crossed = solid + is_solid, crossed + (not is_solid)
        return solid, crossed

    @staticmethod
    def _near(box: Box) -> Iterator[tuple[int, int]]:
        for column in range(int(box.left // CELL), int(box.right // CELL) + 1):
            for row in range(int(box.top // CELL), int(box.bottom // CELL) + 1):
                yield column, row


def place_labels(scene: Scene, subject: Subject, *, named: bool) -> None:
    """Add a label for each leg; bonds along rows first, then the shortest lines."""
    taken = Occupancy()
    taken.add_scene(scene)

    def urgency(each: Wanted) -> tuple[bool, float]:
        flat = any(_is_level(wire) for wire in each.wires)
        return not flat, min((_length(wire) for wire in each.wires), default=0.0)

    for each in sorted(_wanted(scene, subject, named), key=urgency):
        label = _placed(each, taken)
        if label is not None:
            scene.labels.append(label)
            taken.add(label.box)


def _wanted(scene: Scene, subject: Subject, named: bool) -> Iterator[Wanted]:
    """The labels of all legs; one that goes round has its own at both ends."""
    wires: defaultdict[str, list[Wire]] = defaultdict(list)
    for wire in scene.wires:
        if wire.leg:
            wires[wire.leg].append(wire)
    dots = {disk.leg: (disk.x, disk.y, disk.radius) for disk in scene.disks if disk.leg}
    for leg in subject.legs.values():
        line, own = leg.labeled(named=named), wires[leg.name]
        if not line:
            continue
        if any(wire.kind == "cut" for wire in own):
            for wire in own:  # which one goes on elsewhere is told by its name alone
                yield Wanted(leg.name, leg.label or line, (wire,), short=leg.label[:-1])
        else:
            yield Wanted(leg.name, line, tuple(own), dots.get(leg.name))


def _placed(each: Wanted, taken: Occupancy) -> Label | None:
    """The whole label in a free place, else its size alone; nothing where there is no room."""
    for line in (each.line, each.short or each.line[-1:]):
        wanted = replace(each, line=line)
        best: tuple[int, Label] | None = None
        for label in _candidates(wanted):
            solid, crossed = taken.hits(label.box)
            if not solid and not crossed:
                return label
            if not solid and (best is None or crossed < best[0]):
                best = crossed, label
        for label in _on_the_line(wanted):
            solid, crossed = taken.hits(label.box)
            if not solid and (best is None or crossed < 4 * best[0]):
                best = crossed // 4, label
        if best is not None:
            return best[1]
    return None


def _candidates(each: Wanted) -> Iterator[Label]:
    if each.dot is not None:
        yield from _round(each, *each.dot)
    wires = sorted(each.wires, key=lambda wire: (not _is_level(wire), -_length(wire)))
    for wire in wires:
        points = _dense(wire)
        for part in AT:
            point, slope = _at(points, part)
            yield from _beside(each, wire.width, point, slope)


def _beside(each: Wanted, width: float, point: Point, slope: Point) -> Iterator[Label]:
    (x, y), (dx, dy) = point, slope
    if abs(dy) < FLAT * abs(dx):
        for base in (y - width / 2 - 5, y + width / 2 + 4 + ASCENT):
            yield Label(x, base, each.line, "middle", each.leg)
        return
    aside = width / 2 + 4 + min(20.0, 6.5 * abs(dx / dy))
    yield Label(x + aside, y + ASCENT / 2, each.line, "start", each.leg)
    yield Label(x - aside, y + ASCENT / 2, each.line, "end", each.leg)


def _round(each: Wanted, x: float, y: float, radius: float) -> Iterator[Label]:
    """Twelve places round a dot."""
    middle = y + ASCENT / 2
    right, left = x + radius + 4, x - radius - 4
    up, down = y - radius - 4, y + radius + 3 + ASCENT
    for shift in (0.0, -7.0, 7.0):
        yield Label(right, middle + shift, each.line, "start", each.leg)
        yield Label(left, middle + shift, each.line, "end", each.leg)
    for base in (up, down):
        yield Label(x, base, each.line, "middle", each.leg)
        yield Label(x + radius, base, each.line, "start", each.leg)
        yield Label(x - radius, base, each.line, "end", each.leg)


def _on_the_line(each: Wanted) -> Iterator[Label]:
    """On the line itself, on a plate of the ground."""
    for wire in each.wires:
        points = _dense(wire)
        for part in AT:
            (x, y), _ = _at(points, part)
            yield Label(x, y + ASCENT / 2, each.line, "middle", each.leg, plate=True)


def _dense(wire: Wire) -> list[Point]:
    return wire.points(3.0)


def _at(points: Sequence[Point], part: float) -> tuple[Point, Point]:
    """A point along a line, and which way it goes there."""
    place = min(len(points) - 1, max(1, round(part * (len(points) - 1))))
    before, after = points[place - 1], points[min(len(points) - 1, place + 1)]
    return points[place], (after[0] - before[0], (after[1] - before[1]) or 1e-9)


def _length(wire: Wire) -> float:
    points = wire.points(12.0)
    return sum(abs(b[0] - a[0]) + abs(b[1] - a[1]) for a, b in itertools.pairwise(points))


def _is_level(wire: Wire) -> bool:
    """Whether it is a straight line along a row."""
    return len(wire.segments) == 1 and abs(wire.segments[0][-1][1] - wire.start[1]) < 0.5
