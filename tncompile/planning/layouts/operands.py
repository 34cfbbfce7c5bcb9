"""Layouts of the operands of a contraction: orders of indices, strides, seconds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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

    operands: tuple[OperandLayouts, OperandLayouts]
    summed: frozenset[str]
    batch: frozenset[str]  # of both operands and of the result
    hints: tuple[Order, ...]
    next_use_groups: tuple[frozenset[str], ...]  # summed and kept by the next contraction
    views: dict[tuple[int, Order, Order, Order], MatrixView] = field(default_factory=dict)


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
