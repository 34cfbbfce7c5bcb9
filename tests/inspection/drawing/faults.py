"""What is wrong with a drawing, read off its scene without a browser."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise
from math import hypot

from tncompile.inspection.drawing.layout.subject import Subject
from tncompile.inspection.drawing.scene import Box, Scene

TOGETHER = 12.0
"""Two legs may not lie on each other for longer, in px."""

CROSSING = 60.0
"""Legs that cross under a small angle are near each other for longer; neither is hidden."""

FAN = 40.0
"""Lines come together this near to the dot of their index."""

SMALLEST, PAGE = 7.5, 600.0
"""The least size of type, in px, on a page so wide."""

TOUCH = 1.0
"""Boxes may have this much in common: rounding."""


def faults(scene: Scene, subject: Subject | None = None) -> list[str]:
    """Every fault in words; a good drawing has none."""
    found = [*_boxes(scene), *_wires(scene), *_labels(scene), *_together(scene), *_type(scene)]
    return found + ([] if subject is None else list(_ends(scene, subject)))


def _boxes(scene: Scene) -> Iterator[str]:
    boxes = sorted(scene.boxes(), key=lambda each: each[1].left)
    for place, (key, box) in enumerate(boxes):
        for other, near in boxes[place + 1 :]:
            if near.left > box.right:
                break
            if box.overlaps(near, TOUCH):
                yield f"{key} is on {other}"


def _wires(scene: Scene) -> Iterator[str]:
    boxes = list(scene.boxes())
    dots = [
        (disk.leg, Box(disk.x, disk.y, 2 * disk.radius, 2 * disk.radius)) for disk in scene.disks
    ]
    for wire in scene.wires:
        points = wire.points(4.0)
        low = Box(0, 0, 0, 0)
        xs, ys = [x for x, _ in points], [y for _, y in points]
        low = Box(
            (min(xs) + max(xs)) / 2,
            (min(ys) + max(ys)) / 2,
            max(xs) - min(xs) + 1,
            max(ys) - min(ys) + 1,
        )
        for key, box in boxes:
            if key in wire.joins or not box.overlaps(low):
                continue
            if any(box.holds(point, 0.5) for point in points):
                yield f"{wire.leg or wire.kind} runs through {key}"
        for leg, box in dots:
            near = leg and leg != wire.leg and box.overlaps(low)
            if near and any(box.holds(point, 0.5) for point in points):
                yield f"{wire.leg or wire.kind} runs through the dot of {leg}"


def _labels(scene: Scene) -> Iterator[str]:
    boxes = [(key, box) for key, box in scene.boxes()]
    labels = [(label.leg or "a name", label.box) for label in scene.labels]
    for place, (name, box) in enumerate(labels):
        for other, near in labels[place + 1 :]:
            if box.overlaps(near, TOUCH):
                yield f"the label of {name} is on that of {other}"
        for key, near in boxes:
            if box.overlaps(near, TOUCH):
                yield f"the label of {name} is on {key}"


def _together(scene: Scene) -> Iterator[str]:
    """Two lines that lie on each other for more than a moment."""
    cells: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
    lines = [wire for wire in scene.wires if wire.kind != "plain"]
    paths = [wire.points(2.0) for wire in lines]
    for number, points in enumerate(paths):
        for x, y in points:
            cells[int(x // 8), int(y // 8)].add(number)
    pairs = {(a, b) for numbers in cells.values() for a in numbers for b in numbers if a < b}
    dots = {disk.leg: (disk.x, disk.y) for disk in scene.disks if disk.kind == "dot"}
    for a, b in sorted(pairs):
        fans = [dots[lines[each].leg] for each in (a, b) if lines[each].leg in dots]
        one, other = (
            [p for p in paths[each] if all(hypot(p[0] - x, p[1] - y) > FAN for x, y in fans)]
            for each in (a, b)
        )
        if len(one) < 2 or len(other) < 2 or _common(one, other) <= TOGETHER:
            continue
        long = _common(one, other)
        if long > (CROSSING if _cross(one, other) else TOGETHER):
            names = " and ".join(lines[each].leg or "batch" for each in (a, b))
            yield f"{names} lie on each other, {long:.0f} px"


def _cross(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    """Whether two lines change sides where they meet."""
    at, _ = min(
        ((k, m) for k in range(len(one)) for m in range(len(other))),
        key=lambda pair: hypot(
            one[pair[0]][0] - other[pair[1]][0], one[pair[0]][1] - other[pair[1]][1]
        ),
    )
    sides = []
    for far in (-35, 35):
        x, y = one[min(max(at + far, 0), len(one) - 1)]
        place = min(range(len(other)), key=lambda m: hypot(other[m][0] - x, other[m][1] - y))
        (a, b), (c, d) = other[max(place - 1, 0)], other[min(place + 1, len(other) - 1)]
        side = (c - a) * (y - b) - (d - b) * (x - a)
        sides.append(side)
    return sides[0] * sides[1] < 0


def _common(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> float:
    """The length along one line that is within 1.5 px of the other."""
    grid: defaultdict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for x, y in other:
        grid[int(x // 4), int(y // 4)].append((x, y))
    total = 0.0
    for (x, y), (x2, y2) in pairwise(one):
        column, row = int(x // 4), int(y // 4)
        near = (
            point
            for c in (column - 1, column, column + 1)
            for r in (row - 1, row, row + 1)
            for point in grid.get((c, r), ())
        )
        if any(hypot(x - a, y - b) < 1.5 for a, b in near):
            total += hypot(x2 - x, y2 - y)
    return total


def _ends(scene: Scene, subject: Subject) -> Iterator[str]:
    """Every end of every leg is drawn, once."""
    drawn: Counter[tuple[str, str]] = Counter()
    for wire in scene.wires:
        if wire.leg:
            for key in wire.joins:
                drawn[wire.leg, key] += 1 if wire.kind != "cut" else 0
    for leg in subject.legs.values():
        cut = [wire for wire in scene.wires if wire.leg == leg.name and wire.kind == "cut"]
        expected = Counter((leg.name, end.key) for end in leg.ends)
        if cut:
            if len(cut) != len(leg.ends):
                yield f"{leg.name} has {len(cut)} stubs"
            continue
        for end, count in expected.items():
            if drawn[end] != count:
                yield f"{leg.name} is drawn {drawn[end]} times at {end[1]}, not {count}"


def _type(scene: Scene) -> Iterator[str]:
    """Type that is too small on a page of 600 px."""
    width, least = scene.extent().width + 28, scene.smallest_type()
    if least * min(1.0, PAGE / width) < SMALLEST:
        yield f"{width:.0f} px wide, and type of {least:g} px"
