"""The best tree along an order: every subtree contracts neighbors of one order of the terms.

Among these trees are all sweeps, all bisections of the order and, for the order in which a tree has
its leaves, that tree. The best of them is found like the order of a product of matrices, in the
cube of the terms. Lattices, chains and trees have orders whose best tree is nearly the best of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tncompile.planning.problem import Pair, Problem

LONGEST = 256
"""Terms of the longest order that this is for: a third of a second of processor time."""

WIDEST = 1000.0
"""The logarithm to base 2 of the sizes of all indices from which floats might overflow."""

Table = list[list[float]]  # of the interval from i to before j at [i][j - i - 1]


def interval_path(problem: Problem, order: Sequence[int], written: float = 0.0) -> tuple[Pair, ...]:
    """The path of the best tree along an order of all terms.

    Its multiply-adds are the least, together with `written` times the elements of all results.
    """
    inside, crossing = _tables(problem, order)
    # Sizes are shrunk where needed: a tree is then the best one up to rounding of its exponents.
    shrink = min(1.0, WIDEST / max(1.0, _widest(problem)))
    costs: Table = [[] for _ in order]
    down: Table = [[] for _ in range(len(order) + 1)]  # the same by last term, the first descending
    closed: Table = [[] for _ in order]  # one over what is summed within, in the same two ways
    closed_down: Table = [[] for _ in range(len(order) + 1)]
    splits: list[list[int]] = [[] for _ in order]
    for first in reversed(range(len(order))):
        cost, close, split = costs[first], closed[first], splits[first]
        for last in range(first + 1, len(order) + 1):
            place = last - first - 1
            within = inside[first][place]
            if place:
                # What both sides carry: the result, and what is summed within, but in neither.
                both = 2.0 ** (shrink * (crossing[first][place] + within))
                above = zip(
                    cost, close, reversed(down[last]), reversed(closed_down[last]), strict=True
                )
                found = [left + right + both * one * other for left, one, right, other in above]
                least = min(found)
                split.append(found.index(least) + 1)
                cost.append(least + written * 2.0 ** (shrink * crossing[first][place]))
            else:
                split.append(0)
                cost.append(0.0)
            close.append(2.0 ** (-shrink * within))
            down[last].append(cost[-1])
            closed_down[last].append(close[-1])
    return _pairs(order, splits)


def leaf_order(count: int, pairs: Sequence[Pair]) -> tuple[int, ...]:
    """The leaves of a tree from left to right.

    >>> leaf_order(4, [(0, 2), (1, 3), (5, 4)])
    (1, 3, 0, 2)
    """
    order: list[int] = []
    waiting = [count + len(pairs) - 1]
    while waiting:
        term = waiting.pop()
        if term < count:
            order.append(term)
        else:
            left, right = pairs[term - count]
            waiting += [right, left]
    return tuple(order)


def _widest(problem: Problem) -> float:
    legs = {leg for term in problem.terms for leg in term}
    return sum(math.log2(problem.sizes[leg]) for leg in legs)


def _tables(problem: Problem, order: Sequence[int]) -> tuple[Table, Table]:
    """For every interval the logarithms of the sizes summed within it, and of its result."""
    ends: dict[int, list[int]] = {}
    for place, term in enumerate(order):
        for leg in dict.fromkeys(problem.terms[term]):
            ends.setdefault(leg, []).append(place)
    kept = set(problem.output)
    met: list[list[tuple[int, float]]] = [[] for _ in order]  # the end before, and the size
    over: list[list[tuple[int, float]]] = [[] for _ in order]  # at the last end: the first one
    for leg, places in ends.items():
        size = math.log2(problem.sizes[leg])
        for before, here in zip([-1, *places], places, strict=False):
            met[here].append((before, size))
        if leg not in kept:
            over[places[-1]].append((places[0], size))
    inside: Table = []
    crossing: Table = []
    for first in range(len(order)):
        carried = summed = 0.0
        within, results = [], []
        for last in range(first, len(order)):
            carried += sum(size for before, size in met[last] if before < first)
            summed += sum(size for start, size in over[last] if first <= start)
            # What a term alone has is summed where it first meets another.
            within.append(summed if last > first else 0.0)
            results.append(carried - within[-1])
        inside.append(within)
        crossing.append(results)
    return inside, crossing


def _pairs(order: Sequence[int], splits: list[list[int]]) -> tuple[Pair, ...]:
    """The path of the tree that these splits make."""
    pairs: list[Pair] = []
    made: list[int] = []
    waiting = [(0, len(order), False)]
    while waiting:
        first, last, divided = waiting.pop()
        if last - first == 1:
            made.append(order[first])
        elif divided:
            right, left = made.pop(), made.pop()
            pairs.append((min(left, right), max(left, right)))
            made.append(len(order) + len(pairs) - 1)
        else:
            middle = first + splits[first][last - first - 1]
            waiting += [(first, last, True), (middle, last, False), (first, middle, False)]
    return tuple(pairs)
