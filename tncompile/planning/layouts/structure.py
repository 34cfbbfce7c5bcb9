"""What contractions are as convolutions, at whatever sizes: found once for all searches."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from tncompile.lowering.convolution import (
    MOST_AXES,
    ConvolutionAxes,
    convolution_axes,
    image_is_right,
)
from tncompile.lowering.schedule import Order
from tncompile.network.contraction import Contraction
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window


@dataclass(frozen=True, slots=True)
class CallOrders:
    """A call with its indices in some order, and the orders of memory of what it reads and makes.

    Of each there are two: row major, and channels-last.
    """

    axes: ConvolutionAxes
    image: tuple[Order, Order]
    weight: tuple[Order, Order]
    result: tuple[Order, Order]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A contraction as one convolution; `swapped` where the image is the right operand.

    Without windows it is one of a kernel of length 1: a product along the channels.
    """

    network: TensorNetwork
    windows: tuple[Window, ...]
    result_legs: frozenset[str]
    swapped: bool
    _axes: dict[tuple[Order, Order], ConvolutionAxes] = field(default_factory=dict, init=False)
    _calls: dict[tuple[Order, Order, Order], CallOrders] = field(default_factory=dict, init=False)
    _hints: dict[tuple[Order, Order], tuple[Order, Order]] = field(default_factory=dict, init=False)

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

    @cached_property
    def transposed(self) -> bool:
        """Whether it is a transposed one."""
        return any(window.transposed for window in self.windows)

    @cached_property
    def private(self) -> frozenset[str]:
        """Legs that stand on one operand and are not summed before: those of the windows."""
        return frozenset(leg for w in self.windows for leg in (w.input_leg, w.kernel_leg))

    def axes(self, image: Order, kernel: Order) -> ConvolutionAxes:
        """The axes of the call, indices in the order of these operands."""
        key = image, kernel
        if key not in self._axes:
            names = tuple(window.name for window in self.windows)
            here = self.network, image, kernel, self.result_legs, names
            self._axes[key] = convolution_axes(*here)
        return self._axes[key]

    def call(self, image: Order, kernel: Order, columns: Order) -> CallOrders:
        """The call with its columns in this order, all else in that of the operands."""
        key = image, kernel, columns
        if key not in self._calls:
            axes = replace(self.axes(image, kernel), columns=columns)
            orders = self._image_orders(axes), self._weight_orders(axes), self._result_orders(axes)
            self._calls[key] = CallOrders(axes, *orders)
        return self._calls[key]

    def hints(self, legs: tuple[str, ...], other: Order) -> tuple[Order, Order]:
        """Orders in which one operand, which has these legs, is taken without a copy."""
        key = legs, other
        if key not in self._hints:
            image = not image_is_right(self.network, [w.name for w in self.windows], legs)
            axes = self.axes(legs, other) if image else self.axes(other, legs)
            orders = self._image_orders(axes) if image else self._weight_orders(axes)
            self._hints[key] = orders
        return self._hints[key]

    def _image_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The orders of memory in which the image is row major, and channels-last."""
        lengths = tuple(leg for leg, _ in axes.lengths)
        channels = axes.groups + axes.summed
        return axes.rows + channels + lengths, axes.rows + lengths + channels

    def _weight_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The same of the weight."""
        outer, inner, *kernel = axes.weight(transposed=self.transposed)
        lengths = tuple(leg for axis in kernel for leg in axis)
        return outer + inner + lengths, outer + lengths + inner

    def _result_orders(self, axes: ConvolutionAxes) -> tuple[Order, Order]:
        """The same of the result."""
        rows, channels, *outs = axes.result
        lengths = tuple(leg for axis in outs for leg in axis)
        return rows + channels + lengths, rows + lengths + channels


class Convolutions:
    """The convolutions that contractions of a network are."""

    def __init__(self, network: TensorNetwork) -> None:
        self._network = network
        self._known: dict[tuple[Contraction, Order, Order], Convolution | None] = {}

    def of(self, step: Contraction, left: Order, right: Order) -> Convolution | None:
        """That of a contraction of operands with these legs; None where it is not one."""
        if not self._network.windows:
            return None
        key = step, left, right
        if key not in self._known:
            found = Convolution.of(self._network, step, left)
            self._known[key] = found or Convolution.pointwise(self._network, step, left, right)
        return self._known[key]
