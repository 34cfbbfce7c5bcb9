"""What a contraction tree leaves open: the products it becomes, and how much runs at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

Order = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatmulLayout:
    """A contraction as one matrix product `first @ second`, all orders of indices fixed.

    `first` is the left operand of the contraction, unless `swapped`. It is taken as a matrix of
    (`rows`, `summed`), the other one as (`summed`, `columns`), both for every entry of `batch`. An
    operand that lacks a batch index is repeated along it, which costs nothing (a stride of 0).
    """

    swapped: bool
    batch: Order
    rows: Order
    summed: Order
    columns: Order

    @property
    def result(self) -> Order:
        """The indices of the product in the order of its memory."""
        return self.batch + self.rows + self.columns


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a tree is lowered.

    `rows` is how many entries of the leading run-time index are contracted at a time, so that what
    is made on the way stays in the cache; 0 for all at once. With `recompute` the backward pass
    makes again what a part made on the way, part by part, instead of having it saved. `forms` has
    one form for each contraction of the tree, None for a contraction that sums nothing; without
    them the lowering chooses as it goes. `grouped` runs equal contractions as one batched product,
    however few they are (long trees do so in any case); their forms are chosen as they come.
    `settled` are the contractions (by `Contraction.result`) whose gradient arrives in an order that
    no product takes as it is: it is copied once, instead of in every product it meets.
    """

    rows: int = 0
    forms: tuple[MatmulLayout | None, ...] | None = None
    grouped: bool = False
    settled: tuple[int, ...] = ()
    recompute: bool = False

    @property
    def at_once(self) -> Schedule:
        """The same for all of the batch at once: nothing is made again."""
        return replace(self, rows=0, recompute=False)


STRAIGHT = Schedule()
"""Everything at once, forms chosen on the way."""
