"""What surrounds the nodes in every layout: strips with their names, batch lines, biases."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.subject import Strip, Subject
from tncompile.inspection.drawing.scene import (
    Box,
    CellBox,
    Disk,
    Figure,
    Label,
    Point,
    Scene,
    Segment,
    StripBox,
    Wire,
)
from tncompile.inspection.drawing.text import Span, width_of

RADIUS = 10.0
ASIDE = 22.0
"""How far a batch line runs from what it goes round."""

PADDED_LEAST, PADDED_MOST = 7.0, 0.3
"""The width of what is hatched for padding: px at least, a part of the cell at most."""


def strip_box(
    strip: Strip,
    slots: Sequence[Sequence[tuple[float, float, bool]]],
    y: float,
    *,
    square: bool = False,
) -> StripBox:
    """A strip whose cells hold their slots: center, width, and whether a leg meets it there."""
    edges = [(row[0][0] - row[0][1] / 2, row[-1][0] + row[-1][1] / 2) for row in slots]
    bounds = [edges[0][0] - 5]
    bounds += [(one[1] + other[0]) / 2 for one, other in itertools.pairwise(edges)]
    bounds.append(edges[-1][1] + 5)
    cells = []
    for place, cell in enumerate(strip.cells):
        left, right = bounds[place], bounds[place + 1]
        box = Box((left + right) / 2, y, right - left, signs.STRIP_HEIGHT)
        padded = 0.0
        if cell.padded:
            padded = min(PADDED_MOST * box.width, max(PADDED_LEAST, cell.padded * box.width))
        text = cell.text
        room = box.width - padded - 6
        while text and width_of(text) > room and text[0].size > 7.5:
            text = tuple(replace(span, size=span.size - 0.5) for span in text)
        legs = tuple(x for x, _, has_leg in slots[place] if has_leg)
        cells.append(
            CellBox(
                box,
                text,
                legs,
                cell.grouped and bool(legs),
                cell.kind == "onehot" or cell.onehot,
                padded,
                square and bool(cell.legs),
            )
        )
    whole = Box((bounds[0] + bounds[-1]) / 2, y, bounds[-1] - bounds[0], signs.STRIP_HEIGHT)
    return StripBox(strip.key, strip.role, whole, tuple(cells), strip.name, strip.title)


def add_frame(subject: Subject, scene: Scene) -> None:
    """Names of strips, biases, batch lines; the rest of the scene is there."""
    for strip in scene.strips:
        below = strip.role == "input"
        y = strip.box.bottom + 17 if below else strip.box.top - 7
        scene.labels.append(Label(strip.box.x, y, strip.name, "middle"))
    _add_biases(subject, scene)
    lanes = 0
    for place, (name, keys) in enumerate(subject.batches.items()):
        lanes = _add_batch(scene, name, keys, place, lanes)


def _add_biases(subject: Subject, scene: Scene) -> None:
    strip = next(s for s in scene.strips if s.role == "output")
    x, y = strip.box.right, strip.box.y
    for added in subject.biases:
        node = added.node
        plus = Box(x + 17, y, 15, 15)
        width = max(30.0, width_of(node.label) + 16)
        box = Box(x + 17 + 17 + width / 2, y, width, 26)
        scene.figures.append(Figure(f"plus {node.key}", "plus", plus, (), node.title))
        scene.figures.append(
            Figure(node.key, "tensor", box, node.label, node.title, node.shade, node.frozen)
        )
        for a, b in ((x, plus.left), (plus.right, box.left)):
            joins = (strip.key, f"plus {node.key}", node.key)
            scene.wires.append(Wire((a, y), (((b, y),),), 1.5, "plain", joins=joins))
        x = box.right
        if added.along:
            line = (Span(f"along {added.along}", signs.SMALL, "dim"),)
            scene.labels.append(Label(box.x, box.bottom + 12, line, "middle"))


def note_folds(subject: Subject, scene: Scene) -> None:
    """How many tensors stand at a place where they are left out."""
    for figure in scene.figures:
        if figure.shape == "more":
            node = subject.nodes[figure.key]
            text = f"{node.count:,} more"
            if node.family.startswith("levels"):
                text = f"{node.family}: {node.count:,} tensors"
            line = (Span(text, signs.SMALL, "dim"),)
            scene.labels.append(Label(figure.box.x, figure.box.bottom + 11, line, "middle"))


def _add_batch(scene: Scene, name: str, keys: Sequence[str], place: int, lanes: int) -> int:
    """A dashed line round the left side, from the inputs that have a batch axis to the output.

    The leftmost input joins it straight, others below all names: a lane each, the number of lanes
    that were used is returned.
    """
    strips = {strip.key: strip for strip in scene.strips}
    ends = sorted((strips[key] for key in keys), key=lambda strip: strip.box.left)
    given = [strip for strip in ends if strip.role == "input"]
    output = next((strip for strip in ends if strip.role == "output"), None)
    if not given or (output is None and len(given) < 2):
        return lanes
    leftmost = min((s for s in scene.strips if s.role == "input"), key=lambda s: s.box.left)
    direct = next((strip for strip in given if strip is leftmost), None)
    below = [strip for strip in given if strip is not leftmost]
    left = scene.extent().left - (ASIDE if place == 0 else 14.0)
    low = max(strip.box.bottom for strip in scene.strips if strip.role == "input") + 27
    shift = min(10.0, 5.0 * place)
    joins = tuple(strip.key for strip in ends)

    def add(start: Point, path: list[Segment]) -> None:
        title = f"batch {name}"
        scene.wires.append(Wire(start, tuple(path), 1.6, "batch", joins=joins, title=title))

    def end(corner: Point, path: list[Segment], coming: tuple[int, int]) -> list[Segment]:
        """Up the left side to the output."""
        assert output is not None
        top = output.box.y + shift
        last: Segment = ((output.box.left, top),)
        return [
            *path,
            *_turn(corner, (left, top), coming, RADIUS),
            *_turn((left, top), (output.box.left, top), (0, -1), RADIUS),
            last,
        ]

    for lane, strip in enumerate(below):
        start = (strip.box.left, strip.box.y + shift)
        name_left = strip.box.x - width_of(strip.name) / 2 - 8
        x, y = min(start[0] - 12, name_left) - 5 * place, low + 7 * (lanes + lane)
        path: list[Segment] = [
            *_turn((x, start[1]), (x, y), (-1, 0), 8.0),
            *_turn((x, y), (left, y), (0, 1), 8.0),
        ]
        if lane + 1 < len(below):
            add(start, [*path, ((left, y),)])
            scene.disks.append(Disk(left, y, 3.2, "batch"))
        elif direct is not None:
            joint = direct.box.y + shift
            add(start, [*path, *_turn((left, y), (left, joint), (-1, 0), 8.0), ((left, joint),)])
            scene.disks.append(Disk(left, joint, 3.2, "batch"))
        elif output is not None:
            add(start, end((left, y), path, (-1, 0)))
    if direct is not None and output is not None:
        start = (direct.box.left, direct.box.y + shift)
        add(start, end((left, start[1]), [], (-1, 0)))
    if output is not None:
        text = (Span(f"batch {'…' if name == '...' else name}", 11, "dim"),)
        middle = (given[0].box.y + output.box.y) / 2
        scene.labels.append(Label(left + 4, middle, text, "middle", turned=True, plate=True))
    return lanes + len(below)


def _turn(
    corner: Point, towards: Point, coming: tuple[int, int], radius: float
) -> tuple[Segment, Segment]:
    """To a corner in a direction, and round it towards a point."""
    x, y = corner
    dx, dy = towards[0] - x, towards[1] - y
    way = (0, 1 if dy > 0 else -1) if abs(dy) > abs(dx) else (1 if dx > 0 else -1, 0)
    before = (x - coming[0] * radius, y - coming[1] * radius)
    after = (x + way[0] * radius, y + way[1] * radius)
    return (before,), (corner, corner, after)
