"""What takes room in a row: nodes, dots, slots of strips, and legs that pass."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.subject import GAP, End, Group, Leg, Rows, Strip, Subject
from tncompile.inspection.drawing.signs import Density
from tncompile.inspection.drawing.text import width_of

Kind = Literal["node", "dot", "slot", "pass"]


@dataclass(eq=False)
class Item:
    """Something with a width in a row; `x` is its center."""

    key: str
    kind: Kind
    row: int
    width: float
    family: str = ""  # members of one keep their order
    cell: tuple[str, int] | None = None  # of a slot: its strip and the number of the cell
    leg: str = ""  # of a slot, a dot, a passing leg
    alike: bool = False  # of a slot: it may change places with others of its cell
    x: float = 0.0
    side: dict[int, list[Item]] = field(default_factory=lambda: {-1: [], 1: []})


@dataclass(eq=False)
class Route:
    """A leg, or a part of it from its dot, through rows: the items it visits, lowest first."""

    leg: Leg
    path: list[Item]
    cut: bool = False  # goes round: a short line at both ends


@dataclass
class Scheme:
    """All items by row, in order, and the routes between them."""

    subject: Subject
    density: Density
    rows: dict[int, list[Item]]
    routes: list[Route]
    item: dict[str, Item]  # nodes and dots
    slots: dict[tuple[str, int], list[Item]]  # by strip and cell
    chains: tuple[Group, ...]
    bonds: dict[frozenset[Item], list[str]]  # legs between items of one row
    declared: dict[Item, int]  # the order of items before any is sorted


def scheme_of(subject: Subject, groups: Sequence[Group], rows: Rows, density: Density) -> Scheme:
    """Items in the order of declaration, and routes between them."""
    made = Scheme(
        subject,
        density,
        defaultdict(list),
        [],
        {},
        {},
        tuple(g for g in groups if g.chain),
        {},
        {},
    )
    for number, group in enumerate(groups):
        for key in group.members:
            item = Item(key, "node", rows.of[key], node_width(subject, key, density), str(number))
            made.item[key] = item
            made.rows[item.row].append(item)
    for leg in subject.legs.values():
        if not leg.is_line:
            key = f"dot {leg.name}"
            item = Item(key, "dot", rows.of[key], 2 * signs.dot_radius(leg.width), leg=leg.name)
            made.item[key] = item
            made.rows[item.row].append(item)
    for row, strips in ((0, subject.inputs), (rows.top, (subject.output,))):
        for strip in strips:
            made.rows[row] += _slots(made, strip, row)
    for leg in subject.legs.values():
        made.routes += _routes(made, leg)
    for item in made.item.values():
        if item.kind == "node" and subject.nodes[item.key].sign != "subtree":
            most = max(len(item.side[-1]), len(item.side[1]))
            item.width = max(item.width, signs.LEG_GAP * (most - 1) + 20)
    for route in made.routes:
        if route.path[0].row == route.path[-1].row:
            made.bonds.setdefault(frozenset(route.path), []).append(route.leg.name)
    made.declared = {
        item: place for items in made.rows.values() for place, item in enumerate(items)
    }
    _cut_those_that_go_round(made, groups)
    return made


def node_width(subject: Subject, key: str, density: Density) -> float:
    """Room for its name, and for its legs on one side."""
    node = subject.nodes[key]
    label = node.small if density is signs.DENSE else node.label
    if node.sign == "subtree":
        return 36.0
    if node.sign == "more":
        return 28.0 if not node.family.startswith("levels") else 120.0
    if node.inner is not None:
        return max(node.inner.extent().width + 2 * signs.FRAME, width_of(label) + 40)
    label = max((label, node.note), key=width_of)
    margin = density.node_margin + (10 if node.sign == "window" else 0)
    return max(density.least_node, width_of(label) + margin)


def _slots(made: Scheme, strip: Strip, row: int) -> Iterator[Item]:
    if not strip.cells:
        made.slots[strip.key, 0] = [
            Item(f"slot {strip.key}", "slot", row, 34.0, cell=(strip.key, 0))
        ]
        yield from made.slots[strip.key, 0]
    for place, cell in enumerate(strip.cells):
        slots: list[Item] = []
        names = cell.legs or ("",)
        text = width_of(cell.text) + 12
        for name in names:
            key = f"slot {strip.key} {place} {name}"
            width = 22.0 if cell.kind in ("batch", "more") else made.density.cell
            if name == GAP:
                width, name = 24.0, ""
            width = max(width, text / len(names) if len(names) == 1 else 0)
            own = strip.key, place
            slots.append(Item(key, "slot", row, width, cell=own, leg=name, alike=cell.alike))
        made.slots[strip.key, place] = slots
        yield from slots


def _routes(made: Scheme, leg: Leg) -> Iterator[Route]:
    ends = [_end(made, leg, end) for end in leg.ends]
    if leg.is_line:
        yield _route(made, leg, ends[0], ends[1])
    else:
        dot = made.item[f"dot {leg.name}"]
        for end in ends:
            yield _route(made, leg, dot, end)


def _end(made: Scheme, leg: Leg, end: End) -> Item:
    if end.cell is None:
        return made.item[end.key]
    slots = made.slots[end.key, end.cell]
    return next(slot for slot in slots if slot.leg == leg.name)


def _route(made: Scheme, leg: Leg, one: Item, other: Item) -> Route:
    low, high = (one, other) if one.row <= other.row else (other, one)
    path = [low]
    for row in range(low.row + 1, high.row):
        if row in made.rows and (row % 2 == 0 or any(i.kind == "dot" for i in made.rows[row])):
            passing = Item(
                f"pass {leg.name} {row} {low.key} {high.key}", "pass", row, leg.width, leg=leg.name
            )
            made.rows[row].append(passing)
            path.append(passing)
    path.append(high)
    if low.row != high.row:
        for below, above in itertools.pairwise(path):
            below.side[1].append(above)
            above.side[-1].append(below)
    return Route(leg, path)


ACROSS, WIDER = 0.45, 1.8
"""A leg goes round where it spans this part of a row, at an end of a row whose other members'
neighbors stand closer by this factor."""


def _cut_those_that_go_round(made: Scheme, groups: Sequence[Group]) -> None:
    """Legs of periodic hierarchies that join the last members of a row to the first ones below."""
    fraction = {}
    for items in made.rows.values():
        own = [item for item in items if item.kind != "pass"]
        count = sum(bool(item.leg) or item.kind != "slot" for item in own)
        place = 0
        for item in own:
            if item.kind != "slot" or item.leg:
                fraction[item] = place / max(1, count - 1)
                place += 1
    below: defaultdict[Item, list[Route]] = defaultdict(list)
    for route in made.routes:
        if len(route.path) == 2 and route.path[0].row < route.path[1].row:
            below[route.path[1]].append(route)
    for group in groups:
        members = [made.item[key] for key in group.members]
        spans = {}
        for member in members:
            at = [fraction[route.path[0]] for route in below[member]]
            spans[member] = max(at) - min(at) if at else 0.0
        if len(members) < 3:
            continue
        least = min(spans.values())
        for member in (members[0], members[-1]):
            if spans[member] >= ACROSS and spans[member] > WIDER * least:
                for route in below[member]:
                    if abs(fraction[route.path[0]] - fraction[member]) > ACROSS:
                        route.cut = True
                        route.path[0].side[1].remove(member)
                        member.side[-1].remove(route.path[0])
