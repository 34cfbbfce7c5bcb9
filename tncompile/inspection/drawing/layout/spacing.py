"""Where items stand along their rows: near their neighbors, and no closer than the gaps."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.items import Item, Scheme
from tncompile.inspection.drawing.text import width_of

ROUNDS = 160
PENDANT = 0.05
"""How strongly a node with a single leg pulls, or it would bend a chain of upright legs."""

LOOSE = 0.01
"""How strongly what hangs on a bond along its row is pulled."""

PASSING = 400.0
"""How strongly a leg that passes rows on its way from the base is held straight."""


def place(scheme: Scheme, base: int) -> None:
    """Set `x` of all items."""
    gaps = {row: _gaps(scheme, items) for row, items in scheme.rows.items()}
    room = _room_for_hubs(scheme, base)
    gaps[base] = [max(gap, room) for gap in gaps[base]]
    for row, items in scheme.rows.items():
        at = 0.0
        for item, gap in zip(items, [0.0, *gaps[row]], strict=True):
            at += gap
            item.x = at
        middle = (items[0].x + items[-1].x) / 2 if items else 0.0
        for item in items:
            item.x -= middle
    pulls = _pulls(scheme, base)
    others = [row for row in sorted(scheme.rows, key=lambda row: abs(row - base)) if row != base]
    count = sum(len(items) for items in scheme.rows.values())
    rounds = max(24, min(ROUNDS, ROUNDS * 500 // max(1, count)))
    for turn in range(rounds):
        step = 0.5 if turn < rounds * 7 // 8 else 1.0
        for row in others:
            items = scheme.rows[row]
            wanted, weights = [], []
            for item in items:
                pull = pulls[item]
                total = sum(weight for _, weight in pull)
                mean = sum(other.x * weight for other, weight in pull) / total if total else item.x
                wanted.append(item.x + step * (mean - item.x))
                weights.append(total or 0.01)
            for item, x in zip(items, spread(wanted, weights, gaps[row]), strict=True):
                item.x = x


def spread(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The places nearest to those wanted, by weighted squares, no closer than the gaps.

    Isotonic regression by pool adjacent violators, of what is left when the gaps are taken off.

    >>> spread([0, 0], [1, 1], [4])
    [-2.0, 2.0]
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[list[float]] = []  # weighted sum, weight, members
    for value, weight, offset in zip(wanted, weights, offsets, strict=True):
        pools.append([weight * (value - offset), weight, 1])
        while len(pools) > 1 and pools[-2][0] * pools[-1][1] > pools[-1][0] * pools[-2][1]:
            total, weight, count = pools.pop()
            pools[-1][0] += total
            pools[-1][1] += weight
            pools[-1][2] += count
    found: list[float] = []
    for total, weight, count in pools:
        found += [total / weight] * int(count)
    return [value + offset for value, offset in zip(found, offsets, strict=True)]


def _pulls(scheme: Scheme, base: int) -> dict[Item, list[tuple[Item, float]]]:
    """For each item its neighbors and their weights."""
    found: defaultdict[Item, list[tuple[Item, float]]] = defaultdict(list)
    pendant = {node.key for node in scheme.subject.nodes.values() if len(node.legs) == 1}
    for route in scheme.routes:
        if route.cut:
            continue
        if route.path[0].row == route.path[-1].row:
            continue
        ends = {route.path[0].row, route.path[-1].row}
        passes = len(route.path) > 2
        dotted = "dot" in (route.path[0].kind, route.path[-1].kind)
        if passes and base in ends:
            weight = PASSING
        elif passes:
            weight = 8.0 if "slot" in (route.path[0].kind, route.path[-1].kind) else 4.0
        else:
            weight = 0.25 if dotted else 1.0
        for one, other in zip(route.path, route.path[1:], strict=False):
            found[one].append((other, weight * (PENDANT if other.key in pendant else 1.0)))
            found[other].append((one, weight * (PENDANT if one.key in pendant else 1.0)))
    for route in scheme.routes:
        if route.path[0].row == route.path[-1].row:
            one, other = route.path
            for item, near in ((one, other), (other, one)):
                if not found[item]:  # it hangs on a bond along the row alone
                    found[item] = [(near, LOOSE)]
    return found


def _gaps(scheme: Scheme, items: Sequence[Item]) -> list[float]:
    """From each item to the next, center to center."""
    return [_gap(scheme, one, other) for one, other in itertools.pairwise(items)]


def _gap(scheme: Scheme, one: Item, other: Item) -> float:
    density, kinds = scheme.density, {one.kind, other.kind}
    half = (one.width + other.width) / 2
    if kinds == {"slot"}:
        return _slot_gap(scheme, one, other, half)
    if kinds == {"node"}:
        bonds = scheme.bonds.get(frozenset((one, other)), [])
        if bonds:
            room = max((_label(scheme, name) for name in bonds), default=0.0) + 10
            least = max(density.bond_gap, room if density.names else 0.0)
            return max(half + least, density.bond_pitch)
        return half + density.node_gap
    if "node" in kinds or "slot" in kinds:
        return half + density.leg_gap
    return half + signs.LANE


def _room_for_hubs(scheme: Scheme, base: int) -> float:
    """From one item of the base row to the next, where nodes of another stand between its legs."""
    wide = 0.0
    for route in scheme.routes:
        if base in (route.path[0].row, route.path[-1].row):
            for item in route.path[1:-1]:
                nodes = [other for other in scheme.rows[item.row] if other.kind == "node"]
                if len(nodes) < len(scheme.rows[base]):
                    wide = max([wide, *(node.width for node in nodes)])
    return wide + 2 * scheme.density.leg_gap if wide else 0.0


def _slot_gap(scheme: Scheme, one: Item, other: Item, half: float) -> float:
    density = scheme.density
    assert one.cell is not None
    assert other.cell is not None
    if one.cell[0] != other.cell[0]:
        return half + 46 + _overhang(scheme, one.cell[0]) + _overhang(scheme, other.cell[0])
    gap = density.cell_legs if one.leg and other.leg else 4.0
    if one.cell != other.cell:
        strip = next(s for s in scheme.subject.strips if s.key == one.cell[0])
        gap += (
            2 if "slice" in (strip.cells[one.cell[1]].kind, strip.cells[other.cell[1]].kind) else 10
        )
    room = _label(scheme, one.leg) + 16 if one.leg and other.leg else 0.0
    return max(half + gap, room)


def _overhang(scheme: Scheme, key: str) -> float:
    """How far the name of a strip may stick out of it on one side."""
    strip = next(s for s in scheme.subject.strips if s.key == key)
    slots = [slot for place in range(len(strip.cells)) for slot in scheme.slots[key, place]]
    return max(0.0, width_of(strip.name) - sum(slot.width for slot in slots)) / 2


def _label(scheme: Scheme, name: str) -> float:
    leg = scheme.subject.legs[name]
    return width_of(leg.labeled(named=scheme.density.names))
