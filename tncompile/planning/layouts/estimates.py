"""Estimated seconds of single products and copies, to choose among layouts before lowering.

A rough sum, quick enough for thousands of alternatives; `simulation.trace` runs the whole program
for the few that are promising.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tncompile.machine.profile import MachineProfile


@dataclass(frozen=True, slots=True)
class Gemm:
    """`matrices` products `first @ second` of (rows, summed) and (summed, columns).

    Pairs say it of the first and the second operand.
    """

    matrices: int
    rows: int
    summed: int
    columns: int
    broadcast: tuple[bool, bool]  # one matrix for all products
    transposed: tuple[bool, bool]  # column-major
    requires_grad: tuple[bool, bool]
    is_intermediate: tuple[bool, bool]  # no leaf of the tree
    input_independent: bool  # depends on parameters alone


class LayoutCostModel:
    """Seconds of products and copies on a machine, forward and, in training, backward."""

    def __init__(
        self, profile: MachineProfile, mode: str, width: int = 4, caution: float = 1.0
    ) -> None:
        """`width` is the bytes of a number; copies cost `caution` times the prediction."""
        self.profile = profile
        self.caution = caution
        self.training = mode == "training"
        self.folded = mode == "folded"
        self.width = width
        self._known: dict[tuple[int | bool, ...], float] = {}

    def product(self, gemm: Gemm) -> float:
        """A product, and in training the products of its gradients."""
        if self.folded and gemm.input_independent:
            return 0.0
        profile, matrices = self.profile, gemm.matrices
        rows, summed, columns = gemm.rows, gemm.summed, gemm.columns
        left, right = gemm.broadcast
        left_t, right_t = gemm.transposed
        seconds = profile.call
        seconds += self._matmul(matrices, rows, summed, columns, left, right, left_t, right_t)
        if not self.training or not any(gemm.requires_grad):
            return seconds
        seconds += profile.recording + profile.backward_call
        if gemm.requires_grad[0]:
            seconds += self._matmul(
                matrices, rows, columns, summed, False, right, False, not right_t
            )
            if left:
                seconds += self._sum_over_matrices(matrices, rows * summed)
        if gemm.requires_grad[1]:
            seconds += self._matmul(matrices, summed, rows, columns, left, False, not left_t, False)
            if right:
                seconds += self._sum_over_matrices(matrices, summed * columns)
        if matrices > 1:
            # `bmm` gives row-major gradients: that of a column-major operand is transposed later.
            for k, count in enumerate((rows * summed, summed * columns)):
                intermediate = gemm.requires_grad[k] and gemm.is_intermediate[k]
                if gemm.transposed[k] and intermediate and not gemm.broadcast[k]:
                    seconds += self._copy(matrices * count, 1)
        return seconds

    def copy(self, count: int, run: int, *, input_independent: bool, requires_grad: bool) -> float:
        """A copy of `count` elements in contiguous runs of `run`."""
        if self.folded and input_independent:
            return 0.0
        seconds = self.profile.call + self._copy(count, run)
        if self.training and requires_grad:
            seconds += self.profile.recording + self.profile.backward_call
            seconds += self._copy(count, run)
        return seconds

    def view(self, *, input_independent: bool, requires_grad: bool) -> float:
        """A view."""
        if self.folded and input_independent:
            return 0.0
        both = self.training and requires_grad
        return self.profile.view_call + (self.profile.backward_view_call if both else 0.0)

    def _copy(self, count: int, run: int) -> float:
        size = self.width * count
        seconds = self.profile.copy_seconds(size, self.width * run) + self._allocate(size)
        return self.caution * seconds

    def _allocate(self, size: int) -> float:
        """Seconds in which the operating system hands out `size` bytes, on every call."""
        return self.profile.fault_seconds(size) if size >= self.profile.fresh else 0.0

    def _sum_over_matrices(self, matrices: int, count: int) -> float:
        """The gradient of a broadcast operand: one for each matrix, then their sum."""
        size = self.width * count * matrices
        return self.profile.call + self.profile.pass_seconds(size) + self._allocate(size)

    def _matmul(
        self,
        matrices: int,
        rows: int,
        summed: int,
        columns: int,
        left_broadcast: bool,
        right_broadcast: bool,
        left_transposed: bool,
        right_transposed: bool,
    ) -> float:
        """One `mm` or `bmm`, without the call."""
        key = (
            matrices,
            rows,
            summed,
            columns,
            left_broadcast,
            right_broadcast,
            left_transposed,
            right_transposed,
        )
        seconds = self._known.get(key)
        if seconds is None:
            seconds = self.profile.product_seconds(
                matrices,
                rows,
                summed,
                columns,
                left_shared=left_broadcast,
                right_shared=right_broadcast,
                left_transposed=left_transposed,
                right_transposed=right_transposed,
                width=self.width,
            )
            seconds += self._allocate(self.width * matrices * rows * columns)
            self._known[key] = seconds
        return seconds


def run_length(lengths: tuple[int, ...], order: tuple[str, ...], target: tuple[str, ...]) -> int:
    """The elements that stay contiguous when indices in memory `order` are copied to `target`.

    `lengths` are those of the indices of `target`.

    >>> run_length((2, 3, 4), ("b", "a", "c"), ("a", "b", "c"))
    4
    """
    common = 0
    for index, wanted in zip(reversed(order), reversed(target), strict=True):
        if index != wanted:
            break
        common += 1
    return math.prod(lengths[len(lengths) - common :])
