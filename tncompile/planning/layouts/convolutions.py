"""Layouts of a contraction along windows: the format of the convolution, orders of indices."""

from __future__ import annotations

import math
from typing import TypeGuard

from tncompile.lowering.convolution import (
    ConvolutionAxes,
)
from tncompile.lowering.schedule import ConvolutionLayout, Order
from tncompile.machine.convolution import Convolution as ConvolutionSizes
from tncompile.network.windows import Window
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import (
    LayoutOption,
    OperandLayouts,
    orders_of,
)
from tncompile.planning.layouts.memory import Lengths
from tncompile.planning.layouts.structure import Convolution


def convolution_sizes(
    axes: ConvolutionAxes, lengths: Lengths, *, transposed: bool
) -> ConvolutionSizes:
    """What a call takes and gives, borders that are added before included."""
    count, size = lengths.count, lengths.size
    return ConvolutionSizes(
        rows=count(axes.rows),
        groups=count(axes.groups),
        summed=count(axes.summed),
        columns=count(axes.columns),
        kernel=tuple(window.size if window else 1 for _, window in axes.lengths),
        lengths_in=tuple(
            size[leg] + (window.left + window.right if _has_borders(window) else 0)
            for leg, window in axes.lengths
        ),
        lengths_out=tuple(
            size[window.output_leg if window else leg] for leg, window in axes.lengths
        ),
        transposed=transposed,
    )


class ConvolutionLayouts:
    """Prices the layouts of convolutions."""

    def __init__(self, copies: Copies) -> None:
        self._costs, self._copies, self._lengths = copies.costs, copies, copies.lengths

    def options(
        self,
        convolution: Convolution,
        image: OperandLayouts,
        weight: OperandLayouts,
        hints: tuple[Order, ...],
    ) -> list[LayoutOption]:
        """The cheapest convolution for each order of the result."""
        best: dict[Order, tuple[float, bool, ConvolutionAxes, LayoutOption, LayoutOption]] = {}
        legs = weight.options[0].order
        first = convolution.axes(image.options[0].order, legs)
        prices = [
            self._price(convolution, first, image, weight, channels_last=last)
            for last in (False, True)
        ]
        orders = orders_of(frozenset(first.columns), (weight.options,), hints)
        taken: dict[tuple[int, Order], float] = {}  # copies of the weight
        for one in image.options:
            calls = [convolution.call(one.order, legs, order) for order in orders]
            ways = [(last, self._copy(calls[0].image[last], one, image)) for last in (False, True)]
            for number, two in enumerate(weight.options):
                operands = one.seconds + two.seconds
                for last, made in ways:
                    for call in calls:
                        known = best.get(call.result[last])
                        seconds = operands + prices[last] + made
                        if known is not None and seconds >= known[0]:
                            continue  # whatever a copy of the weight takes
                        key = number, call.weight[last]
                        if key not in taken:
                            taken[key] = self._copy(key[1], two, weight)
                        seconds += taken[key]
                        if known is None or seconds < known[0]:
                            best[call.result[last]] = seconds, last, call.axes, one, two
        return [self._option(convolution, order, *found) for order, found in best.items()]

    def _option(
        self,
        convolution: Convolution,
        order: Order,
        seconds: float,
        last: bool,
        axes: ConvolutionAxes,
        image: LayoutOption,
        weight: LayoutOption,
    ) -> LayoutOption:
        layout = ConvolutionLayout(last, axes.rows, axes.groups, axes.summed, axes.columns)
        sides = (weight, image) if convolution.swapped else (image, weight)
        return LayoutOption(self._lengths.row_major(order), seconds, layout, *sides)

    def _copy(self, target: Order, option: LayoutOption, operand: OperandLayouts) -> float:
        if option.memory.lies(target):
            return self._costs.view(operand)
        own = option.memory.indices
        return self._copies.to(tuple(k for k in target if k in own), option.order, operand)

    def _price(
        self,
        convolution: Convolution,
        axes: ConvolutionAxes,
        image: OperandLayouts,
        weight: OperandLayouts,
        *,
        channels_last: bool,
    ) -> float:
        """The call, with the copies that add borders which it cannot add itself, one a mode."""
        sizes = convolution_sizes(axes, self._lengths, transposed=convolution.transposed)
        padded = sizes.rows * sizes.groups * sizes.summed * math.prod(sizes.lengths_in)
        copies = len({window.mode for _, window in axes.lengths if _has_borders(window)})
        seconds = copies * self._costs.copy(padded, sizes.lengths_in[-1], image)
        return seconds + self._costs.convolution(
            (image, weight), sizes, channels_last=channels_last
        )


def _has_borders(window: Window | None) -> TypeGuard[Window]:
    """Whether an image is padded along a window before the call."""
    return window is not None and window.padding is None


def takes(convolution: Convolution, option: LayoutOption, other: Order) -> bool:
    """Whether the convolution takes an operand in this layout as it is."""
    return any(map(option.memory.lies, convolution.hints(option.order, other)))
