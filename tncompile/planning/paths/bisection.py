"""Orders of the terms by bisection: halves with few indices between them, again and again.

Terms move between the halves one after the other, the best first, and the halves with the smallest
cut stay (Fiduccia and Mattheyses 1982). Nothing here depends on a clock, a set or a package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tncompile.planning.paths.problem import Problem

TRIES = 2  # halves that are grown at random and improved, of which the better ones stay
PASSES = 8
UNEVEN = (0.1, 0.35)  # how far from one half the smaller side may be; drawn anew for each bisection
LEAST_GAIN = 1e-9


@dataclass(frozen=True, slots=True)
class _Net:
    """An index between two terms or more; its weight is the logarithm of its size."""

    weight: float
    terms: tuple[int, ...]


def bisected_order(problem: Problem, rng: Random) -> tuple[int, ...]:
    """All terms, so that what shares much is close together."""
    ends: dict[int, list[int]] = {}
    for term, legs in enumerate(problem.terms):
        for leg in dict.fromkeys(legs):
            ends.setdefault(leg, []).append(term)
    nets = [
        _Net(math.log2(problem.sizes[leg]), tuple(terms))
        for leg, terms in ends.items()
        if len(terms) > 1 and problem.sizes[leg] > 1
    ]
    order: list[int] = []
    placed: set[int] = set()
    waiting = [list(range(len(problem.terms)))]
    while waiting:
        part = waiting.pop()
        if len(part) <= 2:
            order += part
            placed.update(part)
            continue
        place = {term: k for k, term in enumerate(part)}
        inner = [
            _Net(net.weight, terms)
            for net in nets
            if len(terms := tuple(place[k] for k in net.terms if k in place)) > 1
        ]
        halves = [_halves(len(part), inner, rng) for _ in range(TRIES)]
        _, sides = min(halves, key=lambda half: half[0])
        left = [term for term, side in zip(part, sides, strict=True) if not side]
        right = [term for term, side in zip(part, sides, strict=True) if side]
        if _pull(right, nets, placed) > _pull(left, nets, placed):
            left, right = right, left
        waiting += [right, left]
    return tuple(order)


def _pull(part: Sequence[int], nets: Sequence[_Net], placed: set[int]) -> float:
    """What an average term of a part shares with those that stand to the left."""
    apart = set(part).isdisjoint
    weights = (n.weight for n in nets if not apart(n.terms) and not placed.isdisjoint(n.terms))
    return sum(weights) / len(part)


def _halves(count: int, nets: Sequence[_Net], rng: Random) -> tuple[float, list[bool]]:
    """What is cut between two sides, and the side of each term."""
    of: list[list[int]] = [[] for _ in range(count)]
    for number, net in enumerate(nets):
        for term in net.terms:
            of[term].append(number)
    least = max(1, int(count * (0.5 - rng.uniform(*UNEVEN))))
    # Half of the terms around a random one: always the neighbor that shares most.
    sides, pulls = [True] * count, [0.0] * count
    for _ in range(count // 2):
        most = max(pull for pull, side in zip(pulls, sides, strict=True) if side)
        grown = rng.choice([k for k in range(count) if sides[k] and pulls[k] >= most])
        sides[grown] = False
        for net in (nets[number] for number in of[grown]):
            for term in net.terms:
                pulls[term] += net.weight / (len(net.terms) - 1)
    for _ in range(PASSES):
        gained, sides = _moved(nets, of, sides, least)
        if gained <= LEAST_GAIN:
            break
    return sum(net.weight for net in nets if len({sides[k] for k in net.terms}) > 1), sides


def _moved(
    nets: Sequence[_Net], of: list[list[int]], start: list[bool], least: int
) -> tuple[float, list[bool]]:
    """Every term moved once, the best first; how much less is cut at best, and the sides then."""
    sides = list(start)
    ends = [[0, 0] for _ in nets]  # of each net on each side
    for net, counts in zip(nets, ends, strict=True):
        for term in net.terms:
            counts[sides[term]] += 1
    sizes = [len(sides) - sum(sides), sum(sides)]

    def gain(term: int) -> float:
        side = sides[term]
        alone = sum(nets[k].weight for k in of[term] if ends[k][side] == 1)
        return alone - sum(nets[k].weight for k in of[term] if ends[k][not side] == 0)

    gains = [gain(term) for term in range(len(sides))]
    free = dict.fromkeys(range(len(sides)))
    moves: list[int] = []
    total = best = 0.0
    length = 0
    while movable := [term for term in free if sizes[sides[term]] > least]:
        term = max(movable, key=lambda k: (gains[k], -k))
        side = sides[term]
        del free[term]
        total += gains[term]
        sides[term] = not side
        sizes[side] -= 1
        sizes[not side] += 1
        moves.append(term)
        for number in of[term]:
            ends[number][side] -= 1
            ends[number][not side] += 1
        for other in {k for number in of[term] for k in nets[number].terms}:
            if other in free:
                gains[other] = gain(other)
        if total > best + LEAST_GAIN:
            best, length = total, len(moves)
    for term in moves[length:]:
        sides[term] = not sides[term]
    return best, sides
