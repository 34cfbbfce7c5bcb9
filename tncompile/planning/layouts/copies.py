"""Seconds of copies between orders of memory, each computed once for all trees."""

from __future__ import annotations

from tncompile.lowering.schedule import Order
from tncompile.planning.layouts.estimates import LayoutCostModel, OperandLayouts
from tncompile.planning.layouts.memory import Lengths


class Copies:
    """Prices copies; a chunk of the batch is charged its share of what depends on no input."""

    def __init__(self, lengths: Lengths, costs: LayoutCostModel, chunks: float) -> None:
        self.lengths, self.costs, self.chunks = lengths, costs, chunks
        self._known: dict[tuple[Order, Order, bool, bool], float] = {}

    def seconds(self, count: int, run: int, operand: OperandLayouts) -> float:
        """A copy of `count` elements in contiguous runs of `run`."""
        seconds = self.costs.copy(count, run, operand)
        return seconds / self.chunks if operand.input_independent else seconds

    def to(self, target: Order, order: Order, operand: OperandLayouts) -> float:
        """The copy from one order of indices to another."""
        key = target, order, operand.input_independent, operand.requires_grad
        if (known := self._known.get(key)) is not None:
            return known
        self._known[key] = known = self.seconds(*self.lengths.copied(target, order), operand)
        return known
