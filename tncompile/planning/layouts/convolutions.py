"""Layouts of a contraction along windows: the format of the convolution, orders of indices."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeGuard

from tncompile.lowering.convolution import (
    MOST_AXES,
    ConvolutionAxes,
    convolution_axes,
    image_is_right,
)
from tncompile.lowering.schedule import ConvolutionLayout, Order
from tncompile.machine.convolution import Convolution as ConvolutionSizes
from tncompile.network.contraction import Contraction
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window
from tncompile.planning.layouts.copies import Copies
from tncompile.planning.layouts.estimates import (
    LayoutCostModel,
    LayoutOption,
    OperandLayouts,
    orders_of,
)
from tncompile.planning.layouts.memory import Lengths


@dataclass(frozen=True, slots=True)
class Convolution:
    """A contraction as one convolution; `swapped` where the image is the right operand.

    Without windows it is one of a kernel of length 1: a product along the channels.
    """

    network: TensorNetwork
    windows: tuple[Window, ...]
    result_legs: frozenset[str]
    swapped: bool

    @classmethod
    def of(
        cls, network: TensorNetwork, step: Contraction, left: Iterable[str]
    ) -> Convolution | None:
        """The convolution that a contraction is, if it is one; `left` are legs of its operand."""
        if not step.windows:
            return None
        windows = tuple(window for window in network.windows if window.name in step.windows)
        swapped = image_is_right(network, step.windows, left)
        return cls(network, windows, frozenset(step.legs), swapped)

    @classmethod
    def pointwise(
        cls,
        network: TensorNetwork,
        step: Contraction,
        left: Collection[str],
        right: Collection[str],
    ) -> Convolution | None:
        """A contraction without windows as a convolution; None unless it sums channels of an image.

        The other operand must have no run-time leg.
        """
        if not network.windows or step.windows or step.lookups:
            return None
        swapped = image_is_right(network, (), left)
        image, other = (right, left) if swapped else (left, right)
        runtime = any(network.index[leg].size is None for leg in other)
        lengths = [leg for leg in image if network.index[leg].kind == "window"]
        summed = set(image).intersection(other).difference(step.legs)
        if runtime or not 1 <= len(lengths) <= MOST_AXES or not summed:
            return None
        return cls(network, (), frozenset(step.legs), swapped)

    @property
    def transposed(self) -> bool:
        """Whether it is a transposed one."""
        return any(window.transposed for window in self.windows)

    @property
    def private(self) -> frozenset[str]:
        """Legs that stand on one operand and are not summed before: those of the windows."""
        return frozenset(leg for w in self.windows for leg in (w.input_leg, w.kernel_leg))

    def axes(self, image: Order, kernel: Order) -> ConvolutionAxes:
        """The axes of the call, indices in the order of these operands."""
        names = tuple(window.name for window in self.windows)
        return convolution_axes(self.network, image, kernel, self.result_legs, names)

    def sizes(self, axes: ConvolutionAxes, lengths: Lengths) -> ConvolutionSizes:
        """What the call takes and gives, borders that are added before included."""
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
            transposed=self.transposed,
        )

    def image_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The orders of memory in which the image is row major, and channels-last."""
        lengths = tuple(leg for leg, _ in axes.lengths)
        channels = axes.groups + axes.summed
        return axes.rows + channels + lengths, axes.rows + lengths + channels

    def weight_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The same of the weight."""
        outer, inner, *kernel = axes.weight(transposed=self.transposed)
        lengths = tuple(leg for axis in kernel for leg in axis)
        return outer + inner + lengths, outer + lengths + inner

    def result_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The same of the result."""
        rows, channels, *outs = axes.result
        lengths = tuple(leg for axis in outs for leg in axis)
        return rows + channels + lengths, rows + lengths + channels

    def hints(self, legs: tuple[str, ...], other: Order) -> Iterator[Order]:
        """Orders in which one operand, which has these legs, is taken without a copy."""
        image = not image_is_right(self.network, [window.name for window in self.windows], legs)
        axes = self.axes(legs, other) if image else self.axes(other, legs)
        yield from self.image_orders(axes) if image else self.weight_orders(axes)


class ConvolutionLayouts:
    """Prices the layouts of convolutions."""

    def __init__(self, costs: LayoutCostModel, copies: Copies) -> None:
        self._costs, self._copies, self._lengths = costs, copies, copies.lengths

    def options(
        self,
        convolution: Convolution,
        image: OperandLayouts,
        weight: OperandLayouts,
        hints: tuple[Order, ...],
    ) -> list[LayoutOption]:
        """The cheapest convolution for each order of the result."""
        best: dict[Order, tuple[float, bool, ConvolutionAxes, LayoutOption, LayoutOption]] = {}
        first = convolution.axes(image.options[0].order, weight.options[0].order)
        prices = [
            self._price(convolution, first, image, weight, channels_last=last)
            for last in (False, True)
        ]
        orders = orders_of(frozenset(first.columns), (weight.options,), hints)
        taken: dict[tuple[int, Order], float] = {}  # copies of the weight
        for one in image.options:
            axes = convolution.axes(one.order, weight.options[0].order)
            ways: list[tuple[bool, float, ConvolutionAxes, Order, Order]] = []
            for last in (False, True):
                made = self._copy(convolution.image_orders(axes)[last], one, image)
                for order in orders:
                    ordered = replace(axes, columns=order)
                    result = convolution.result_orders(ordered)[last]
                    due = convolution.weight_orders(ordered)[last]
                    ways.append((last, made, ordered, result, due))
            for number, two in enumerate(weight.options):
                operands = one.seconds + two.seconds
                for last, made, ordered, result, due in ways:
                    known = best.get(result)
                    if known is not None and operands + prices[last] + made >= known[0]:
                        continue  # whatever a copy of the weight takes
                    key = number, due
                    if key not in taken:
                        taken[key] = self._copy(due, two, weight)
                    seconds = operands + prices[last] + made + taken[key]
                    if known is None or seconds < known[0]:
                        best[result] = seconds, last, ordered, one, two
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
        sizes = convolution.sizes(axes, self._lengths)
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
