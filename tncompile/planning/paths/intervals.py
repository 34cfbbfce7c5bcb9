"""The best tree along an order: every subtree contracts neighbors of one order of the terms.

Among these trees are all sweeps, all bisections of the order and, for the order in which a tree has
its leaves, that tree. The best of them is found like the order of a product of matrices, in the
cube of the terms. Lattices, chains and trees have orders whose best tree is nearly the best of all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from tncompile.planning.paths.problem import Pair, Problem

if TYPE_CHECKING:
    import numpy

LONGEST = 320  # terms of the longest order that this is for: a tenth of a second of processor time
WIDEST = 1000.0  # log2 of the sizes of all indices from which floats might overflow

Table: TypeAlias = "numpy.ndarray[tuple[int, int], numpy.dtype[numpy.float64]]"
"""A number of the interval from each first term to each last one."""


def interval_path(problem: Problem, order: Sequence[int], written: float = 0.0) -> tuple[Pair, ...]:
    """The path of the best tree along an order of all terms.

    Its multiply-adds are the least, together with `written` times the elements of all results.
    """
    import numpy

    count = len(order)
    if count < 2:
        return ()
    within, results = _tables(problem, order)
    # Where floats might overflow, all sizes are taken to one root: that tree is a good one, too.
    legs = {leg for term in problem.terms for leg in term}
    root = min(1.0, WIDEST / max(1.0, sum(math.log2(problem.sizes[leg]) for leg in legs)))
    # What both sides carry: the result, and what is summed within, but in neither of them.
    both, inverse = _powers(root * (within + results)), _powers(-root * within)
    kept = _powers(root * results) if written else results
    # Intervals of one length at a time. Rows are first terms, columns lengths; the second of each
    # two tables has the same by the term behind the last one.
    cost, cost_up = numpy.zeros((count, count + 1)), numpy.zeros((count + 1, count + 1))
    close, close_up = numpy.ones((count, count + 1)), numpy.ones((count + 1, count + 1))
    splits = numpy.zeros((count, count + 1), dtype=numpy.int64)
    numbers = numpy.arange(count)
    for length in range(2, count + 1):
        firsts = count - length + 1
        left, right = slice(1, length), slice(length - 1, 0, -1)
        prices = close[:firsts, left] * close_up[length:, right]
        prices *= both.diagonal(length - 1)[:, None]
        prices += cost[:firsts, left]
        prices += cost_up[length:, right]
        places = prices.argmin(axis=1)  # the first among equals
        least = prices[numbers[:firsts], places]
        if written:
            least = least + written * kept.diagonal(length - 1)
        splits[:firsts, length] = places + 1
        cost[:firsts, length] = cost_up[length:, length] = least
        close[:firsts, length] = close_up[length:, length] = inverse.diagonal(length - 1)
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
    import numpy

    count = len(order)
    ends: dict[int, list[int]] = {}
    for place, term in enumerate(order):
        for leg in dict.fromkeys(problem.terms[term]):
            ends.setdefault(leg, []).append(place)
    output = set(problem.output)
    # What each last term adds to an interval, for all first terms at once.
    met, over = numpy.zeros((count, count)), numpy.zeros((count, count))
    for leg, places in ends.items():
        size = math.log2(problem.sizes[leg])
        for before, here in zip([-1, *places], places, strict=False):
            met[before + 1 : here + 1, here] += size
        if leg not in output:
            over[: places[0] + 1, places[-1]] += size
    within = over.cumsum(axis=1)
    numpy.fill_diagonal(within, 0.0)  # what a term alone has is summed where it first meets another
    return within, met.cumsum(axis=1) - within


def _powers(logarithms: Table) -> Table:
    """Two to the power of each: Python's, since numpy's depends on the processor."""
    import numpy

    exponents = logarithms.astype(numpy.int64)
    if (exponents == logarithms).all():
        return numpy.ldexp(1.0, exponents)
    upper = numpy.triu(numpy.ones(logarithms.shape, dtype=bool))
    powers = numpy.ones(logarithms.shape)
    powers[upper] = [2.0**log for log in logarithms[upper].tolist()]
    return powers
