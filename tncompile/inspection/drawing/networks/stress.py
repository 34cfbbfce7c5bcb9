"""Where nodes of a graph without rows stand: distances in the picture like those in the graph.

Stress majorization (Gansner, Koren and North, "Graph Drawing by Stress Majorization", 2004), from
classical scaling; inputs are turned to the bottom, and nodes pushed apart.
"""

from __future__ import annotations

from collections import defaultdict, deque
from math import atan2, cos, pi, sin

from tncompile.inspection.drawing.layout.subject import Subject
from tncompile.inspection.drawing.scene import Point

SCALE, MORE = 112.0, 9.0
"""The length of a leg, and how much longer it is for each leg of a node in the mean."""

ROUNDS = 200
APART = (96.0, 72.0)
"""Nodes are pushed apart until they are so far from each other along one axis."""


def stress_places(subject: Subject) -> dict[str, Point]:
    """A place for each node, and for the dot of each index with more ends, by `dot NAME`."""
    import numpy as np

    dots = [f"dot {leg.name}" for leg in subject.legs.values() if not leg.is_line]
    keys = [*subject.nodes, *dots]
    if len(keys) < 3:
        return {key: (SCALE * number, 0.0) for number, key in enumerate(keys)}
    near = _near(subject)
    far = np.array(_distances(near, keys))
    count = len(keys)
    centering = np.eye(count) - 1 / count
    gram = -0.5 * centering @ far**2 @ centering
    values, vectors = np.linalg.eigh(np.round(gram, 9))
    places = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 1e-6))
    largest = places[np.abs(places).argmax(0), [0, 1]]
    places = np.round(places * np.where(largest < 0, -1, 1), 6)
    weights = 1 / np.where(far > 0, far, 1) ** 2
    np.fill_diagonal(weights, 0)
    inverse = np.linalg.pinv(np.diag(weights.sum(1)) - weights)
    for _ in range(ROUNDS):
        apart = np.linalg.norm(places[:, None] - places[None], axis=2)
        ratio = -weights * far / np.where(apart > 1e-9, apart, 1)
        np.fill_diagonal(ratio, 0)
        np.fill_diagonal(ratio, -ratio.sum(1))
        moved = inverse @ (ratio @ places)
        if np.abs(moved - places).max() < 1e-5:
            break
        places = moved
    legs = sum(len(each) for each in near.values()) / 2
    scale = SCALE + MORE * legs / count
    found = {
        key: (scale * float(x), scale * float(y))
        for key, (x, y) in zip(keys, np.round(places, 4), strict=True)
    }
    return _pushed(_turned(subject, found))


Near = dict[str, list[tuple[str, float]]]


def _near(subject: Subject) -> Near:
    """What is one leg away; the dot of an index with more ends is 0.7."""
    near: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for leg in subject.legs.values():
        ends = [end.key for end in leg.ends if end.key in subject.nodes]
        if len(ends) == 2 and leg.is_line:
            near[ends[0]].append((ends[1], 1.0))
            near[ends[1]].append((ends[0], 1.0))
        elif not leg.is_line:
            for key in ends:
                near[key].append((f"dot {leg.name}", 0.7))
                near[f"dot {leg.name}"].append((key, 0.7))
    return near


def _distances(near: Near, keys: list[str]) -> list[list[float]]:
    """The length of the shortest way between any two."""
    found = []
    for start in keys:
        far = {start: 0.0}
        queue = deque([start])
        while queue:
            key = queue.popleft()
            for other, step in near.get(key, ()):
                if far[key] + step < far.get(other, 1e9) - 1e-9:
                    far[other] = far[key] + step
                    queue.append(other)
        most = max(far.values()) + 1
        found.append([far.get(key, most) for key in keys])
    return [[max(found[i][j], found[j][i]) for j in range(len(keys))] for i in range(len(keys))]


def _turned(subject: Subject, places: dict[str, Point]) -> dict[str, Point]:
    """All places turned so that nodes at inputs are low and those at the output high."""
    x = y = 0.0
    for leg in subject.legs.values():
        way = sum(
            (1 if end.key.startswith("input ") else -1) for end in leg.ends if end.cell is not None
        )
        for end in leg.ends:
            if end.key in places:
                x, y = x + way * places[end.key][0], y + way * places[end.key][1]
    turn = pi / 2 - atan2(y, x) if abs(x) + abs(y) > 1e-6 else 0.0
    return {
        key: (a * cos(turn) - b * sin(turn), a * sin(turn) + b * cos(turn))
        for key, (a, b) in places.items()
    }


def _pushed(places: dict[str, Point]) -> dict[str, Point]:
    """Nodes that are too close, moved along the axis where less is missing."""
    keys = list(places)
    found = {key: [round(x, 2), round(y, 2)] for key, (x, y) in places.items()}
    for _ in range(200):
        moved = False
        for number, one in enumerate(keys):
            for other in keys[number + 1 :]:
                a, b = found[one], found[other]
                dots = one.startswith("dot ") + other.startswith("dot ")
                least = [side - (0.3 * dots) * side for side in APART]
                gaps = [least[axis] - abs(a[axis] - b[axis]) for axis in (0, 1)]
                if min(gaps) <= 0.01:
                    continue
                axis = 0 if gaps[0] / least[0] < gaps[1] / least[1] else 1
                way = 1 if b[axis] >= a[axis] else -1
                a[axis] -= way * gaps[axis] / 2
                b[axis] += way * gaps[axis] / 2
                moved = True
        if not moved:
            break
    return {key: (round(x, 1), round(y, 1)) for key, (x, y) in found.items()}
