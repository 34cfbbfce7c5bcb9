"""Which nodes stand in a row together: chains, levels of a hierarchy, families, grids."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import pvariance

from tncompile.inspection.drawing.layout.subject import Group, Node, Subject

CHAINED = 0.6
"""The part of consecutive members that share a bond where a family is a chain."""


class Bonds:
    """Who is joined to whom by legs with two ends, and by which."""

    def __init__(self, subject: Subject) -> None:
        self.of: dict[str, dict[str, list[str]]] = {key: {} for key in subject.nodes}
        for leg in subject.legs.values():
            keys = [end.key for end in leg.ends if end.key in subject.nodes]
            if leg.is_line and len(keys) == 2 and keys[0] != keys[1]:
                for one, other in (keys, keys[::-1]):
                    self.of[one].setdefault(other, []).append(leg.name)

    def joined(self, one: str, other: str) -> bool:
        """Whether two nodes share a bond."""
        return other in self.of[one]


def families_of(subject: Subject) -> dict[str, list[Node]]:
    """Nodes with subscripts by family, sorted by their subscripts."""
    found: defaultdict[str, list[Node]] = defaultdict(list)
    for node in subject.nodes.values():
        if node.subscripts:
            found[f"{node.sign == 'window'}{node.family}"].append(node)
    return {name: sorted(members, key=lambda n: n.subscripts) for name, members in found.items()}


def groups_of(subject: Subject) -> list[Group]:
    """All groups; each node is in one of them."""
    bonds = Bonds(subject)
    families = families_of(subject)
    chains = chains_of(subject, bonds, families)
    taken = {key for chain in chains for key in chain.members}
    groups = list(chains)
    for members in families.values():
        rest = [node for node in members if node.key not in taken]
        if not rest:
            continue
        at = None if len(rest[0].subscripts) < 2 else level_of(rest, bonds, subject)
        levels: defaultdict[int, list[Node]] = defaultdict(list)
        for node in rest:
            levels[0 if at is None else node.subscripts[at]].append(node)
        groups += [Group(tuple(n.key for n in each)) for _, each in sorted(levels.items())]
        taken |= {node.key for node in rest}
    groups += [Group((key,)) for key in subject.nodes if key not in taken]
    return groups


# ── chains ────────────────────────────────────────────────────────────────────────────────────────


def chains_of(subject: Subject, bonds: Bonds, families: dict[str, list[Node]]) -> tuple[Group, ...]:
    """Families whose neighbors share bonds, with the single nodes at their ends, joined."""
    chains = _Chains(bonds)
    for members in families.values():
        if _is_chain(members, bonds):
            chains.add([node.key for node in members])
    for key, node in subject.nodes.items():
        if not node.subscripts:
            chains.extend(key)
    chains.join()
    return tuple(
        Group(tuple(path), chain=True, ring=len(path) > 2 and bonds.joined(path[0], path[-1]))
        for path in chains.paths.values()
    )


def _is_chain(members: Sequence[Node], bonds: Bonds) -> bool:
    if len(members) < 2 or any(len(node.subscripts) != 1 for node in members):
        return False
    joined = sum(bonds.joined(one.key, other.key) for one, other in pairwise(members))
    return joined >= CHAINED * (len(members) - 1)


class _Chains:
    """Paths by number, and the path that each node is in."""

    def __init__(self, bonds: Bonds) -> None:
        self.bonds = bonds
        self.paths: dict[int, list[str]] = {}
        self.where: dict[str, int] = {}

    def add(self, path: list[str]) -> None:
        number = len(self.where)
        self.paths[number] = path
        self.where |= dict.fromkeys(path, number)

    def take(self, number: int, *, ending: str) -> list[str]:
        """A path taken out, turned so that it ends at a node."""
        path = self.paths.pop(number)
        return path if path[-1] == ending else path[::-1]

    def is_end(self, key: str) -> bool:
        return key in (self.paths[self.where[key]][0], self.paths[self.where[key]][-1])

    def extend(self, key: str) -> None:
        """Put a single node to the ends of one or two paths that it is joined to there alone."""
        touched = Counter(self.where[near] for near in self.bonds.of[key] if near in self.where)
        ends = [
            near
            for near in self.bonds.of[key]
            if near in self.where and touched[self.where[near]] == 1 and self.is_end(near)
        ]
        if not 1 <= len(ends) <= 2:
            return
        at_start = ends[0] == self.paths[self.where[ends[0]]][0]
        path = [*self.take(self.where[ends[0]], ending=ends[0]), key]
        if len(ends) == 2:
            path += reversed(self.take(self.where[ends[1]], ending=ends[1]))
        elif at_start:
            path.reverse()
        self.add(path)

    def join(self) -> None:
        """Make one of two paths that one bond alone joins, an end to an end.

        With more bonds between them they stand one above the other.
        """
        while True:
            links: defaultdict[tuple[int, int], list[tuple[str, str]]] = defaultdict(list)
            for key, number in self.where.items():
                for near, legs in self.bonds.of[key].items():
                    other = self.where.get(near, number)
                    if number < other:
                        links[number, other] += [(key, near)] * len(legs)
            for (number, other), pairs in links.items():
                key, near = pairs[0]
                if len(pairs) == 1 and self.is_end(key) and self.is_end(near):
                    left = self.take(number, ending=key)
                    self.add([*left, *reversed(self.take(other, ending=near))])
                    break
            else:
                return


# ── levels and grids ──────────────────────────────────────────────────────────────────────────────


def level_of(members: Sequence[Node], bonds: Bonds, subject: Subject) -> int:
    """Which subscript counts the levels of a hierarchy.

    It is the one that every bond within the family changes by one; without such bonds, the one
    that tells most about how far a node is from the strips.
    """
    count = min(len(node.subscripts) for node in members)
    inside = {node.key: node for node in members}
    steps = [
        tuple(abs(a - b) for a, b in zip(node.subscripts, inside[near].subscripts, strict=False))
        for node in members
        for near in bonds.of[node.key]
        if near in inside
    ]
    if steps:
        fitting = [at for at in range(count) if all(step[at] == 1 for step in steps)]
        if fitting:
            return fitting[0]
    distance = distances(subject)
    spread = []
    for at in range(count):
        by_value: defaultdict[int, list[int]] = defaultdict(list)
        for node in members:
            by_value[node.subscripts[at]].append(distance.get(node.key, 0))
        spread.append(sum(len(v) * pvariance(v) for v in by_value.values()))
    return min(range(count), key=lambda at: (round(spread[at], 6), at))


def distances(subject: Subject, start: Iterable[str] | None = None) -> dict[str, int]:
    """How many legs each node is from the strips, or from some nodes."""
    near: defaultdict[str, list[str]] = defaultdict(list)
    touching: dict[str, int] = {}
    for leg in subject.legs.values():
        keys = [end.key for end in leg.ends if end.key in subject.nodes]
        if len(keys) < len(leg.ends):
            touching |= dict.fromkeys(keys, 0)
        if len(keys) > 1:
            dot = f"dot {leg.name}"
            for key in keys:
                near[key].append(dot)
                near[dot].append(key)
    found = touching if start is None else dict.fromkeys(start, 0)
    queue = deque(found)
    while queue:
        key = queue.popleft()
        for other in near[key]:
            if other not in found:
                found[other] = found[key] + 1
                queue.append(other)
    return {key: far // 2 for key, far in found.items() if key in subject.nodes}


def grid_of(subject: Subject) -> list[list[Node]] | None:
    """Families that are grids over the same two subscripts, if most nodes are in them: layers.

    The first one joins neighbors along both of its subscripts; the others are joined to it.
    """
    bonds = Bonds(subject)
    families = [
        members
        for members in families_of(subject).values()
        if all(len(node.subscripts) == 2 for node in members) and members[0].sign != "window"
    ]
    for members in families:
        inside = {node.key: node.subscripts for node in members}
        steps = [
            tuple(b - a for a, b in zip(place, inside[near], strict=True))
            for key, place in inside.items()
            for near in bonds.of[key]
            if near in inside
        ]
        straight = [step for step in steps if sorted(map(abs, step)) == [0, 1]]
        across = {step[0] == 0 for step in straight}
        sites = set(inside.values())
        layers = [members]
        layers += [
            each
            for each in families
            if each is not members and {node.subscripts for node in each} == sites
        ]
        most = 2 * len(members) * len(layers) >= len(subject.nodes)
        if most and len(across) == 2 and len(straight) >= CHAINED * len(steps):
            return layers
    return None
