"""Layouts of the operands of a contraction: orders of indices, strides, seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tncompile.lowering.schedule import MatmulLayout, Order
from tncompile.program.layout import as_matrix

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
        for groups in self._groups(option.order):
            batch, rows, columns = (
                tuple(index for index in option.order if index in group) for group in groups
            )
            if as_matrix(option.runs, batch, rows, columns, 1) is not None:
                return True
        return False

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
