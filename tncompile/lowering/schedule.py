"""What a contraction tree leaves open: the layouts of its products, and the size of chunks."""

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
class ConvolutionLayout:
    """A contraction along windows as one convolution, all orders of indices fixed.

    The image, which has the input legs, is (`rows`, `groups` and `summed`, lengths…) and the other
    operand is the weight (`groups` and `columns`, `summed`, kernel lengths…). They are row major,
    or with `channels_last` their second axis is innermost; so it is in the result.
    """

    channels_last: bool
    rows: Order
    groups: Order
    summed: Order
    columns: Order


Layout = MatmulLayout | ConvolutionLayout


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a tree is lowered.

    chunk_rows         how many entries of the leading run-time index are contracted at a time, so
                       that intermediates stay in the cache; 0 for all at once
    layouts            the layout of each contraction, None for one that sums nothing; without them
                       the lowering chooses each by the copies that it saves
    batch_equal_steps  whether equal contractions run as one batched product, however few they are
                       (long trees do so in any case), in layouts that the lowering chooses
    contiguous_grads   the contractions (`Contraction.result`) whose gradient arrives in an order
                       that no product takes as it is: it is copied once, not in each product
    recompute          whether backward computes the intermediates of each chunk again instead of
                       having them saved
    """

    chunk_rows: int = 0
    layouts: tuple[Layout | None, ...] | None = None
    batch_equal_steps: bool = False
    contiguous_grads: tuple[int, ...] = ()
    recompute: bool = False

    @property
    def at_once(self) -> Schedule:
        """The same for all of the batch at once, without recomputation."""
        return replace(self, chunk_rows=0, recompute=False)

    def without(self, leg: str) -> Schedule:
        """The same where an index has size 1, which no operand has as a leg."""

        def rest(layout: Layout | None) -> Layout | None:
            if not isinstance(layout, MatmulLayout):
                return layout
            orders = (layout.batch, layout.rows, layout.summed, layout.columns)
            left = [tuple(each for each in order if each != leg) for order in orders]
            return MatmulLayout(layout.swapped, *left) if left[2] else None

        if self.layouts is None:
            return self
        return replace(self, layouts=tuple(map(rest, self.layouts)))


STRAIGHT = Schedule()
"""All of the batch at once, layouts chosen by the lowering."""
