"""The order of axes of every intermediate, chosen over a whole tree so that copies vanish.

A pairwise contraction is a matrix product once its operands are matrices in memory. Which orders of
rows, columns and summed indices an operand can have without a copy depends on the products before;
which it should have, on those after. `arrange` follows both: from the leaves up it keeps, for every
result, the cheapest way to have it in each of a few orders.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.leaves import LeafLoader, table_rows
from tncompile.lowering.schedule import MatmulLayout, Order
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.estimates import LayoutCostModel, Product, run_length
from tncompile.planning.layouts.operands import (
    IndexGroups,
    LayoutOption,
    MatrixView,
    NextUse,
    OperandLayouts,
    Runs,
    as_matrix,
    orders_of,
    prefixes,
)

BEAM = 6
"""Orders kept of every intermediate: the cheapest, the copies that they ask for included."""

CHEAPEST = 3
"""Orders kept beside them, whatever the next contraction makes of them."""


@dataclass(frozen=True, slots=True)
class Arranged:
    """The forms of all contractions, and the seconds that they are priced at."""

    forms: tuple[MatmulLayout | None, ...]
    seconds: float


def arrange(
    network: TensorNetwork,
    tree: ContractionTree,
    sizes: Mapping[str, int],
    prices: LayoutCostModel,
    *,
    repeating: bool = True,
    turns: float = 1.0,
) -> Arranged:
    """The cheapest forms found for a tree at these run-time sizes.

    `repeating` allows products batched over indices of one operand alone, which the other is
    repeated along. Sizes are those of one part, where the batch is done in parts; what depends on
    no input is done once for all `turns`, so that a part pays for its share alone.
    """
    return _Arranging(network, tree, sizes, prices, repeating, turns).arranged()


class _Arranging:
    def __init__(
        self,
        network: TensorNetwork,
        tree: ContractionTree,
        sizes: Mapping[str, int],
        prices: LayoutCostModel,
        repeating: bool,
        turns: float,
    ) -> None:
        self._network, self._tree, self._prices = network, tree, prices
        self._turns = turns
        self._repeating = repeating
        self._size = {index.name: index.size or sizes[index.name] for index in network.indices}
        assembler = ProgramBuilder(network, sizes)
        leaves = LeafLoader(assembler, {})
        self._given: dict[int, OperandLayouts] = {}
        for number, operand in enumerate(tree.operands):
            value = leaves.load(operand)
            runs = {
                run.index: (run.length.at(sizes), run.stride.at(sizes))
                for run in assembler.runs(value).values()
            }
            order = tuple(sorted(runs, key=lambda index: -runs[index][1]))
            way = LayoutOption(order, runs, 0.0)
            self._given[number] = OperandLayouts((way,), not value.varying, value.parametric, False)
        self._legs = [operand.legs for operand in tree.operands]
        self._legs += [step.legs for step in tree.steps]
        self._partner = {}
        for step in tree.steps:
            self._partner[step.left] = (step, step.right)
            self._partner[step.right] = (step, step.left)

    def arranged(self) -> Arranged:
        for step in self._tree.steps:
            self._given[step.result] = self._contract(step)
        if not self._tree.steps:
            return Arranged((), 0.0)
        last = self._given[self._tree.steps[-1].result]
        priced = [
            (way.seconds + self._finished(way, last.fixed, last.wanting), way) for way in last.ways
        ]
        seconds, best = min(priced, key=lambda pair: pair[0])
        forms: dict[int, MatmulLayout | None] = {}
        self._collect(self._tree.steps[-1].result, best, forms)
        return Arranged(tuple(forms[step.result] for step in self._tree.steps), seconds)

    def _collect(
        self, number: int, way: LayoutOption, forms: dict[int, MatmulLayout | None]
    ) -> None:
        """The forms of a way and of all before it, without recursion."""
        count = len(self._tree.operands)
        waiting = [(number, way)]
        while waiting:
            at, held = waiting.pop()
            if at < count:
                continue
            forms[at] = held.form
            step = self._tree.steps[at - count]
            if held.left is not None and held.right is not None:
                waiting += [(step.left, held.left), (step.right, held.right)]

    def _finished(self, way: LayoutOption, fixed: bool, wanting: bool) -> float:
        """The copy of a result whose axes do not stand as the output wants them."""
        due = tuple(index for index in self._network.output.legs if index in way.runs)
        if due == way.order:
            return 0.0
        lengths = tuple(self._size[index] for index in due)
        run = run_length(lengths, way.order, due)
        return self._copied(math.prod(lengths), run, fixed, wanting)

    def _copied(self, count: int, run: int, fixed: bool, wanting: bool) -> float:
        seconds = self._prices.copy(count, run, fixed=fixed, wanting=wanting)
        return seconds / self._turns if fixed else seconds

    # ── one contraction ────────────────────────────────────────────────────────────────────────

    def _contract(self, contraction: Contraction) -> OperandLayouts:
        kept = frozenset((*contraction.legs, *table_rows(contraction.lookups)))
        left = self._alone_summed(self._given[contraction.left], contraction.right, kept)
        right = self._alone_summed(self._given[contraction.right], contraction.left, kept)
        shared = frozenset(left.ways[0].runs) & frozenset(right.ways[0].runs)
        step = IndexGroups(
            left,
            right,
            shared - kept,
            shared & kept,
            self._size,
            self._hints(contraction),
            self._apart(contraction),
        )
        fixed = left.fixed and right.fixed and not contraction.lookups
        wanting = left.wanting or right.wanting
        ways = self._products(step) if step.summed else self._multiplied(step)
        if contraction.lookups:
            ways = [self._picked(way, step, contraction) for way in ways]
        return OperandLayouts(self._kept(contraction, ways, fixed, wanting), fixed, wanting, True)

    def _kept(
        self, contraction: Contraction, ways: Sequence[LayoutOption], fixed: bool, wanting: bool
    ) -> tuple[LayoutOption, ...]:
        """The ways to have a result that are worth following."""
        if len(ways) == 1:
            return tuple(ways)
        later = self._later(contraction, fixed, wanting)
        cheapest = sorted(ways, key=lambda way: way.seconds)
        ready = sorted(cheapest, key=lambda way: way.seconds + later(way))
        kept: dict[Order, LayoutOption] = {}
        for way in (*ready[:BEAM], *cheapest[:CHEAPEST]):
            kept.setdefault(way.order, way)
        return tuple(kept.values())

    def _alone_summed(
        self, given: OperandLayouts, other: int, kept: frozenset[str]
    ) -> OperandLayouts:
        """An operand with the indices summed that are its own alone."""
        theirs = set(self._given[other].ways[0].runs)
        alone = [index for index in given.ways[0].order if index not in theirs | kept]
        if not alone:
            return given
        ways: list[LayoutOption] = []
        for way in given.ways:
            order = tuple(index for index in way.order if index not in alone)
            ways.append(
                LayoutOption(order, self._runs(order), way.seconds, way.form, way.left, way.right)
            )
        return OperandLayouts(tuple(ways), given.fixed, given.wanting, True)

    def _runs(self, order: Order) -> Runs:
        """Contiguous memory in this order."""
        runs: dict[str, tuple[int, int]] = {}
        stride = 1
        for index in reversed(order):
            runs[index] = (self._size[index], stride)
            stride *= self._size[index]
        return runs

    def _picked(
        self, way: LayoutOption, step: IndexGroups, contraction: Contraction
    ) -> LayoutOption:
        """Rows of a table by ids: its digits come first, in order, or it is copied before."""
        rows = table_rows(contraction.lookups)
        rest = tuple(index for index in way.order if index not in rows)
        seconds = way.seconds
        if way.order[: len(rows)] != rows:
            due = rows + rest
            lengths = tuple(self._size[index] for index in due)
            run = run_length(lengths, way.order, due)
            wanting = step.left.wanting or step.right.wanting
            seconds += self._copied(math.prod(lengths), run, True, wanting)
        brought = tuple(index for index in contraction.legs if index not in rest)
        order = brought + rest
        return LayoutOption(order, self._runs(order), seconds, way.form, way.left, way.right)

    def _multiplied(self, step: IndexGroups) -> list[LayoutOption]:
        """Nothing is summed: an elementwise product in the order of the larger operand."""
        left, right = step.left.ways[0], step.right.ways[0]
        if math.prod(n for n, _ in left.runs.values()) < math.prod(
            n for n, _ in right.runs.values()
        ):
            large, small = right, left
        else:
            large, small = left, right
        order = (*large.order, *(index for index in small.order if index not in large.runs))
        return [
            LayoutOption(order, self._runs(order), left.seconds + right.seconds, None, left, right)
        ]

    def _hints(self, contraction: Contraction) -> tuple[Order, ...]:
        """Orders in which the next contraction would take the result without a copy."""
        legs, rows = contraction.legs, table_rows(contraction.lookups)
        if contraction.result not in self._partner:
            return (rows + self._network.output.legs,)
        following, other = self._partner[contraction.result]
        theirs = self._given[other].ways[0].order if other in self._given else self._legs[other]
        kept = set(following.legs)
        batch = tuple(index for index in theirs if index in legs and index in kept)
        summed = tuple(index for index in theirs if index in legs and index not in kept)
        free = tuple(index for index in legs if index not in theirs)
        wanted = tuple(index for index in self._network.output.legs if index in free)
        free_last = (*wanted, *(index for index in free if index not in wanted))
        return tuple(
            dict.fromkeys(
                (
                    rows + batch + free_last + summed,
                    rows + batch + summed + free_last,
                    rows + batch + free + summed,
                    rows + batch + summed + free,
                )
            )
        )

    def _apart(self, contraction: Contraction) -> tuple[frozenset[str], ...]:
        """What the next contraction sums over, and what it keeps."""
        if contraction.result not in self._partner:
            return ()
        following, _ = self._partner[contraction.result]
        legs, kept = frozenset(contraction.legs), frozenset(following.legs)
        return legs - kept, legs & kept

    def _later(
        self, contraction: Contraction, fixed: bool, wanting: bool
    ) -> Callable[[LayoutOption], float]:
        """What a way to have the result costs beyond its making: the copy before it is of use."""
        if contraction.result not in self._partner:
            return lambda way: self._finished(way, fixed, wanting)
        following, other = self._partner[contraction.result]
        theirs, kept = frozenset(self._legs[other]), frozenset(following.legs)
        legs = frozenset(contraction.legs)
        free = legs & kept - theirs
        apart = tuple(group & free for group in self._apart(following)) if self._repeating else ()
        use = NextUse(legs & theirs & kept, free, legs & theirs - kept, apart, self._repeating)

        def later(way: LayoutOption) -> float:
            if use.takes(way):
                return 0.0
            run = self._size[way.order[-1]]
            return self._copied(self._count(contraction.legs), run, fixed, wanting)

        return later

    # ── forms ──────────────────────────────────────────────────────────────────────────────────

    def _products(self, step: IndexGroups) -> list[LayoutOption]:
        """The cheapest product for each order of the result.

        Groups are tried in the orders of operands and of the next contraction.
        """
        found: dict[Order, LayoutOption] = {}
        free = (
            frozenset(step.left.ways[0].runs) - step.summed - step.both,
            frozenset(step.right.ways[0].runs) - step.summed - step.both,
        )
        summed = orders_of(step.summed, (step.left.ways, step.right.ways), ())
        for batch in self._batches(step, free):
            used = frozenset(batch)
            rows = orders_of(free[0] - used, (step.left.ways,), step.hints)
            columns = orders_of(free[1] - used, (step.right.ways,), step.hints)
            price = self._pricing(step, batch, rows[0], summed[0], columns[0])
            for inner in summed:
                for swapped, outer, one, two in self._sides(step, batch, rows, inner, columns):
                    order = batch + outer[0] + outer[1]
                    known = found.get(order)
                    taken = one.seconds + two.seconds
                    if known is not None and taken >= known.seconds:
                        continue  # whatever the product takes
                    seconds = taken + price(swapped, one, two)
                    if known is None or seconds < known.seconds:
                        form = MatmulLayout(swapped, batch, outer[0], inner, outer[1])
                        sides = (two.way, one.way) if swapped else (one.way, two.way)
                        runs = self._runs(order) if known is None else known.runs
                        found[order] = LayoutOption(order, runs, seconds, form, *sides)
        return list(found.values())

    def _sides(
        self,
        step: IndexGroups,
        batch: Order,
        rows: tuple[Order, ...],
        inner: Order,
        columns: tuple[Order, ...],
    ) -> Iterator[tuple[bool, tuple[Order, Order], MatrixView, MatrixView]]:
        """Both sides as matrices, in all orders of rows and columns: either may come first."""
        left = [
            (row, self._take(step, 0, batch, row, inner), self._take(step, 0, batch, inner, row))
            for row in rows
        ]
        right = [
            (one, self._take(step, 1, batch, inner, one), self._take(step, 1, batch, one, inner))
            for one in columns
        ]
        for row, row_first, row_last in left:
            for column, column_last, column_first in right:
                yield False, (row, column), row_first, column_last
                yield True, (column, row), column_first, row_last

    def _batches(
        self, step: IndexGroups, free: tuple[frozenset[str], frozenset[str]]
    ) -> Iterator[Order]:
        """What a product may be batched over: shared indices, or outer ones of one operand."""
        yield from orders_of(step.both, (step.left.ways, step.right.ways), step.hints)
        if step.both or not self._repeating:
            return
        for side, given in enumerate((step.left, step.right)):
            seen: set[Order] = set()
            for way in given.ways:
                for prefix in prefixes(way.order, free[side]):
                    if prefix not in seen:
                        seen.add(prefix)
                        yield prefix
            # All that is done alike next: so the result has it in front, apart from the rest.
            for group in step.apart:
                order = tuple(index for index in given.ways[0].order if index in group & free[side])
                if order and len(order) < len(free[side]) and order not in seen:
                    seen.add(order)
                    yield order

    def _pricing(
        self, step: IndexGroups, batch: Order, rows: Order, summed: Order, columns: Order
    ) -> Callable[[bool, MatrixView, MatrixView], float]:
        """What the product of two taken operands costs; the order within groups does not matter."""
        given = (step.left, step.right)
        fixed = given[0].fixed and given[1].fixed
        inside = self._count(batch), self._count(summed)
        outside = self._count(rows), self._count(columns)
        alone = tuple(bool(batch) and batch[0] not in one.ways[0].runs for one in given)
        prices: dict[tuple[bool, bool, bool], float] = {}

        def price(swapped: bool, one: MatrixView, two: MatrixView) -> float:
            key = swapped, one.turned, two.turned
            if key not in prices:
                first, second = (1, 0) if swapped else (0, 1)
                seconds = self._prices.product(
                    Product(
                        inside[0],
                        outside[first],
                        inside[1],
                        outside[second],
                        (alone[first], alone[second]),
                        (one.turned, two.turned),
                        (given[first].wanting, given[second].wanting),
                        (given[first].made, given[second].made),
                        fixed,
                    )
                )
                prices[key] = seconds / self._turns if fixed else seconds
            return prices[key]

        return price

    def _count(self, indices: Order) -> int:
        return math.prod(self._size[index] for index in indices)

    def _take(
        self, step: IndexGroups, side: int, batch: Order, rows: Order, columns: Order
    ) -> MatrixView:
        """The cheapest way to have one side as matrices of these groups."""
        given = (step.left, step.right)[side]
        carried = batch if batch and batch[0] in given.ways[0].runs else ()
        key = (side, carried, rows, columns)
        known = step.taken.get(key)
        if known is not None:
            return known
        due = (*carried, *rows, *columns)
        count = self._count(due)
        best: MatrixView | None = None
        for way in given.ways:
            if best is not None and way.seconds >= best.seconds:
                continue  # whatever it takes to turn it
            turned = as_matrix(way.runs, carried, rows, columns)
            if turned is None:
                lengths = tuple(self._size[index] for index in due)
                run = run_length(lengths, way.order, due)
                seconds = self._copied(count, run, given.fixed, given.wanting)
            else:
                seconds = self._prices.view(fixed=given.fixed, wanting=given.wanting)
            if best is None or way.seconds + seconds < best.seconds:
                best = MatrixView(way, way.seconds + seconds, bool(turned))
        assert best is not None
        step.taken[key] = best
        return best
