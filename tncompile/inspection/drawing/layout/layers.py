"""Nodes in rows, inputs below and the output above: the layout of all but grids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout import ordering, spacing
from tncompile.inspection.drawing.layout.frame import add_frame, note_folds, strip_box
from tncompile.inspection.drawing.layout.items import Item, Scheme, scheme_of
from tncompile.inspection.drawing.layout.labels import place_labels
from tncompile.inspection.drawing.layout.routing import Routing
from tncompile.inspection.drawing.layout.subject import Group, Rows, Strip, Subject
from tncompile.inspection.drawing.scene import Box, Disk, Figure, Scene, StripBox
from tncompile.inspection.drawing.signs import DENSE, LOOSE, TIGHT, Density

TIGHT_ROW, DENSE_ROW, DENSE_STRIP = 6, 9, 12
"""Tensors of a row, and legs of a strip, above which things stand closer."""

MOST_BOWED, BOWED = 3, 0.34
"""Legs below a row, and the part of all, above which a network has no rows."""

FEW, CROSSED = 20, 1.2
"""A network of more legs than these has no rows where more pairs cross than this times the legs."""


def layered(
    subject: Subject,
    scene: Scene,
    density: Density,
    groups: Sequence[Group],
    rows: Rows,
    *,
    forced: bool = False,
) -> Scene | None:
    """The scene in rows; None where too many legs would cross or run below one, unless `forced`."""
    scheme = scheme_of(subject, groups, rows, density)
    base = ordering.order(scheme)
    if (
        not forced
        and len(scheme.routes) > FEW
        and ordering.crossings(scheme) > CROSSED * len(scheme.routes)
    ):
        return None
    _make_room_for_arcs(scheme)
    spacing.place(scheme, base)
    _widen(scheme)
    routing = Routing(scheme)
    bowed = sum(not arc.outside for arc in routing.arcs)
    if not forced and bowed > max(MOST_BOWED, BOWED * len(scheme.routes)):
        return None
    for item in scheme.item.values():
        if item.kind == "node":
            scene.figures.append(_figure(scheme, routing, item))
        else:
            leg = subject.legs[item.leg]
            y, radius = routing.y[item.row], item.width / 2
            scene.disks.append(Disk(item.x, y, radius, "dot", leg.name, leg.title))
    for row, strips in ((0, subject.inputs), (rows.top, (subject.output,))):
        for strip in strips:
            scene.strips.append(_strip(scheme, strip, routing.y[row]))
    scene.wires += routing.wires()
    add_frame(subject, scene)
    note_folds(subject, scene)
    place_labels(scene, subject, named=density.names)
    return scene


def density_of(subject: Subject, groups: Sequence[Group], rows: Rows) -> Density:
    """How close things stand, by the widest row and the widest strip."""
    count = Counter(rows.of[key] for group in groups for key in group.members)
    widest = max(count.values(), default=0)
    legs = max((sum(len(cell.legs) for cell in strip.cells) for strip in subject.strips), default=0)
    if widest > DENSE_ROW or legs > DENSE_STRIP:
        return DENSE
    return TIGHT if widest > TIGHT_ROW else LOOSE


def _make_room_for_arcs(scheme: Scheme) -> None:
    """Nodes wide enough for the legs that leave below to others of their row."""
    place = {item: at for items in scheme.rows.values() for at, item in enumerate(items)}
    bowed: Counter[Item] = Counter()
    for pair, names in scheme.bonds.items():
        left, right = sorted(pair, key=lambda item: place[item])
        between = scheme.rows[left.row][place[left] + 1 : place[right]]
        if any(item.kind != "pass" for item in between):
            bowed.update({left: len(names), right: len(names)})
    for item, count in bowed.items():
        legs = len(item.side[-1]) + count
        item.width = max(item.width, signs.LEG_GAP * (legs - 1) + 20)


def _widen(scheme: Scheme) -> None:
    """Nodes with many legs reach out over their neighbors, so that legs stay upright."""
    for items in scheme.rows.values():
        for place, item in enumerate(items):
            below, above = item.side[-1], item.side[1]
            many = max(len(below), len(above)) > 2 or (len(below) > 1 and len(above) > 1)
            if item.kind != "node" or not many:
                continue
            if scheme.subject.nodes[item.key].sign in ("subtree", "more", "function", "frame"):
                continue
            reach = [other.x for other in (*below, *above)]
            left, right = item.x - item.width / 2, item.x + item.width / 2
            wide_left, wide_right = min(left, min(reach) - 12), max(right, max(reach) + 12)
            if place:
                before = items[place - 1]
                wide_left = max(wide_left, before.x + before.width / 2 + 22)
            if place + 1 < len(items):
                after = items[place + 1]
                wide_right = min(wide_right, after.x - after.width / 2 - 22)
            left, right = min(left, wide_left), max(right, wide_right)
            item.x, item.width = (left + right) / 2, right - left


def _figure(scheme: Scheme, routing: Routing, item: Item) -> Figure:
    node = scheme.subject.nodes[item.key]
    label = node.small if scheme.density is DENSE else node.label
    box = Box(item.x, routing.y[item.row], item.width, routing.tallness(item))
    return Figure(
        node.key, node.sign, box, label, node.title, node.shade, node.frozen, node.note,
        node.inner, node.link, node.members,
    )  # fmt: skip


def _strip(scheme: Scheme, strip: Strip, y: float) -> StripBox:
    slots = [
        sorted((slot.x, slot.width, bool(slot.leg)) for slot in scheme.slots[strip.key, place])
        for place in range(max(1, len(strip.cells)))
    ]
    return strip_box(strip, slots, y)
