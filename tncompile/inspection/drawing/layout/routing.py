"""Where legs run: ports on the sides of nodes, curves between rows, arcs within one."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.inspection.drawing import signs
from tncompile.inspection.drawing.layout.items import Item, Route, Scheme
from tncompile.inspection.drawing.layout.spacing import spread
from tncompile.inspection.drawing.scene import Point, Segment, Wire

FAR = 1e6
ARC_RADIUS = 9.0
STUB = 15.0
"""How long a leg is that goes round, at each of its ends."""


@dataclass(frozen=True)
class Arc:
    """A leg below a row, from one node to another that is not its neighbor; lane 0 is nearest."""

    route: Route
    left: Item
    right: Item
    lane: int
    outside: bool = False  # of a ring: it leaves at the sides


class Routing:
    """Heights of rows, ports and wires of a scheme whose items have their `x`."""

    def __init__(self, scheme: Scheme) -> None:
        self.scheme = scheme
        self.levels = sorted(scheme.rows)
        self.place = {
            item: number for items in scheme.rows.values() for number, item in enumerate(items)
        }
        self.straight, self.arcs = self._within_rows()
        self.height = self._node_heights()
        self.y = self._heights()
        self.ports: dict[tuple[Route, Item, int], float] = {}
        self._set_ports()

    # ── within rows ───────────────────────────────────────────────────────────────────────────────

    def _within_rows(self) -> tuple[dict[tuple[Item, Item], list[Route]], list[Arc]]:
        """Bonds between neighbors, left one first, and arcs in their lanes."""
        straight: defaultdict[tuple[Item, Item], list[Route]] = defaultdict(list)
        bowed: list[tuple[Route, Item, Item, bool]] = []
        rings = {
            frozenset((chain.members[0], chain.members[-1]))
            for chain in self.scheme.chains
            if chain.ring
        }
        for route in self.scheme.routes:
            one, other = route.path[0], route.path[-1]
            if one.row != other.row:
                continue
            left, right = sorted((one, other), key=lambda item: self.place[item])
            between = self.scheme.rows[one.row][self.place[left] + 1 : self.place[right]]
            if all(item.kind == "pass" for item in between):
                straight[left, right].append(route)
            else:
                ring = frozenset((left.key, right.key)) in rings and self._is_free(left, right)
                bowed.append((route, left, right, ring))
        bowed.sort(key=lambda arc: (arc[3], self.place[arc[2]] - self.place[arc[1]]))
        used: defaultdict[int, list[tuple[int, float, float]]] = defaultdict(list)
        arcs = []
        for route, left, right, outside in bowed:
            reach = 24.0 if outside else 0.0
            start, end = left.x - reach, right.x + reach
            taken = {lane for lane, a, b in used[left.row] if a < end + 14 and start < b + 14}
            lane = next(number for number in range(len(bowed) + 1) if number not in taken)
            if outside:
                lane = max((lane, *(number + 1 for number in taken)))
            used[left.row].append((lane, start, end))
            arcs.append(Arc(route, left, right, lane, outside))
        return dict(straight), arcs

    def _is_free(self, left: Item, right: Item) -> bool:
        """Whether nothing else stands in the row, left of one and right of the other."""
        row = self.scheme.rows[left.row]
        aside = row[: self.place[left]] + row[self.place[right] + 1 :]
        return all(item.kind == "pass" for item in aside)

    def _node_heights(self) -> dict[Item, float]:
        """Nodes with three bonds or more to a neighbor are higher."""
        nodes = self.scheme.subject.nodes
        found = {
            item: nodes[item.key].height
            for item in self.scheme.item.values()
            if item.kind == "node" and nodes[item.key].height > signs.NODE_HEIGHT
        }
        for pair, routes in self.straight.items():
            if len(routes) > 2:
                for item in pair:
                    found[item] = max(found.get(item, 0.0), 14.0 * (len(routes) - 1) + 16)
        return found

    def _heights(self) -> dict[int, float]:
        """The center of each row; inputs, or the lowest row, are at 0."""
        lanes: defaultdict[int, int] = defaultdict(int)
        for arc in self.arcs:
            lanes[arc.left.row] = max(lanes[arc.left.row], arc.lane + 1)
        slant: defaultdict[int, float] = defaultdict(float)
        for route in self.scheme.routes:
            for one, other in zip(route.path, route.path[1:], strict=False):
                if one.row != other.row and not route.cut:
                    slant[one.row] = max(slant[one.row], abs(one.x - other.x))
        tall = {
            row: max((self.height.get(item, 0.0) for item in items), default=0.0)
            for row, items in self.scheme.rows.items()
        }
        self.tall = tall
        found = dict.fromkeys(self.levels[:1], 0.0)
        for row, above in zip(self.levels, self.levels[1:], strict=False):
            base = self.scheme.density.row if above - row > 1 else 54.0
            bowed = LANE_ROOM + signs.LANE * lanes[above] if lanes[above] else 0.0
            extra = sum(max(0.0, tall[each] - signs.NODE_HEIGHT) / 2 for each in (row, above))
            wide = min(60.0, 0.16 * max(0.0, slant[row] - 60))
            if above - row == 1:  # to or from a dot
                wide = min(80.0, 0.3 * max(0.0, slant[row] - 40))
            found[above] = found[row] - base - bowed - extra - wide
        return found

    # ── ports ─────────────────────────────────────────────────────────────────────────────────────

    def _set_ports(self) -> None:
        """Lower ends first, then the upper ones above them, then the lower ones again."""
        by_side: defaultdict[tuple[Item, int], list[tuple[Route, Item | None, float]]]
        by_side = defaultdict(list)
        for route in self.scheme.routes:
            one, other = route.path[0], route.path[-1]
            if one.row == other.row:
                continue
            if route.cut:
                away = FAR if other.x < one.x else -FAR
                by_side[one, 1].append((route, None, away))
                by_side[other, -1].append((route, None, -away))
            else:
                by_side[one, 1].append((route, route.path[1], 0.0))
                by_side[other, -1].append((route, route.path[-2], 0.0))
        for arc in self.arcs:
            if not arc.outside:
                near = FAR / (2 + self.place[arc.right] - self.place[arc.left])
                by_side[arc.left, -1].append((arc.route, None, FAR + near))
                by_side[arc.right, -1].append((arc.route, None, -FAR - near))
        for side in (1, -1, 1, -1):
            for (item, own), ends in by_side.items():
                if own == side:
                    self._set_side(item, side, ends)

    def _set_side(
        self, item: Item, side: int, ends: Sequence[tuple[Route, Item | None, float]]
    ) -> None:
        def wanted(end: tuple[Route, Item | None, float]) -> float:
            route, near, far = end
            if near is None:
                return far
            known = self.ports.get((route, near, -side))
            if known is not None:
                return known
            reach = max(0.0, near.width / 2 - signs.CORNER) if near.kind == "node" else 0.0
            return min(max(item.x, near.x - reach), near.x + reach)

        if item.kind != "node" or self._is_point(item):
            for route, _, _ in ends:
                self.ports[route, item, side] = item.x
            return
        order = sorted(ends, key=wanted)
        room = max(0.0, item.width - 2 * signs.CORNER)
        gap = min(signs.LEG_GAP, room / max(1, len(order) - 1)) if len(order) > 1 else 0.0
        low, high = item.x - room / 2, item.x + room / 2
        aims = [min(max(wanted(end), low), high) for end in order]
        places = spread(aims, [1.0] * len(aims), [gap] * (len(aims) - 1))
        first = [low + gap * k for k in range(len(places))]
        last = [high - gap * (len(places) - 1 - k) for k in range(len(places))]
        for (route, _, _), x, a, b in zip(order, places, first, last, strict=True):
            self.ports[route, item, side] = min(max(x, a), b)

    def _is_point(self, item: Item) -> bool:
        return self.scheme.subject.nodes[item.key].sign == "subtree"

    # ── wires ─────────────────────────────────────────────────────────────────────────────────────

    def wires(self) -> list[Wire]:
        """The lines of all routes."""
        found = [
            wire for pair, routes in self.straight.items() for wire in self._bonds(pair, routes)
        ]
        found += [self._arc(arc) for arc in self.arcs]
        for route in self.scheme.routes:
            if route.path[0].row != route.path[-1].row:
                found += self._cut(route) if route.cut else [self._curve(route)]
        return found

    def edge(self, item: Item, side: int) -> float:
        """The y of the upper (1) or lower (-1) side of an item."""
        y = self.y[item.row]
        if item.kind == "dot":
            return y
        if item.kind == "pass":
            tall = max(self.tall.get(item.row, 0.0), signs.NODE_HEIGHT)
            return y - side * (tall / 2 + 2 if item.row % 2 == 0 else 0)
        half = (signs.STRIP_HEIGHT if item.kind == "slot" else self.tallness(item)) / 2
        return y - side * half

    def tallness(self, item: Item) -> float:
        """The height of a node."""
        return self.height.get(item, self.scheme.subject.nodes[item.key].height)

    def _wire(
        self, route: Route, start: Point, segments: Sequence[Segment], kind: str = "leg"
    ) -> Wire:
        leg = route.leg
        joins = tuple(
            item.cell[0] if item.cell else item.key for item in (route.path[0], route.path[-1])
        )
        shown = "one" if leg.size == 1 and kind == "leg" else kind
        return Wire(start, tuple(segments), leg.width, shown, leg.name, joins, leg.title)  # type: ignore[arg-type]

    def _bonds(self, pair: tuple[Item, Item], routes: Sequence[Route]) -> list[Wire]:
        left, right = pair
        pitch = 14.0 if len(routes) > 2 else 11.0
        found = []
        for number, route in enumerate(routes):
            y = self.y[left.row] + pitch * (number - (len(routes) - 1) / 2)
            start, end = left.x + left.width / 2, right.x - right.width / 2
            found.append(self._wire(route, (start, y), [((end, y),)]))
        return found

    def lane_y(self, row: int, lane: int) -> float:
        """The height of a lane below a row."""
        return self.y[row] + signs.NODE_HEIGHT / 2 + 12 + signs.LANE * lane

    def _arc(self, arc: Arc) -> Wire:
        y, r = self.lane_y(arc.left.row, arc.lane), ARC_RADIUS
        if arc.outside:
            middle = self.y[arc.left.row]
            a, b = arc.left.x - arc.left.width / 2, arc.right.x + arc.right.width / 2
            out_a, out_b = a - 14, b + 14
            return self._wire(
                arc.route,
                (a, middle),
                [
                    ((out_a + r, middle),),
                    ((out_a, middle), (out_a, middle), (out_a, middle + r)),
                    ((out_a, y - r),),
                    ((out_a, y), (out_a, y), (out_a + r, y)),
                    ((out_b - r, y),),
                    ((out_b, y), (out_b, y), (out_b, y - r)),
                    ((out_b, middle + r),),
                    ((out_b, middle), (out_b, middle), (out_b - r, middle)),
                    ((b, middle),),
                ],
            )
        a, b = self.ports[arc.route, arc.left, -1], self.ports[arc.route, arc.right, -1]
        top_a, top_b = self.edge(arc.left, -1), self.edge(arc.right, -1)
        return self._wire(
            arc.route,
            (a, top_a),
            [
                ((a, y - r),),
                ((a, y), (a, y), (a + r, y)),
                ((b - r, y),),
                ((b, y), (b, y), (b, y - r)),
                ((b, top_b),),
            ],
        )

    def _curve(self, route: Route) -> Wire:
        """From row to row, upright where it passes one."""
        points: list[tuple[Point, str]] = []
        for place, item in enumerate(route.path):
            if item.kind == "pass":
                points += [
                    ((item.x, self.edge(item, -1)), "pass"),
                    ((item.x, self.edge(item, 1)), "pass"),
                ]
            else:
                side = 1 if place == 0 else -1
                x = self.ports[route, item, side]
                ends = [((x, self.edge(item, side)), str(item.kind))]
                past = self.y[item.row] - side * self.tall.get(item.row, 0.0) / 2
                if item.kind == "node" and (past - ends[0][0][1]) * side < -1:
                    ends.append(((x, past), "pass"))  # upright past higher ones of its row
                points += ends if place == 0 else ends[::-1]
        start = points[0][0]
        segments: list[Segment] = []
        for (one, first), (other, last) in itertools.pairwise(points):
            dx, dy = other[0] - one[0], other[1] - one[1]
            if abs(dx) < 0.6 or abs(dy) < 0.6:
                segments.append((other,))
                continue
            ax, ay = _bend(first)
            bx, by = _bend(last)
            controls = (
                (one[0] + ax * dx, one[1] + ay * dy),
                (other[0] - bx * dx, other[1] - by * dy),
            )
            segments.append((*controls, other))
        return self._wire(route, start, segments)

    def _cut(self, route: Route) -> list[Wire]:
        """Two stubs that bend to the side they would leave at."""
        low, high = route.path
        outward = 1 if high.x < low.x else -1
        found = []
        for item, side, out in ((low, 1, outward), (high, -1, -outward)):
            x, y = self.ports[route, item, side], self.edge(item, side)
            end = (x + out * STUB, y - side * STUB)
            found.append(self._wire(route, (x, y), [((x, y - side * 9), (x, end[1]), end)], "cut"))
        return found


LANE_ROOM = 6.0


def _bend(kind: str) -> tuple[float, float]:
    """How far along both axes the control of a curve is, by what it leaves."""
    if kind == "dot":
        return 0.4, 0.3
    return (0.0, 0.42) if kind == "pass" else (0.16, 0.42)
