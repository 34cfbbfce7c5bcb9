"""Ways to have the operands of a contraction in memory: orders, strides, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tncompile.lowering.schedule import MatmulLayout, Order

ORDERS = 4
"""Orders tried of every group of indices, …"""

LOOKED_AT = 4
"""… first those in which the cheapest ways have it."""

LONGEST_PREFIX = 3
"""So many outer indices a product may be batched over."""

Runs = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class LayoutOption:
    """One way to have an operand in memory: its order, its strides, its price, how it was made."""

    order: Order
    runs: Runs  # length and stride of every index
    seconds: float
    form: MatmulLayout | None = None
    left: LayoutOption | None = None
    right: LayoutOption | None = None


@dataclass(frozen=True, slots=True)
class OperandLayouts:
    """One side of a contraction: the ways to have it, and what it depends on."""

    ways: tuple[LayoutOption, ...]
    fixed: bool  # depends on no input
    wanting: bool  # depends on parameters, so that it needs a gradient
    made: bool  # is no leaf


@dataclass(slots=True)
class MatrixView:
    """The cheapest way to take an operand as a matrix of certain groups."""

    way: LayoutOption
    seconds: float
    turned: bool


@dataclass(frozen=True, slots=True)
class IndexGroups:
    """A contraction sorted into groups of indices."""

    left: OperandLayouts
    right: OperandLayouts
    summed: frozenset[str]
    both: frozenset[str]  # shared and kept
    size: Mapping[str, int]
    hints: tuple[Order, ...]
    apart: tuple[frozenset[str], ...]  # what the next contraction treats alike: sums, or keeps
    taken: dict[tuple[int, Order, Order, Order], MatrixView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NextUse:
    """What the next contraction does with the indices of a result."""

    both: frozenset[str]  # shared with the other operand, and kept
    free: frozenset[str]
    summed: frozenset[str]
    apart: tuple[frozenset[str], ...]  # free ones that the contraction after it treats alike
    repeating: bool

    def takes(self, way: LayoutOption) -> bool:
        """Whether it is a matrix product of the result as it is."""
        return any(
            as_matrix(
                way.runs,
                *(tuple(index for index in way.order if index in group) for group in groups),
            )
            is not None
            for groups in self._groups(way.order)
        )

    def _groups(self, order: Order) -> Iterator[tuple[frozenset[str], ...]]:
        """Batch, rows and summed indices: free ones may be in the batch where nothing else is."""
        yield self.both, self.free, self.summed
        if self.both or not self.repeating:
            return
        for batch in (*map(frozenset, prefixes(order, self.free)), *self.apart):
            yield batch, self.free - batch, self.summed


def prefixes(order: Order, free: frozenset[str]) -> Iterator[Order]:
    """Outer indices of an operand, all free, that a product may be batched over."""
    for length in range(1, min(LONGEST_PREFIX, len(order)) + 1):
        if order[length - 1] not in free:
            return
        yield order[:length]


def orders_of(
    group: frozenset[str], sides: tuple[tuple[LayoutOption, ...], ...], hints: tuple[Order, ...]
) -> tuple[Order, ...]:
    """Orders of a group of indices: as operands have it in memory, as the next product wants it."""
    if not group:
        return ((),)
    found: dict[Order, None] = {}
    best = [way.order for ways in sides for way in ways[:1]]
    others = [way.order for ways in sides for way in ways[1:LOOKED_AT]]
    for order in (*best, *hints, *others):
        found[tuple(index for index in order if index in group)] = None
    return tuple(order for order in found if len(order) == len(group))[:ORDERS]


def as_matrix(runs: Runs, batch: Order, rows: Order, columns: Order) -> bool | None:
    """Whether BLAS takes these groups as they are: False row major, True turned, None not."""
    if batch and merged(runs, batch) is None:
        return None
    down, along = merged(runs, rows), merged(runs, columns)
    if down is None or along is None:
        return None
    if (along[1] == 1 or along[0] == 1) and (down[0] == 1 or down[1] >= along[0]):
        return False
    if (down[1] == 1 or down[0] == 1) and (along[0] == 1 or along[1] >= down[0]):
        return True
    return None


def merged(runs: Runs, group: Order) -> tuple[int, int] | None:
    """Length and stride of a group as one axis; None where that takes a copy."""
    held = [runs[index] for index in group if runs[index][0] != 1]
    for (_, outer), (length, stride) in pairwise(held):
        if outer != stride * length:
            return None
    return math.prod(length for length, _ in held), held[-1][1] if held else 1
