"""Layouts of the operands of a contraction, and estimated seconds of single products and copies.

A rough sum, quick enough for thousands of alternatives; `simulation.trace` runs the whole program
for the few that are promising.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from tncompile.lowering.schedule import Layout, Order
from tncompile.machine.convolution import Convolution as ConvolutionSizes
from tncompile.machine.convolution import ConvolutionPass
from tncompile.machine.profile import GIGA, MachineProfile
from tncompile.planning.layouts.memory import MemoryOrder
from tncompile.simulation.modes import Mode

WIDTH = 4  # bytes of a number
ORDERS = 4  # tried of every group of indices
CHEAPEST = 4  # options of an operand whose orders are among them
LONGEST_PREFIX = 3  # outer indices that a product may be batched over, at most

Pair = tuple[bool, bool]


@dataclass(slots=True, eq=False)
class LayoutOption:
    """An operand in one order of memory, the seconds it takes, and how it is computed."""

    memory: MemoryOrder
    seconds: float
    layout: Layout | None = None
    left: LayoutOption | None = None
    right: LayoutOption | None = None

    @property
    def order(self) -> Order:
        """Its indices in order of memory."""
        return self.memory.order


@dataclass(frozen=True, slots=True)
class OperandLayouts:
    """One side of a contraction: its layouts, the cheapest first, and what it depends on."""

    options: tuple[LayoutOption, ...]
    input_independent: bool
    requires_grad: bool
    keeps_format: bool  # its gradient has to lie as it does: an intermediate or an image


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


class LayoutCostModel:
    """Seconds of products and copies on a machine, forward and, in training, backward.

    Copies cost `caution` times the prediction.
    """

    def __init__(self, profile: MachineProfile, mode: Mode, caution: float = 1.0) -> None:
        self.profile, self.caution = profile, caution
        self.training, self.folded = mode == "training", mode == "folded"

    def product(
        self,
        matrices: int,
        rows: int,
        summed: int,
        columns: int,
        operands: tuple[OperandLayouts, OperandLayouts],
        broadcast: Pair,
        transposed: Pair,
    ) -> float:
        """`matrices` products (rows, summed) @ (summed, columns), in training their gradients, too.

        A `broadcast` operand is one matrix for all products, a `transposed` one is column-major.
        """
        if self.folded and all(operand.input_independent for operand in operands):
            return 0.0
        requires_grad = tuple(operand.requires_grad for operand in operands)
        left, right = broadcast
        seconds = self.profile.call
        seconds += self._matmul(matrices, rows, summed, columns, broadcast, transposed)
        if not self.training or not any(requires_grad):
            return seconds
        seconds += self.profile.recording + self.profile.backward_call
        if requires_grad[0]:
            orders = False, not transposed[1]
            seconds += self._matmul(matrices, rows, columns, summed, (False, right), orders)
            if left:
                seconds += self._sum_over_matrices(matrices, rows * summed)
        if requires_grad[1]:
            orders = not transposed[0], False
            seconds += self._matmul(matrices, summed, rows, columns, (left, False), orders)
            if right:
                seconds += self._sum_over_matrices(matrices, summed * columns)
        if matrices > 1:
            # `bmm` gives row-major gradients: that of a column-major operand is transposed later.
            for k, count in enumerate((rows * summed, summed * columns)):
                keeps_format = requires_grad[k] and operands[k].keeps_format
                if transposed[k] and keeps_format and not broadcast[k]:
                    seconds += self._copy(matrices * count, 1)
        return seconds

    def least_product(
        self,
        operands: tuple[OperandLayouts, OperandLayouts],
        multiply_adds: int,
        summed: int,
        written: int,
    ) -> float:
        """What no product, or products, of so many multiply-adds falls below."""
        seconds = self.profile.call + self._allocate(WIDTH * written)
        seconds += 2.0 * multiply_adds / (self.profile.fastest_products(summed) * GIGA)
        for operand in operands:
            if self.training and operand.requires_grad:
                seconds += 2.0 * multiply_adds / (self.profile.fastest_products() * GIGA)
        return seconds

    def convolution(
        self,
        operands: tuple[OperandLayouts, OperandLayouts],
        sizes: ConvolutionSizes,
        *,
        channels_last: bool,
    ) -> float:
        """One convolution of an image and a weight, in training its gradients, too."""
        if self.folded and all(operand.input_independent for operand in operands):
            return 0.0

        def one(which: ConvolutionPass) -> float:
            return self.profile.convolution_seconds(
                which, sizes, channels_last=channels_last, width=WIDTH
            )

        seconds = self.profile.call + one("forward")
        written = sizes.rows * sizes.groups * sizes.columns * math.prod(sizes.lengths_out)
        seconds += self._allocate(WIDTH * written)
        image, weight = (operand.requires_grad for operand in operands)
        if self.training and (image or weight):
            seconds += self.profile.recording + self.profile.backward_call
            seconds += (one("input") if image else 0.0) + (one("weight") if weight else 0.0)
        return seconds

    def copy(self, count: int, run: int, operand: OperandLayouts) -> float:
        """A copy of `count` elements in contiguous runs of `run`."""
        if self.folded and operand.input_independent:
            return 0.0
        seconds = self.profile.call + self._copy(count, run)
        if self.training and operand.requires_grad:
            seconds += self.profile.recording + self.profile.backward_call
            seconds += self._copy(count, run)
        return seconds

    def view(self, operand: OperandLayouts) -> float:
        """A view."""
        if self.folded and operand.input_independent:
            return 0.0
        both = self.training and operand.requires_grad
        return self.profile.view_call + (self.profile.backward_view_call if both else 0.0)

    def _copy(self, count: int, run: int) -> float:
        size = WIDTH * count
        seconds = self.profile.copy_seconds(size, WIDTH * run) + self._allocate(size)
        return self.caution * seconds

    def _allocate(self, size: int) -> float:
        """Seconds in which the operating system hands out `size` bytes, on every call."""
        return self.profile.fault_seconds(size) if size >= self.profile.fresh else 0.0

    def _sum_over_matrices(self, matrices: int, count: int) -> float:
        """The gradient of a broadcast operand: one for each matrix, then their sum."""
        size = WIDTH * count * matrices
        return self.profile.call + self.profile.pass_seconds(size) + self._allocate(size)

    def _matmul(
        self, matrices: int, rows: int, summed: int, columns: int, shared: Pair, transposed: Pair
    ) -> float:
        """One `mm` or `bmm`, without the call."""
        seconds = self.profile.product_seconds(
            matrices, rows, summed, columns, shared=shared, transposed=transposed, width=WIDTH
        )
        return seconds + self._allocate(WIDTH * matrices * rows * columns)
