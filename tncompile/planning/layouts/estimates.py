"""What single operations cost in a mode, for the choice among layouts before anything is lowered.

A rough sum beside `tracing`, which runs the whole program on ghosts: quick enough for thousands of
alternatives, close enough to tell which few are worth a trace.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tncompile.machine.profile import MachineProfile


@dataclass(frozen=True, slots=True)
class Product:
    """A product `first @ second` of (rows, summed) and (summed, columns), `matrices` of them.

    `shared` operands are one matrix repeated, `turned` ones are column major, `wanting` ones need a
    gradient, `fixed` means that no operand depends on inputs.
    """

    matrices: int
    rows: int
    summed: int
    columns: int
    shared: tuple[bool, bool]
    turned: tuple[bool, bool]
    wanting: tuple[bool, bool]
    made: tuple[bool, bool]  # an intermediate, no leaf of the tree
    fixed: bool


class LayoutCostModel:
    """Seconds of products and copies on a machine, forward and, in training, backward."""

    def __init__(
        self, profile: MachineProfile, mode: str, width: int = 4, caution: float = 1.0
    ) -> None:
        """Copies are priced `caution` times as high as they are predicted."""
        self.profile = profile
        self.caution = caution
        self.training = mode == "training"
        self.folded = mode == "folded"
        self.width = width
        self._known: dict[tuple[int | bool, ...], float] = {}

    def product(self, one: Product) -> float:
        """A product, and in training the products of its gradients."""
        if self.folded and one.fixed:
            return 0.0
        matrices, rows, summed, columns = one.matrices, one.rows, one.summed, one.columns
        left, right = one.shared
        down, across = one.turned
        seconds = self.profile.call
        seconds += self._multiplied(matrices, rows, summed, columns, left, right, down, across)
        if not self.training or not any(one.wanting):
            return seconds
        seconds += self.profile.recording + self.profile.backward_call
        if one.wanting[0]:
            seconds += self._multiplied(
                matrices, rows, columns, summed, False, right, False, not across
            )
            if left:
                seconds += self._summed(matrices, rows * summed)
        if one.wanting[1]:
            seconds += self._multiplied(
                matrices, summed, rows, columns, left, False, not down, False
            )
            if right:
                seconds += self._summed(matrices, summed * columns)
        if matrices > 1:
            # `bmm` gives row-major gradients: for a column-major operand they are turned later.
            for k, count in enumerate((rows * summed, summed * columns)):
                if one.turned[k] and one.wanting[k] and one.made[k] and not one.shared[k]:
                    seconds += self._copied(matrices * count, 1)
        return seconds

    def copy(self, count: int, run: int, *, fixed: bool, wanting: bool) -> float:
        """A copy of `count` numbers whose inner runs of `run` numbers stay together."""
        if self.folded and fixed:
            return 0.0
        seconds = self.profile.call + self._copied(count, run)
        if self.training and wanting:
            seconds += self.profile.recording + self.profile.backward_call
            seconds += self._copied(count, run)
        return seconds

    def view(self, *, fixed: bool, wanting: bool) -> float:
        """Another look at the same memory."""
        if self.folded and fixed:
            return 0.0
        both = self.training and wanting
        return self.profile.view_call + (self.profile.backward_view_call if both else 0.0)

    def _copied(self, count: int, run: int) -> float:
        size = self.width * count
        seconds = self.profile.copy_seconds(size, self.width * run) + self._fresh(size)
        return self.caution * seconds

    def _fresh(self, size: int) -> float:
        """What the operating system takes to hand out so much memory anew, on every call."""
        return self.profile.fault_seconds(size) if size >= self.profile.fresh else 0.0

    def _summed(self, matrices: int, count: int) -> float:
        """A gradient for each matrix, then their sum: it must not pay for large stacks."""
        size = self.width * count * matrices
        return self.profile.call + self.profile.pass_seconds(size) + self._fresh(size)

    def _multiplied(
        self,
        matrices: int,
        rows: int,
        summed: int,
        columns: int,
        left: bool,
        right: bool,
        down: bool,
        across: bool,
    ) -> float:
        """One call; `left` and `right` are shared, `down` and `across` say they are transposed."""
        key = (matrices, rows, summed, columns, left, right, down, across)
        known = self._known.get(key)
        if known is None:
            known = self.profile.product_seconds(
                matrices,
                rows,
                summed,
                columns,
                left_shared=left,
                right_shared=right,
                left_transposed=down,
                right_transposed=across,
                width=self.width,
            )
            known += self._fresh(self.width * matrices * rows * columns)
            self._known[key] = known
        return known


def run_length(lengths: tuple[int, ...], order: tuple[str, ...], wanted: tuple[str, ...]) -> int:
    """How many numbers stay side by side when indices in memory `order` are copied to `wanted`.

    `lengths` are those of the indices of `wanted`.

    >>> run_length((2, 3, 4), ("b", "a", "c"), ("a", "b", "c"))
    4
    """
    kept = 0
    for have, want in zip(reversed(order), reversed(wanted), strict=True):
        if have != want:
            break
        kept += 1
    return math.prod(lengths[len(lengths) - kept :])
