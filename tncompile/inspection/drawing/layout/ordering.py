"""The order of items in each row, so that few legs cross.

One row, the base, is fixed; sweeps away from it order the others by the mean of their neighbors
(Sugiyama, Tagawa and Toda, 1981). Members of a family keep their order, and so do cells.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby, pairwise

from tncompile.inspection.drawing.layout.items import Item, Scheme

SWEEPS = 4
MANY = 1500
"""Legs of a drawing for which only one base is tried."""

BASES = 3
"""How many rows are tried as the base."""

AWAY = 1e-3
"""What neighbors away from the base count: enough to break ties."""


def order(scheme: Scheme) -> int:
    """Order all rows, and return the number of the base row.

    Of the rows that may be the base, the one with which fewest legs cross is taken.
    """
    best: tuple[int, int, dict[int, list[Item]]] | None = None
    bases = _bases(scheme)
    for base in bases if len(scheme.routes) <= MANY else bases[:1]:
        _order(scheme, base)
        count = crossings(scheme) if len(bases) > 1 else 0
        if best is None or count < best[0]:
            best = count, base, {row: list(items) for row, items in scheme.rows.items()}
    assert best is not None
    scheme.rows.update(best[2])
    return best[1]


def crossings(scheme: Scheme) -> int:
    """How many pairs of legs cross between rows."""
    place = {item: at for items in scheme.rows.values() for at, item in enumerate(items)}
    pieces: defaultdict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    for route in scheme.routes:
        if not route.cut and route.path[0].row != route.path[-1].row:
            for one, other in pairwise(route.path):
                pieces[one.row, other.row].append((place[one], place[other]))
    found = 0
    for pairs in pieces.values():
        pairs.sort()
        for number, (low, high) in enumerate(pairs):
            found += sum(a > low and b < high for a, b in pairs[number + 1 :])
    return found


def _order(scheme: Scheme, base: int) -> None:
    """Order all rows from a base; `x` is the place in the row, between 0 and 1."""
    chain_place = {key: k for chain in scheme.chains for k, key in enumerate(chain.members)}
    for row, items in scheme.rows.items():
        items.sort(key=lambda item: (item.kind == "pass", scheme.declared[item]))
        chained = sorted(
            (item for item in items if item.key in chain_place),
            key=lambda item: (item.family, chain_place[item.key]),
        )
        rest = iter(chained)
        scheme.rows[row] = [next(rest) if item.key in chain_place else item for item in items]
        _number(scheme.rows[row])
    for items in scheme.rows.values():
        for item in items:
            if item.kind == "pass":
                item.x = _along(item)
    _merge(scheme.rows[base])
    levels = sorted(scheme.rows)
    for _ in range(SWEEPS):
        for away, rows in (
            (1, [row for row in levels if row > base]),
            (-1, [row for row in reversed(levels) if row < base]),
        ):
            for row in rows:
                _sort(scheme.rows[row], -away)
        for item in scheme.rows[base]:
            if item.kind == "pass":
                near = item.side[-1] + item.side[1]
                item.x = sum(map(_fraction, near)) / len(near) if near else item.x
        _merge(scheme.rows[base])


def _bases(scheme: Scheme) -> list[int]:
    """Rows that may be the base: that with the longest chain, else those with most items."""
    chained = {key for chain in scheme.chains for key in chain.members}

    def rank(row: int) -> tuple[int, int, int, float, int]:
        items = scheme.rows[row]
        in_chain = sum(item.key in chained for item in items)
        count = sum(item.kind == "node" or bool(item.leg and item.kind == "slot") for item in items)
        nodes = sum(item.kind == "node" for item in items)
        return in_chain, count, nodes, sum(item.width for item in items), -row

    rows = sorted((row for row in scheme.rows if row % 2 == 0), key=rank, reverse=True)
    if rank(rows[0])[0]:
        return rows[:1]
    return [row for row in rows[:BASES] if 2 * rank(row)[1] >= rank(rows[0])[1]]


def _number(items: Sequence[Item]) -> None:
    for place, item in enumerate(items):
        item.x = (place + 0.5) / len(items)


def _fraction(item: Item) -> float:
    return item.x


def _along(item: Item) -> float:
    """Where a passing leg is at first: the mean of the first nodes that it meets on both sides."""
    found = []
    for side in (-1, 1):
        at = item
        while at.kind == "pass":
            at = at.side[side][0]
        found.append(at.x)
    return sum(found) / 2


def _merge(items: list[Item]) -> None:
    """Passing legs put between the items of a row that is fixed."""
    fixed = [item for item in items if item.kind != "pass"]
    _number(fixed)
    items[:] = sorted(items, key=lambda item: item.x)


def _slots(items: list[Item], wanted: dict[Item, float]) -> list[Item]:
    """Slots in their order; those of a cell whose legs are one value as they are wanted."""
    found: list[Item] = []
    slots = (item for item in items if item.kind == "slot")
    for _, cell in groupby(slots, key=lambda item: item.cell):
        own = list(cell)
        found += sorted(own, key=lambda item: wanted[item]) if own[0].alike else own
    return found


def _sort(items: list[Item], towards: int) -> None:
    """A row by the mean of its neighbors towards the base; families keep their order."""
    wanted: dict[Item, float] = {}
    for item in items:
        near, away = item.side[towards], item.side[-towards]
        mean = sum(map(_fraction, near)) / len(near) if near else None
        other = sum(map(_fraction, away)) / len(away) if away else None
        if mean is None:
            wanted[item] = item.x if other is None else other
        else:
            wanted[item] = mean + AWAY * (0.5 if other is None else other)
    families: defaultdict[str, list[Item]] = defaultdict(list)
    families["slots"] = _slots(items, wanted)
    for item in items:
        if item.kind == "node":
            families[item.family].append(item)
    place = {item: number for number, item in enumerate(items)}
    for members in families.values():
        values = sorted(wanted[member] for member in members)
        wanted |= dict(zip(members, values, strict=True))
    items.sort(key=lambda item: (wanted[item], place[item]))
    _number(items)
