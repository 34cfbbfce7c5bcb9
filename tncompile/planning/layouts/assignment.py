"""The order of axes of every intermediate, chosen over a whole tree so that few copies are made.

A pairwise contraction is a matrix product once its operands are matrices in memory. Which orders of
rows, columns and summed indices an operand has without a copy depends on the products before; which
it should have, on those after. `arrange` follows both: from the leaves up it keeps, for every
result, the cheapest option in each of a few orders.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from tncompile.lowering.leaves import table_rows
from tncompile.lowering.output import output_order
from tncompile.lowering.schedule import Layout, Order
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.convolutions import ConvolutionLayouts, takes
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import (
    IndexGroups,
    LayoutOption,
    OperandLayouts,
    prefixes,
)
from tncompile.planning.layouts.products import ProductLayouts
from tncompile.planning.layouts.structure import Convolution
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
        copies: Copies,
        broadcasting: bool = True,
    ) -> None:
        self._tree, self._copies = tree, copies
        self._lengths = lengths = copies.lengths
        self._products = ProductLayouts(copies, broadcasting)
        self._convolutions = ConvolutionLayouts(copies)
        self._broadcasting = broadcasting
        self._output_order = output_order(network)
        images = passed_on(network) if network.windows else frozenset()
        self._operands: dict[int, OperandLayouts] = {}
        for number, operand in enumerate(tree.operands):
            memory, varying, parametric = lengths.leaf(operand)
            image = network.tensors[operand.tensor].name in images
            options = (LayoutOption(memory, 0.0),)
            self._operands[number] = OperandLayouts(
                options, not varying, parametric or image, image
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

    def _output_copy(self, option: LayoutOption, result: OperandLayouts) -> float:
        """The copy of a result whose axes are not in the order of the output."""
        target = tuple(k for k in self._output_order if k in option.memory.indices)
        return 0.0 if target == option.order else self._copies.to(target, option.order, result)

    # ── one contraction ────────────────────────────────────────────────────────────────────────

    def _contract(self, contraction: Contraction) -> OperandLayouts:
        result_legs = frozenset((*contraction.legs, *table_rows(contraction.lookups)))
        convolution = self._convolution(contraction)
        if convolution is not None:
            result_legs |= convolution.private
        left = self._private_summed(contraction.left, contraction.right, result_legs)
        right = self._private_summed(contraction.right, contraction.left, result_legs)
        shared = left.options[0].memory.indices & right.options[0].memory.indices
        groups = IndexGroups(
            (left, right),
            shared - result_legs,
            shared & result_legs,
            self._hints(contraction),
            self._next_use_groups(contraction),
        )
        if convolution is not None:
            options = self._convolved(convolution, groups)
        elif groups.summed:
            options = self._products.options(groups)
            legs = self._legs[contraction.left], self._legs[contraction.right]
            pointwise = self._lengths.convolutions.of(contraction, *legs)
            if pointwise is not None:
                options = _cheapest([*options, *self._convolved(pointwise, groups)])
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
        ready: list[tuple[float, int]] = []
        for place, option in enumerate(cheapest):
            if len(ready) == BEAM and option.seconds > ready[-1][0]:
                break  # whatever its copy takes, and those of all that follow
            insort(ready, (option.seconds + next_copy(option), place))
            del ready[BEAM:]
        worth_following: dict[Order, LayoutOption] = {}
        for option in (*(cheapest[place] for _, place in ready), *cheapest[:CHEAPEST]):
            worth_following.setdefault(option.order, option)
        return replace(result, options=tuple(worth_following.values()))

    def _convolution(self, contraction: Contraction) -> Convolution | None:
        if not contraction.windows:
            return None
        legs = self._legs[contraction.left], self._legs[contraction.right]
        return self._lengths.convolutions.of(contraction, *legs)

    def _convolved(self, convolution: Convolution, groups: IndexGroups) -> list[LayoutOption]:
        image, weight = groups.operands[:: -1 if convolution.swapped else 1]
        return self._convolutions.options(convolution, image, weight, groups.hints)

    def _private_summed(
        self, number: int, other: int, result_legs: frozenset[str]
    ) -> OperandLayouts:
        """An operand, summed over the indices that it alone has."""
        operand = self._operands[number]
        stays = self._operands[other].options[0].memory.indices | result_legs
        if operand.options[0].memory.indices <= stays:
            return operand
        options: list[LayoutOption] = []
        for option in operand.options:
            order = tuple(index for index in option.order if index in stays)
            options.append(replace(option, memory=self._lengths.row_major(order)))
        return replace(operand, options=tuple(options), keeps_format=True)

    def _look_up(
        self, option: LayoutOption, table: OperandLayouts, contraction: Contraction
    ) -> LayoutOption:
        """Rows of a table by ids: its row indices come first, after a copy if they did not."""
        rows = table_rows(contraction.lookups)
        rest = tuple(index for index in option.order if index not in rows)
        seconds = option.seconds
        if option.order[: len(rows)] != rows:
            seconds += self._copies.to(rows + rest, option.order, table)
        order = (*(index for index in contraction.legs if index not in rest), *rest)
        return replace(option, memory=self._lengths.row_major(order), seconds=seconds)

    def _elementwise(self, *operands: OperandLayouts) -> list[LayoutOption]:
        """Nothing is summed: an elementwise product in the order of the larger operand."""
        left, right = (operand.options[0] for operand in operands)
        swapped = self._lengths.count(left.order) < self._lengths.count(right.order)
        large, small = (right, left) if swapped else (left, right)
        order = (
            *large.order,
            *(index for index in small.order if index not in large.memory.indices),
        )
        seconds = left.seconds + right.seconds
        return [LayoutOption(self._lengths.row_major(order), seconds, None, left, right)]

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
            return convolution.hints(legs, theirs)
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
        count = self._lengths.count(contraction.legs)
        if (convolution := self._convolution(following)) is not None:
            partner = self._legs[other]
            return lambda option: (
                0.0
                if takes(convolution, option, partner)
                else self._copies.seconds(count, self._lengths.size[option.order[-1]], result)
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
                groups = (
                    tuple(index for index in order if index in outer),
                    tuple(index for index in order if index in free and index not in outer),
                    tuple(index for index in order if index in summed),
                )
                if option.memory.as_matrix(groups) is not None:
                    return 0.0
            return self._copies.seconds(count, self._lengths.size[order[-1]], result)

        return seconds
