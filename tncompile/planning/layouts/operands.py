"""Layouts of the operands of a contraction: orders of indices, strides, seconds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from tncompile.lowering.schedule import MatmulLayout, Order

ORDERS = 4
"""Orders tried of every group of indices."""

CHEAPEST = 4
"""Options of an operand whose orders are among them."""

LONGEST_PREFIX = 3
"""Outer indices that a product may be batched over, at most."""

Runs = Mapping[str, tuple[int, int]]
"""Length and stride of every index."""


@dataclass(frozen=True, slots=True)
class LayoutOption:
    """An operand in one order of memory, the seconds it takes, and how it is computed."""

    order: Order
    runs: Runs
    seconds: float
    layout: MatmulLayout | None = None
    left: LayoutOption | None = None
    right: LayoutOption | None = None


@dataclass(frozen=True, slots=True)
class OperandLayouts:
    """One side of a contraction: its layouts, the cheapest first, and what it depends on."""

    options: tuple[LayoutOption, ...]
    input_independent: bool
    requires_grad: bool
    is_intermediate: bool


@dataclass(slots=True)
class MatrixView:
    """The cheapest option of an operand as a matrix of certain groups of indices."""

    option: LayoutOption
    seconds: float
    transposed: bool


@dataclass(frozen=True, slots=True)
class IndexGroups:
    """A contraction whose indices are sorted into groups."""

    left: OperandLayouts
    right: OperandLayouts
    summed: frozenset[str]
    batch: frozenset[str]  # of both operands and of the result
    hints: tuple[Order, ...]
    next_use_groups: tuple[frozenset[str], ...]  # summed and kept by the next contraction
    views: dict[tuple[int, Order, Order, Order], MatrixView] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NextUse:
    """How the next contraction uses the indices of a result."""

    batch: frozenset[str]  # of both operands and of the next result
    free: frozenset[str]
    summed: frozenset[str]
    next_use_groups: tuple[frozenset[str], ...]  # of free ones, by the contraction after it
    broadcasting: bool

    def takes(self, option: LayoutOption) -> bool:
        """Whether BLAS takes the result as it is."""
        return any(
            as_matrix(
                option.runs,
                *(tuple(index for index in option.order if index in group) for group in groups),
            )
            is not None
            for groups in self._groups(option.order)
        )

    def _groups(self, order: Order) -> Iterator[tuple[frozenset[str], ...]]:
        """Batch, rows and summed indices; free ones may be the batch where there is none."""
        yield self.batch, self.free, self.summed
        if self.batch or not self.broadcasting:
            return
        for batch in (*map(frozenset, prefixes(order, self.free)), *self.next_use_groups):
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
    """Orders of a group of indices: those of the operands' options and those of the hints."""
    if not group:
        return ((),)
    best = [option.order for options in sides for option in options[:1]]
    others = [option.order for options in sides for option in options[1:CHEAPEST]]
    orders = dict.fromkeys(
        tuple(index for index in order if index in group) for order in (*best, *hints, *others)
    )
    return tuple(order for order in orders if len(order) == len(group))[:ORDERS]


def as_matrix(runs: Runs, batch: Order, rows: Order, columns: Order) -> bool | None:
    """Whether BLAS takes these groups transposed; None where it does not take them at all."""
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
    axes = [runs[index] for index in group if runs[index][0] != 1]
    for (_, outer), (length, stride) in pairwise(axes):
        if outer != stride * length:
            return None
    return math.prod(length for length, _ in axes), axes[-1][1] if axes else 1
