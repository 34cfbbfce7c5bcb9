"""The order of axes of every intermediate, chosen over a whole tree so that few copies are made.

A pairwise contraction is a matrix product once its operands are matrices in memory. Which orders of
rows, columns and summed indices an operand has without a copy depends on the products before; which
it should have, on those after. `arrange` follows both: from the leaves up it keeps, for every
result, the cheapest option in each of a few orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.leaves import LeafLoader, table_rows
from tncompile.lowering.output import output_order
from tncompile.lowering.schedule import Layout, MatmulLayout, Order
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.convolutions import Convolution, ConvolutionLayouts, takes
from tncompile.planning.layouts.estimates import (
    IndexGroups,
    LayoutCostModel,
    LayoutOption,
    MatrixView,
    OperandLayouts,
    Runs,
    orders_of,
    prefixes,
    run_length,
)
from tncompile.program.layout import as_matrix
from tncompile.simulation.trace import passed_on

BEAM = 6  # orders kept of every intermediate: the cheapest with the copies that they ask for
CHEAPEST = 3  # orders kept besides: the cheapest without the copies of the next contraction


def _cheapest(options: list[LayoutOption]) -> list[LayoutOption]:
    """The cheapest option of each order."""
    best: dict[Order, LayoutOption] = {}
    for option in options:
        if option.order not in best or option.seconds < best[option.order].seconds:
            best[option.order] = option
    return list(best.values())


class LayoutSearch:
    """Searches the cheapest layouts of a tree at these run-time sizes.

    With `broadcasting` a product may be batched over indices of one operand alone, along which the
    other is expanded. `sizes` are those of one of the `chunks` of the batch: a chunk is charged its
    share of what depends on no input, which is computed once for all.
    """

    def __init__(
        self,
        network: TensorNetwork,
        tree: ContractionTree,
        sizes: Mapping[str, int],
        costs: LayoutCostModel,
        broadcasting: bool = True,
        chunks: float = 1.0,
    ) -> None:
        self._network, self._tree, self._costs = network, tree, costs
        self._broadcasting, self._chunks = broadcasting, chunks
        self._size = {index.name: index.size or sizes[index.name] for index in network.indices}
        self._output_order = output_order(network)
        builder = ProgramBuilder(network, sizes)
        leaves = LeafLoader(builder, ())
        images = passed_on(network) if network.windows else frozenset()
        self._operands: dict[int, OperandLayouts] = {}
        for number, operand in enumerate(tree.operands):
            value = leaves.load(operand)
            symbolic = builder.runs(value).items()
            runs = {
                index: (length.at(sizes), stride.at(sizes)) for index, (length, stride) in symbolic
            }
            order = tuple(sorted(runs, key=lambda index: -runs[index][1]))
            options = (LayoutOption(order, runs, 0.0),)
            image = network.tensors[operand.tensor].name in images
            self._operands[number] = OperandLayouts(
                options, not value.varying, value.parametric or image, image
            )
        self._legs = [operand.legs for operand in tree.operands]
        self._legs += [step.legs for step in tree.steps]
        self._next: dict[int, tuple[Contraction, int]] = {}  # contraction and its other operand
        for step in tree.steps:
            self._next[step.left] = (step, step.right)
            self._next[step.right] = (step, step.left)

    def cheapest(self) -> tuple[tuple[Layout | None, ...], float]:
        """The layouts of all contractions, and their estimated seconds."""
        steps = self._tree.steps
        for step in steps:
            self._operands[step.result] = self._contract(step)
        if not steps:
            return (), 0.0
        last = self._operands[steps[-1].result]
        totals = [option.seconds + self._output_copy(option, last) for option in last.options]
        best = last.options[totals.index(min(totals))]
        options, layouts = {steps[-1].result: best}, list[Layout | None]()
        for step in reversed(steps):
            option = options[step.result]
            layouts.append(option.layout)
            if option.left is not None and option.right is not None:
                options |= {step.left: option.left, step.right: option.right}
        return tuple(reversed(layouts)), min(totals)

    # ── copies ─────────────────────────────────────────────────────────────────────────────────

    def _copy(self, count: int, run: int, operand: OperandLayouts) -> float:
        seconds = self._costs.copy(count, run, operand)
        return seconds / self._chunks if operand.input_independent else seconds

    def _copy_to(self, target: Order, order: Order, operand: OperandLayouts) -> float:
        """The copy from one order of indices to another."""
        lengths = [self._size[index] for index in target]
        return self._copy(math.prod(lengths), run_length(lengths, order, target), operand)

    def _output_copy(self, option: LayoutOption, result: OperandLayouts) -> float:
        """The copy of a result whose axes are not in the order of the output."""
        target = tuple(index for index in self._output_order if index in option.runs)
        return 0.0 if target == option.order else self._copy_to(target, option.order, result)

    def _row_major(self, order: Order) -> Runs:
        runs: dict[str, tuple[int, int]] = {}
        stride = 1
        for index in reversed(order):
            runs[index] = (self._size[index], stride)
            stride *= self._size[index]
        return runs

    def _count(self, indices: Order) -> int:
        return math.prod(self._size[index] for index in indices)

    # ── one contraction ────────────────────────────────────────────────────────────────────────

    def _contract(self, contraction: Contraction) -> OperandLayouts:
        result_legs = frozenset((*contraction.legs, *table_rows(contraction.lookups)))
        convolution = self._convolution(contraction)
        if convolution is not None:
            result_legs |= convolution.private
        left = self._private_summed(contraction.left, contraction.right, result_legs)
        right = self._private_summed(contraction.right, contraction.left, result_legs)
        shared = frozenset(left.options[0].runs) & frozenset(right.options[0].runs)
        groups = IndexGroups(
            (left, right),
            shared - result_legs,
            shared & result_legs,
            self._hints(contraction),
            self._next_use_groups(contraction),
        )
        if convolution is not None:
            options = self._convolutions(convolution, groups)
        elif groups.summed:
            options = self._products(groups)
            legs = self._legs[contraction.left], self._legs[contraction.right]
            pointwise = Convolution.pointwise(self._network, contraction, *legs)
            if pointwise is not None:
                options = _cheapest([*options, *self._convolutions(pointwise, groups)])
        else:
            options = self._elementwise(left, right)
        requires_grad = left.requires_grad or right.requires_grad
        input_independent = left.input_independent and right.input_independent
        if contraction.lookups:
            input_independent = False
            table = OperandLayouts((), True, requires_grad, True)
            options = [self._look_up(option, table, contraction) for option in options]
        result = OperandLayouts(tuple(options), input_independent, requires_grad, True)
        if len(options) == 1:
            return result
        next_copy = self._next_copy(contraction, result)
        cheapest = sorted(options, key=lambda option: option.seconds)
        ready = sorted(cheapest, key=lambda option: option.seconds + next_copy(option))
        worth_following: dict[Order, LayoutOption] = {}
        for option in (*ready[:BEAM], *cheapest[:CHEAPEST]):
            worth_following.setdefault(option.order, option)
        return replace(result, options=tuple(worth_following.values()))

    def _convolution(self, contraction: Contraction) -> Convolution | None:
        return Convolution.of(self._network, contraction, self._legs[contraction.left])

    def _convolutions(self, convolution: Convolution, groups: IndexGroups) -> list[LayoutOption]:
        """The cheapest convolution for each order of the result."""
        best: dict[Order, LayoutOption] = {}
        image, weight = groups.operands[:: -1 if convolution.swapped else 1]
        pricing = ConvolutionLayouts(self._size, self._costs, self._copy_to)
        share = image.input_independent and weight.input_independent
        for one, two, order, layout, price in pricing.options(
            convolution, image, weight, groups.hints
        ):
            seconds = price / self._chunks if share else price
            known = best.get(order)
            if known is None or seconds < known.seconds:
                sides = (two, one) if convolution.swapped else (one, two)
                runs = self._row_major(order) if known is None else known.runs
                best[order] = LayoutOption(order, runs, seconds, layout, *sides)
        return list(best.values())

    def _private_summed(
        self, number: int, other: int, result_legs: frozenset[str]
    ) -> OperandLayouts:
        """An operand, summed over the indices that it alone has."""
        operand = self._operands[number]
        stays = {*self._operands[other].options[0].runs, *result_legs}
        if all(index in stays for index in operand.options[0].order):
            return operand
        options: list[LayoutOption] = []
        for option in operand.options:
            order = tuple(index for index in option.order if index in stays)
            options.append(replace(option, order=order, runs=self._row_major(order)))
        return replace(operand, options=tuple(options), keeps_format=True)

    def _look_up(
        self, option: LayoutOption, table: OperandLayouts, contraction: Contraction
    ) -> LayoutOption:
        """Rows of a table by ids: its row indices come first, after a copy if they did not."""
        rows = table_rows(contraction.lookups)
        rest = tuple(index for index in option.order if index not in rows)
        seconds = option.seconds
        if option.order[: len(rows)] != rows:
            seconds += self._copy_to(rows + rest, option.order, table)
        order = (*(index for index in contraction.legs if index not in rest), *rest)
        return replace(option, order=order, runs=self._row_major(order), seconds=seconds)

    def _elementwise(self, *operands: OperandLayouts) -> list[LayoutOption]:
        """Nothing is summed: an elementwise product in the order of the larger operand."""
        left, right = (operand.options[0] for operand in operands)
        swapped = self._count(left.order) < self._count(right.order)
        large, small = (right, left) if swapped else (left, right)
        order = (*large.order, *(index for index in small.order if index not in large.runs))
        seconds = left.seconds + right.seconds
        return [LayoutOption(order, self._row_major(order), seconds, None, left, right)]

    # ── the next contraction ───────────────────────────────────────────────────────────────────

    def _hints(self, contraction: Contraction) -> tuple[Order, ...]:
        """Orders in which the next contraction would take the result without a copy."""
        legs, rows = contraction.legs, table_rows(contraction.lookups)
        if contraction.result not in self._next:
            return (rows + self._output_order,)
        following, other = self._next[contraction.result]
        operand = self._operands.get(other)
        theirs = self._legs[other] if operand is None else operand.options[0].order
        if (convolution := self._convolution(following)) is not None:
            return tuple(convolution.hints(legs, theirs))
        result_legs = set(following.legs)
        batch = tuple(index for index in theirs if index in legs and index in result_legs)
        summed = tuple(index for index in theirs if index in legs and index not in result_legs)
        free = tuple(index for index in legs if index not in theirs)
        returned = tuple(index for index in self._output_order if index in free)
        free_last = (*returned, *(index for index in free if index not in returned))
        orders = (free_last + summed, summed + free_last, free + summed, summed + free)
        return tuple(dict.fromkeys(rows + batch + order for order in orders))

    def _next_use_groups(self, contraction: Contraction) -> tuple[frozenset[str], ...]:
        """What the next contraction sums over, and what it keeps."""
        if contraction.result not in self._next:
            return ()
        following, _ = self._next[contraction.result]
        legs, remaining = frozenset(contraction.legs), frozenset(following.legs)
        return legs - remaining, legs & remaining

    def _next_copy(
        self, contraction: Contraction, result: OperandLayouts
    ) -> Callable[[LayoutOption], float]:
        """The seconds of the copy that an option needs before the next contraction."""
        if contraction.result not in self._next:
            return lambda option: self._output_copy(option, result)
        following, other = self._next[contraction.result]
        count = self._count(contraction.legs)
        if (convolution := self._convolution(following)) is not None:
            partner = self._legs[other]
            return lambda option: (
                0.0
                if takes(convolution, option, partner)
                else self._copy(count, self._size[option.order[-1]], result)
            )
        legs, theirs, remaining = map(
            frozenset, (contraction.legs, self._legs[other], following.legs)
        )
        batch, free, summed = (
            legs & theirs & remaining,
            legs & remaining - theirs,
            legs & theirs - remaining,
        )
        broadcast = self._broadcasting and not batch  # free indices may be the batch then
        later = self._next_use_groups(following) if broadcast else ()

        def seconds(option: LayoutOption) -> float:
            order = option.order
            prefixed = map(frozenset, prefixes(order, free) if broadcast else ())
            for outer in chain((batch,), prefixed, (group & free for group in later)):
                groups = [
                    [index for index in order if index in group]
                    for group in (outer, free - outer, summed)
                ]
                if as_matrix(option.runs, groups, 1) is not None:
                    return 0.0
            return self._copy(count, self._size[order[-1]], result)

        return seconds

    # ── products ───────────────────────────────────────────────────────────────────────────────

    def _products(self, groups: IndexGroups) -> list[LayoutOption]:
        """The cheapest product for each order of the result.

        Groups of indices are tried in the orders of operands and of the next contraction.
        """
        best: dict[Order, LayoutOption] = {}
        left, right = (operand.options for operand in groups.operands)
        left_free, right_free = (
            frozenset(options[0].runs) - groups.summed - groups.batch for options in (left, right)
        )
        summed = orders_of(groups.summed, (left, right), ())
        for batch in self._batches(groups, (left_free, right_free)):
            rows = orders_of(left_free.difference(batch), (left,), groups.hints)
            columns = orders_of(right_free.difference(batch), (right,), groups.hints)
            price = self._pricing(groups, batch, rows[0], summed[0], columns[0])
            for inner in summed:
                for swapped, outer, one, two in self._sides(groups, batch, rows, inner, columns):
                    order = batch + outer[0] + outer[1]
                    known = best.get(order)
                    operands = one.seconds + two.seconds
                    if known is not None and operands >= known.seconds:
                        continue  # whatever the product takes
                    seconds = operands + price(swapped, one, two)
                    if known is None or seconds < known.seconds:
                        layout = MatmulLayout(swapped, batch, outer[0], inner, outer[1])
                        sides = (two.option, one.option) if swapped else (one.option, two.option)
                        runs = self._row_major(order) if known is None else known.runs
                        best[order] = LayoutOption(order, runs, seconds, layout, *sides)
        return list(best.values())

    def _sides(
        self,
        groups: IndexGroups,
        batch: Order,
        rows: tuple[Order, ...],
        inner: Order,
        columns: tuple[Order, ...],
    ) -> Iterator[tuple[bool, tuple[Order, Order], MatrixView, MatrixView]]:
        """Both sides as matrices, in all orders of rows and columns: either may come first."""
        view = partial(self._matrix_view, groups)  # of each side (outer, inner), and its transpose
        left = [(row, view(0, batch, row, inner), view(0, batch, inner, row)) for row in rows]
        right = [(one, view(1, batch, one, inner), view(1, batch, inner, one)) for one in columns]
        for row, row_first, row_last in left:
            for column, column_first, column_last in right:
                yield False, (row, column), row_first, column_last
                yield True, (column, row), column_first, row_last

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
        operands = groups.operands
        input_independent = all(operand.input_independent for operand in operands)
        matrices, inner = self._count(batch), self._count(summed)
        outer = self._count(rows), self._count(columns)
        broadcast = [bool(batch) and batch[0] not in each.options[0].runs for each in operands]
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
        own_batch = batch if batch and batch[0] in operand.options[0].runs else ()
        key = side, own_batch, rows, columns
        if (known := groups.views.get(key)) is not None:
            return known
        target = (*own_batch, *rows, *columns)
        best: MatrixView | None = None
        for option in operand.options:
            if best is not None and option.seconds >= best.seconds:
                continue  # whatever a copy takes
            transposed = as_matrix(option.runs, key[1:], 1)
            if transposed is None:
                seconds = self._copy_to(target, option.order, operand)
            else:
                seconds = self._costs.view(operand)
            if best is None or option.seconds + seconds < best.seconds:
                best = MatrixView(option, option.seconds + seconds, bool(transposed))
        assert best is not None
        groups.views[key] = best
        return best
