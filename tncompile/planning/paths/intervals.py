"""The best tree along an order: every subtree contracts neighbors of one order of the terms.

Among these trees are all sweeps, all bisections of the order and, for the order in which a tree has
its leaves, that tree. The best of them is found like the order of a product of matrices, in the
cube of the terms. Lattices, chains and trees have orders whose best tree is nearly the best of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tncompile.planning.paths.problem import Pair, Problem

LONGEST = 320  # terms of the longest order that this is for: a tenth of a second of processor time
WIDEST = 1000.0  # log2 of the sizes of all indices from which floats might overflow

Table = list[list[float]]  # of the interval from i to before j at [i][j - i - 1]


def interval_path(problem: Problem, order: Sequence[int], written: float = 0.0) -> tuple[Pair, ...]:
    """The path of the best tree along an order of all terms.

    Its multiply-adds are the least, together with `written` times the elements of all results.
    """
    import numpy

    count = len(order)
    if count < 2:
        return ()
    inside, crossing = _tables(problem, order)
    # Where floats might overflow, all sizes are taken to one root: that tree is a good one, too.
    legs = {leg for term in problem.terms for leg in term}
    root = min(1.0, WIDEST / max(1.0, sum(math.log2(problem.sizes[leg]) for leg in legs)))
    # Intervals of one length at a time. Rows are first terms, columns lengths; the second of each
    # two tables has the same by the term behind the last one.
    cost, cost_up = numpy.zeros((count, count + 1)), numpy.zeros((count + 1, count + 1))
    close, close_up = numpy.ones((count, count + 1)), numpy.ones((count + 1, count + 1))
    splits = numpy.zeros((count, count + 1), dtype=numpy.int64)
    for length in range(2, count + 1):
        firsts = count - length + 1
        within = [inside[first][length - 1] for first in range(firsts)]
        results = [crossing[first][length - 1] for first in range(firsts)]
        # What both sides carry: the result, and what is summed within, but in neither of them.
        logs = zip(within, results, strict=True)
        both = numpy.array([2.0 ** (root * (summed + kept)) for summed, kept in logs])
        left, right = slice(1, length), slice(length - 1, 0, -1)
        prices = close[:firsts, left] * close_up[length:, right]
        prices *= both[:, None]
        prices += cost[:firsts, left]
        prices += cost_up[length:, right]
        places = prices.argmin(axis=1)  # the first among equals
        least = prices[numpy.arange(firsts), places]
        if written:
            least = least + written * numpy.array([2.0 ** (root * log) for log in results])
        splits[:firsts, length] = places + 1
        cost[:firsts, length] = cost_up[length:, length] = least
        close[:firsts, length] = close_up[length:, length] = [2.0 ** (-root * x) for x in within]
    pairs: list[Pair] = []
    split: list[list[int]] = splits.tolist()

    def contract(first: int, last: int) -> int:
        """Adds the pairs of an interval, the left part's first; the number of its result."""
        if last - first == 1:
            return order[first]
        middle = first + split[first][last - first]
        left, right = contract(first, middle), contract(middle, last)
        pairs.append((min(left, right), max(left, right)))
        return count + len(pairs) - 1

    contract(0, count)
    return tuple(pairs)


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


def _tables(problem: Problem, order: Sequence[int]) -> tuple[Table, Table]:
    """For every interval the logarithms of the sizes summed within it, and of its result."""
    ends: dict[int, list[int]] = {}
    for place, term in enumerate(order):
        for leg in dict.fromkeys(problem.terms[term]):
            ends.setdefault(leg, []).append(place)
    output = set(problem.output)
    met: list[list[tuple[int, float]]] = [[] for _ in order]  # the end before, and the size
    over: list[list[tuple[int, float]]] = [[] for _ in order]  # at the last end: the first one
    for leg, places in ends.items():
        size = math.log2(problem.sizes[leg])
        for before, here in zip([-1, *places], places, strict=False):
            met[here].append((before, size))
        if leg not in output:
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
