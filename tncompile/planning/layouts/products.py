"""Layouts of a contraction as a matrix product: what it is batched over, orders of indices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tncompile.lowering.schedule import MatmulLayout, Order
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import (
    IndexGroups,
    LayoutOption,
    MatrixView,
    orders_of,
    prefixes,
)

Product = tuple[bool, Order, Order, Order, Order, MatrixView, MatrixView]
"""Whether the operands are swapped; batch, rows, summed, columns; both sides as matrices."""


class ProductLayouts:
    """Prices the layouts of products.

    With `broadcasting` a product may be batched over indices of one operand alone, along which the
    other is expanded. A chunk is charged its share of what depends on no input.
    """

    def __init__(self, copies: Copies, broadcasting: bool) -> None:
        self._costs, self._copies, self._lengths = copies.costs, copies, copies.lengths
        self._broadcasting, self._chunks = broadcasting, copies.chunks

    def options(self, groups: IndexGroups) -> list[LayoutOption]:
        """The cheapest product for each order of the result.

        Groups of indices are tried in the orders of operands and of the next contraction.
        """
        best: dict[Order, tuple[float, Product]] = {}
        left, right = (operand.options for operand in groups.operands)
        left_free, right_free = (
            options[0].memory.indices - groups.summed - groups.batch for options in (left, right)
        )
        summed = orders_of(groups.summed, (left, right), ())
        for batch in self._batches(groups, (left_free, right_free)):
            rows = orders_of(left_free.difference(batch), (left,), groups.hints)
            columns = orders_of(right_free.difference(batch), (right,), groups.hints)
            price = self._pricing(groups, batch, rows[0], summed[0], columns[0])
            for inner in summed:
                for made in self._sides(groups, batch, rows, inner, columns):
                    swapped, _, first, _, last, one, two = made
                    order = batch + first + last
                    known = best.get(order)
                    operands = one.seconds + two.seconds
                    if known is not None and operands >= known[0]:
                        continue  # whatever the product takes
                    seconds = operands + price(swapped, one, two)
                    if known is None or seconds < known[0]:
                        best[order] = seconds, made
        return [self._option(order, *found) for order, found in best.items()]

    def _option(self, order: Order, seconds: float, made: Product) -> LayoutOption:
        swapped, *groups, one, two = made
        sides = (two.option, one.option) if swapped else (one.option, two.option)
        memory = self._lengths.row_major(order)
        return LayoutOption(memory, seconds, MatmulLayout(swapped, *groups), *sides)

    def _sides(
        self,
        groups: IndexGroups,
        batch: Order,
        rows: tuple[Order, ...],
        inner: Order,
        columns: tuple[Order, ...],
    ) -> Iterator[Product]:
        """Both sides as matrices, in all orders of rows and columns: either may come first."""
        view = partial(self._matrix_view, groups)  # of each side (outer, inner), and its transpose
        left = [(row, view(0, batch, row, inner), view(0, batch, inner, row)) for row in rows]
        right = [(one, view(1, batch, one, inner), view(1, batch, inner, one)) for one in columns]
        for row, row_first, row_last in left:
            for column, column_first, column_last in right:
                yield False, batch, row, inner, column, row_first, column_last
                yield True, batch, column, inner, row, column_first, row_last

    def _batches(
        self, groups: IndexGroups, free: tuple[frozenset[str], frozenset[str]]
    ) -> Iterator[Order]:
        """What a product may be batched over: shared indices, or outer ones of one operand."""
        sides = tuple(operand.options for operand in groups.operands)
        yield from orders_of(groups.batch, sides, groups.hints)
        if groups.batch or not self._broadcasting:
            return
        for options, private in zip(sides, free, strict=True):
            orders = {
                prefix: None for option in options for prefix in prefixes(option.order, private)
            }
            # What the next contraction treats alike comes first, apart from the rest.
            for group in groups.next_use_groups:
                order = tuple(index for index in options[0].order if index in group & private)
                if order and len(order) < len(private):
                    orders[order] = None
            yield from orders

    def _pricing(
        self, groups: IndexGroups, batch: Order, rows: Order, summed: Order, columns: Order
    ) -> Callable[[bool, MatrixView, MatrixView], float]:
        """The seconds of the product of two views; the order within groups does not matter."""
        operands, count = groups.operands, self._lengths.count
        input_independent = all(operand.input_independent for operand in operands)
        matrices, inner = count(batch), count(summed)
        outer = count(rows), count(columns)
        broadcast = [
            bool(batch) and batch[0] not in each.options[0].memory.indices for each in operands
        ]
        known: dict[tuple[bool, bool, bool], float] = {}

        def price(swapped: bool, one: MatrixView, two: MatrixView) -> float:
            key = swapped, one.transposed, two.transposed
            if key not in known:
                first, second = (1, 0) if swapped else (0, 1)
                seconds = self._costs.product(
                    *(matrices, outer[first], inner, outer[second]),
                    (operands[first], operands[second]),
                    (broadcast[first], broadcast[second]),
                    (one.transposed, two.transposed),
                )
                known[key] = seconds / self._chunks if input_independent else seconds
            return known[key]

        return price

    def _matrix_view(
        self, groups: IndexGroups, side: int, batch: Order, rows: Order, columns: Order
    ) -> MatrixView:
        """The cheapest option of one side as matrices of these groups."""
        operand = groups.operands[side]
        own_batch = batch if batch and batch[0] in operand.options[0].memory.indices else ()
        key = side, own_batch, rows, columns
        if (known := groups.views.get(key)) is not None:
            return known
        target, matrix = own_batch + rows + columns, (own_batch, rows, columns)
        view = self._costs.view(operand)
        chosen: LayoutOption | None = None
        least, turned = 0.0, False
        for option in operand.options:
            if chosen is not None and option.seconds >= least:
                continue  # whatever a copy takes
            transposed = option.memory.as_matrix(matrix)
            if transposed is None:
                seconds = option.seconds + self._copies.to(target, option.order, operand)
            else:
                seconds = option.seconds + view
            if chosen is None or seconds < least:
                chosen, least, turned = option, seconds, bool(transposed)
        assert chosen is not None
        groups.views[key] = found = MatrixView(chosen, least, turned)
        return found
