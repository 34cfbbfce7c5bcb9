"""A network whose nodes stand at given places: grids, and graphs without rows.

Legs to strips are stubs that end in a square; the strips, above and below, show the same square.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from math import atan2, cos, hypot, pi, radians, sin

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.frame import add_frame, note_folds, strip_box
from tncompile.inspection.drawing.layout.items import node_width
from tncompile.inspection.drawing.layout.labels import place_labels
from tncompile.inspection.drawing.layout.subject import Leg, Strip, Subject
from tncompile.inspection.drawing.scene import (
    Box,
    Disk,
    Figure,
    Point,
    Scene,
    Segment,
    Wire,
    around,
)
from tncompile.inspection.drawing.signs import Density
from tncompile.inspection.drawing.text import width_of

ACROSS, DOWN = 118.0, 104.0
"""From one site of a grid to the next."""

STUB = 46.0
SQUARE = 12.0
TOWARDS = {"input": radians(126), "output": radians(-54)}
"""The way of a stub, clockwise from the right: inputs to the lower left, outputs up right."""

WAYS = 24
STRIP_AWAY = 92.0
"""From the outermost nodes to a strip."""

BENDS = (0.0, *(way * bend for bend in (26.0, 52.0, 78.0, 104.0, 130.0) for way in (1, -1)))
"""How far a line is bent, until it meets no node."""

NEAR = 4.0
CROSSING = 4
"""Lines that share more than four places of 4 px lie on each other, others cross."""

FAR = 1.5
"""Steps of a grid, in rows or columns, up to which a line is drawn whole."""


def placed(
    subject: Subject,
    at: Mapping[str, Point],
    scene: Scene,
    density: Density,
    *,
    reach: float | None = None,
) -> Scene:
    """The scene of nodes at their places; legs beyond a `reach`, in steps of a grid, are cut."""
    return _Placing(subject, at, scene, reach, density).scene_of()


class _Placing:
    def __init__(
        self,
        subject: Subject,
        at: Mapping[str, Point],
        scene: Scene,
        reach: float | None,
        density: Density,
    ) -> None:
        self.subject, self.at, self.scene = subject, at, scene
        self.reach, self.density = reach, density
        self.box = {key: self._box(key) for key in subject.nodes}
        self.ways: defaultdict[str, list[float]] = defaultdict(list)
        self.drawn: set[tuple[int, int]] = set()  # where lines run

    def _box(self, key: str) -> Box:
        x, y = self.at[key]
        node = self.subject.nodes[key]
        height = signs.MORE_HEIGHT if node.sign == "more" else signs.NODE_HEIGHT
        return Box(x, y, node_width(self.subject, key, self.density), height)

    def scene_of(self) -> Scene:
        """Nodes, lines between them, then stubs where there is room, strips, labels."""
        subject, scene = self.subject, self.scene
        for key, node in subject.nodes.items():
            label = node.label if self.density.names else node.small
            scene.figures.append(
                Figure(
                    key,
                    node.sign,
                    self.box[key],
                    label,
                    node.title,
                    node.shade,
                    node.frozen,
                    members=node.members,
                )
            )
        dotted: list[tuple[Leg, list[str]]] = []
        twins: defaultdict[frozenset[str], list[Leg]] = defaultdict(list)
        for leg in subject.legs.values():
            keys = [end.key for end in leg.ends if end.key in self.box]
            if leg.is_line and len(keys) == 2:
                twins[frozenset(keys)].append(leg)
            elif not leg.is_line:
                self._dot(leg, keys)
                dotted.append((leg, keys))
        for leg, keys in dotted:
            self._to_dot(leg, keys)
        for legs in twins.values():
            for number, leg in enumerate(legs):
                self._bond(leg, 18.0 * (number - (len(legs) - 1) / 2))
        for leg in subject.legs.values():
            self._stubs(leg)
        self._strips()
        self._past_all()
        add_frame(subject, scene)
        note_folds(subject, scene)
        place_labels(scene, subject, named=self.density.names)
        return scene

    # ── lines ─────────────────────────────────────────────────────────────────────────────────────

    def _bond(self, leg: Leg, bend: float) -> None:
        keys = tuple(sorted(end.key for end in leg.ends))
        one, other = (self.box[key] for key in keys)
        steps = max(abs(other.x - one.x) / ACROSS, abs(other.y - one.y) / DOWN)
        self._note_way(keys[0], one, (other.x, other.y))
        self._note_way(keys[1], other, (one.x, one.y))
        if self.reach is not None and steps > self.reach:
            for key, box, near in ((keys[0], one, other), (keys[1], other, one)):
                self._cut(leg, key, box, near)
            return
        kind = "one" if leg.size == 1 else "leg"

        def wire(more: float) -> Wire:
            start, segment = bent(one, other, bend + more)
            return Wire(start, (segment,), leg.width, kind, leg.name, keys, leg.title)  # type: ignore[arg-type]

        self.scene.wires.append(self._freest(wire, keys))

    def _freest(self, wire: Callable[[float], Wire], keys: Sequence[str]) -> Wire:
        """The line with the bend that meets nodes and dots least."""
        best: tuple[int, Wire] | None = None
        for more in BENDS:
            tried = wire(more)
            hits = self._hits(tried, keys)
            if best is None or hits < best[0]:
                best = hits, tried
            if not hits:
                break
        assert best is not None
        self.drawn.update(_cells(best[1]))
        return best[1]

    def _cut(self, leg: Leg, key: str, box: Box, near: Box) -> None:
        """A stub that leaves the grid, away from where the leg ends."""
        dx, dy = box.x - near.x, box.y - near.y
        if abs(dx) >= abs(dy):
            start = (box.right if dx > 0 else box.left, box.y)
            end = (start[0] + (22 if dx > 0 else -22), box.y)
        else:
            start = (box.x, box.bottom if dy > 0 else box.top)
            end = (box.x, start[1] + (22 if dy > 0 else -22))
        wire = Wire(start, ((end,),), leg.width, "cut", leg.name, (key,), leg.title)
        self.scene.wires.append(wire)
        self.ways[key].append(atan2(end[1] - start[1], end[0] - start[0]))

    def _hits(self, wire: Wire, keys: Sequence[str]) -> int:
        points = wire.points(6.0)
        boxes = [box for key, box in self.box.items() if key not in keys]
        boxes += [Box(d.x, d.y, 12, 12) for d in self.scene.disks if d.leg != wire.leg]
        along = len(self.drawn.intersection(_cells(wire)))
        return 8 * sum(box.holds(point, -3.0) for box in boxes for point in points) + max(
            0, along - CROSSING
        )

    def _dot(self, leg: Leg, keys: Sequence[str]) -> None:
        """A dot amid its nodes, and a line to each of them."""
        boxes = [self.box[key] for key in keys]
        radius = signs.dot_radius(leg.width)
        x = sum(box.x for box in boxes) / max(1, len(boxes))
        y = sum(box.y for box in boxes) / max(1, len(boxes))
        x, y = self.at.get(f"dot {leg.name}", (x, y))
        taken = [*self.box.values(), *(Box(d.x, d.y, 20, 20) for d in self.scene.disks)]
        x, y = next(
            (x + dx, y + dy)
            for far in range(0, 400, 9)
            for dx, dy in _ring(far)
            if not any(box.holds((x + dx, y + dy), -radius - 6) for box in taken)
        )
        self.scene.disks.append(Disk(x, y, radius, "dot", leg.name, leg.title))

    def _to_dot(self, leg: Leg, keys: Sequence[str]) -> None:
        """A line from each node to the dot of an index."""
        disk = next(disk for disk in self.scene.disks if disk.leg == leg.name)
        dot = Box(disk.x, disk.y, 0, 0)
        for key in keys:
            box = self.box[key]
            self._note_way(key, box, (dot.x, dot.y))
            joins = (f"dot {leg.name}", key)

            def wire(more: float, box: Box = box, joins: tuple[str, ...] = joins) -> Wire:
                start, segment = bent(dot, box, more)
                return Wire(start, (segment,), leg.width, "leg", leg.name, joins, leg.title)

            self.scene.wires.append(self._freest(wire, (key,)))

    def _note_way(self, key: str, box: Box, towards: Point) -> None:
        self.ways[key].append(atan2(towards[1] - box.y, towards[0] - box.x))

    def _stubs(self, leg: Leg) -> None:
        """A stub for each end at a strip, from each node or the dot of the leg."""
        roles = dict.fromkeys(end.key for end in leg.ends if end.cell is not None)
        if all(end.cell is not None for end in leg.ends) and leg.is_line:
            return
        strips = {strip.key: strip for strip in self.subject.strips}
        dot = next((d for d in self.scene.disks if d.leg == leg.name), None)
        keys = [end.key for end in leg.ends if end.key in self.box]
        for strip_key in roles:
            role = strips[strip_key].role
            start = f"dot {leg.name}" if dot is not None else keys[0]
            box = Box(dot.x, dot.y, 0, 0) if dot is not None else self.box[start]
            way = self._free_way(start, box, TOWARDS[role])
            self.ways[start].append(way)
            end = (box.x + STUB * cos(way), box.y + STUB * sin(way))
            begin = edge(box, end)
            joins = (start, strip_key)
            self.scene.wires.append(
                Wire(begin, ((end,),), leg.width, "leg", leg.name, joins, leg.title)
            )
            kind = "input" if role == "input" else "output"
            self.scene.disks.append(Disk(end[0], end[1], SQUARE / 2, kind))  # type: ignore[arg-type]

    def _free_way(self, key: str, box: Box, wish: float) -> float:
        """The wish where no line leaves near it and no node stands there, else the freest way."""

        def room(way: float) -> float:
            taken = self.ways[key]
            apart = min((abs((way - each + pi) % (2 * pi) - pi) for each in taken), default=pi)
            x, y = box.x + STUB * cos(way), box.y + STUB * sin(way)
            near = min(
                (max(abs(other.x - x) - other.width / 2, abs(other.y - y) - other.height / 2)
                 for name, other in self.box.items() if name != key),
                default=100.0,
            )  # fmt: skip
            squares = min((hypot(d.x - x, d.y - y) - 16 for d in self.scene.disks), default=100.0)
            return min(apart, (min(near, squares) - 8) / 20)

        if room(wish) > 0.5:
            return wish
        turns = [wish + 2 * pi * k / WAYS for k in range(WAYS)]
        return max(turns, key=lambda way: (round(room(way), 3), -abs(way - wish)))

    # ── strips ────────────────────────────────────────────────────────────────────────────────────

    def _strips(self) -> None:
        boxes = [box for _, box in self.scene.boxes()]
        boxes += [Box(d.x, d.y, SQUARE, SQUARE) for d in self.scene.disks]
        extent = around(boxes) if boxes else Box(0, 0, 80, 10)
        low = extent.bottom + STRIP_AWAY - 46
        for strips, y in ((self.subject.inputs, low), ((self.subject.output,), extent.top - 46)):
            made = [self._strip(strip) for strip in strips]
            total = sum(width for _, width in made) + 46 * (len(made) - 1)
            x = extent.x - total / 2
            for strip, (cells, width) in zip(strips, made, strict=True):
                at, slots = x + 5, []
                for cell_width, has_legs in cells:
                    slots.append([(at + cell_width / 2, cell_width, has_legs)])
                    at += cell_width
                self.scene.strips.append(strip_box(strip, slots, y, square=True))
                x += width + 46

    def _past_all(self) -> None:
        """Legs from an input to the output that meet no tensor, round the right side."""
        strips = {strip.key: strip for strip in self.scene.strips}
        for leg in self.subject.legs.values():
            if not leg.is_line or any(end.key in self.box for end in leg.ends):
                continue
            low, high = sorted(leg.ends, key=lambda end: end.key)  # "input …" before "output …"
            right = self.scene.extent().right + 16
            a, b = (strips[e.key].cells[e.cell or 0].box for e in (low, high))
            start, end = (a.x, a.top), (b.x, b.bottom)
            y, z, r = a.top - 14, b.bottom + 14, 9.0
            path: list[Segment] = [
                ((a.x, y + r),),
                ((a.x, y), (a.x, y), (a.x + r, y)),
                ((right - r, y),),
                ((right, y), (right, y), (right, y - r)),
                ((right, z + r),),
                ((right, z), (right, z), (right - r, z)),
                ((b.x + r, z),),
                ((b.x, z), (b.x, z), (b.x, z - r)),
                (end,),
            ]
            keys = (low.key, high.key)
            self.scene.wires.append(
                Wire(start, tuple(path), leg.width, "leg", leg.name, keys, leg.title)
            )

    def _strip(self, strip: Strip) -> tuple[list[tuple[float, bool]], float]:
        """The widths of cells, whether legs meet them, and the whole width."""
        cells = [
            (max(22.0, width_of(cell.text) + 14), bool(cell.legs)) for cell in strip.cells
        ] or [(34.0, False)]
        name = width_of(strip.name)
        total = sum(width for width, _ in cells) + 10
        return cells, max(total, min(name, total + 40))


def _cells(wire: Wire) -> set[tuple[int, int]]:
    """The places of a line."""
    return {(int(x // NEAR), int(y // NEAR)) for x, y in wire.points(NEAR)}


def _ring(far: float) -> list[Point]:
    """Places round a point, at a distance."""
    return [(far * cos(pi * k / 6), far * sin(pi * k / 6)) for k in range(12)]


def edge(box: Box, towards: Point) -> Point:
    """Where the line from the center of a box to a point leaves it."""
    dx, dy = towards[0] - box.x, towards[1] - box.y
    part = max(
        abs(dx) / (box.width / 2) if box.width else 0.0,
        abs(dy) / (box.height / 2) if box.height else 0.0,
    )
    return (box.x, box.y) if part <= 0 else (box.x + dx / part, box.y + dy / part)


def bent(one: Box, other: Box, bend: float) -> tuple[Point, Segment]:
    """A line between two boxes, its middle so far from the straight one."""
    far = hypot(other.x - one.x, other.y - one.y) or 1.0
    across = (-(other.y - one.y) / far, (other.x - one.x) / far)
    middle = ((one.x + other.x) / 2, (one.y + other.y) / 2)
    aim = (middle[0] + 2 * bend * across[0], middle[1] + 2 * bend * across[1])
    if not bend:
        start, end = (
            (edge(one, (other.x, other.y)) if one.width else (one.x, one.y)),
            edge(other, (one.x, one.y)),
        )
        return start, (end,)
    start = edge(one, aim) if one.width else (one.x, one.y)
    end = edge(other, aim)
    first = (start[0] + 2 / 3 * (aim[0] - start[0]), start[1] + 2 / 3 * (aim[1] - start[1]))
    last = (end[0] + 2 / 3 * (aim[0] - end[0]), end[1] + 2 / 3 * (aim[1] - end[1]))
    return start, (first, last, end)
