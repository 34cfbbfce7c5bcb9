"""Which row each group stands in: inputs below, the output above, by a potential between them.

Every leg is a resistor of one unit between groups, inputs are at 0 and the output is at 1; rows
follow from the order of the potentials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tncompile.inspection.drawing.layout.subject import Group, Leg, Rows, Subject
from tncompile.inspection.drawing.networks.families import distances

BOTTOM, TOP = -1, -2
"""The numbers of inputs and of the output among those of groups."""


def rows_of(subject: Subject, groups: Sequence[Group]) -> Rows:
    """The row of each node and dot."""
    number = {key: place for place, group in enumerate(groups) for key in group.members}
    level = _levels(subject, groups, number)
    rows = {key: 2 * level[group] for key, group in number.items()}
    top = 2 * (max(level, default=0) + 1)
    for leg in subject.legs.values():
        if not leg.is_line:
            rows[f"dot {leg.name}"] = _dot_row(leg, rows, top)
    return Rows(rows, top)


def _levels(subject: Subject, groups: Sequence[Group], number: dict[str, int]) -> list[int]:
    """The row of each group, from 1."""
    edges = _edges(subject, number)
    keys = _order(subject, groups, edges)
    near: defaultdict[int, set[int]] = defaultdict(set)
    for one, other in edges:
        if one >= 0:
            near[one].add(other)
            near[other].add(one)
    level = [0] * len(groups)
    waiting = sorted(range(len(groups)), key=lambda group: (keys[group], group))
    alike = _joined(waiting, keys, near)
    for cluster in alike:
        below = (
            level[other] for each in cluster for other in near[each] if keys[other] < keys[each]
        )
        height = 1 + max(below, default=0)
        for each in cluster:
            level[each] = height
    highest = max(level, default=0)
    from_inputs = {other for one, other in edges if one == BOTTOM}
    to_output = {other for one, other in edges if one == TOP}
    for cluster in reversed(alike):
        above = [
            level[other] for each in cluster for other in near[each] if keys[other] > keys[each]
        ]
        free = not from_inputs.intersection(cluster)
        if free and (above or to_output.intersection(cluster)):
            room = min(above, default=highest + 1) - 1
            if room > level[cluster[0]]:
                for each in cluster:
                    level[each] = room
    return level


def _joined(
    order: Sequence[int], keys: Sequence[tuple[float, int]], near: dict[int, set[int]]
) -> list[list[int]]:
    """Groups of equal keys that are neighbors, which share a row, in order."""
    found: list[list[int]] = []
    seen: set[int] = set()
    for start in order:
        if start in seen:
            continue
        cluster, queue = [], [start]
        seen.add(start)
        while queue:
            group = queue.pop()
            cluster.append(group)
            for other in sorted(near[group]):
                if other not in seen and keys[other] == keys[group]:
                    seen.add(other)
                    queue.append(other)
        found.append(sorted(cluster))
    return found


def _edges(subject: Subject, number: dict[str, int]) -> dict[tuple[int, int], float]:
    """The conductance between groups, and from strips (first) to groups."""
    inputs = {strip.key for strip in subject.inputs}
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    for leg in subject.legs.values():
        ends = [number.get(end.key, BOTTOM if end.key in inputs else TOP) for end in leg.ends]
        share = 1 / max(1, len(ends) - 1)
        counted: defaultdict[int, int] = defaultdict(int)
        for end in ends:
            counted[end] += 1
        kinds = sorted(counted)
        for place, one in enumerate(kinds):
            for other in kinds[place + 1 :]:
                if other >= 0:  # a leg from an input to the output holds no group
                    found[one, other] += share * counted[one] * counted[other]
    return {
        pair: weight
        for (one, other), weight in found.items()
        for pair in ([(one, other), (other, one)] if one >= 0 else [(one, other)])
    }


def _order(
    subject: Subject, groups: Sequence[Group], edges: dict[tuple[int, int], float]
) -> list[tuple[float, int]]:
    """What groups are ordered by: their potential, and how far they hang from what is held."""
    potential = _potentials(len(groups), edges)
    pinned = {
        group for group in range(len(groups)) if (BOTTOM, group) in edges and (TOP, group) in edges
    }
    for group in pinned:
        potential[group] = 0.5
    held = pinned or {other for one, other in edges if one < 0}
    if not held and groups:
        held = {0}
    far = distances(subject, [key for group in sorted(held) for key in groups[group].members])
    hung = [min((far.get(key, 0) for key in group.members), default=0) for group in groups]
    return [
        (round(potential[group], 6), 0 if group in held else hung[group])
        for group in range(len(groups))
    ]


def _potentials(count: int, edges: dict[tuple[int, int], float]) -> list[float]:
    """The potential of each group; one half where nothing holds it.

    A group with legs on both an input and the output is held at one half.
    """
    import numpy as np

    if not count:
        return []
    matrix, right = np.zeros((count, count)), np.zeros(count)
    for (one, other), weight in edges.items():
        matrix[other, other] += weight
        if one >= 0:
            matrix[other, one] -= weight
        elif one == TOP:
            right[other] += weight
    for group in range(count):
        if (BOTTOM, group) in edges and (TOP, group) in edges:
            matrix[group] = 0
            matrix[group, group], right[group] = 1, 0.5
    # A part of the network without a strip is held by next to nothing, at one half.
    loose = 1e-9
    matrix += loose * np.eye(count)
    right += loose / 2
    return [float(value) for value in np.linalg.solve(matrix, right)]


def _dot_row(leg: Leg, rows: dict[str, int], top: int) -> int:
    """Beside the row with most of its ends, towards the others; above it where all are in one."""
    at = [rows.get(end.key, top if end.key.startswith("output ") else 0) for end in leg.ends]
    counted: defaultdict[int, int] = defaultdict(int)
    for row in at:
        counted[row] += 1
    most = max(counted, key=lambda row: (counted[row], -abs(2 * row - top), -row))
    others = [row for row in at if row != most]
    towards = sum(others) / len(others) - most if others else (1 if most < top else -1)
    return most + (1 if towards > 0 else -1)
