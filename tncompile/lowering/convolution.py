"""One contraction along windows as operations: a convolution, on views where they are in order.

The image, which carries the input legs, becomes (N, channels, lengths…), and the tensors with the
kernel legs become the weight. Indices that both carry and the result keeps, even run-time ones, are
groups of channels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.lowering.schedule import ConvolutionLayout, Order
from tncompile.network.contraction import MOST_WINDOWS
from tncompile.network.model import TensorNetwork
from tncompile.network.windows import PaddingMode, Window
from tncompile.program import operations as op
from tncompile.program.layout import channels_last as channels_last_strides
from tncompile.program.layout import results_channels_last
from tncompile.program.program import Value

MOST_AXES = MOST_WINDOWS
"""Axes along which torch convolves at once."""


@dataclass(frozen=True, slots=True)
class ConvolutionAxes:
    """What each axis of a convolution runs over.

    `lengths` are those of the image, with the window that is convolved along, None for an axis
    that is only carried along; what else the image alone has is in `rows`.
    """

    rows: Order
    groups: Order
    summed: Order
    columns: Order
    lengths: tuple[tuple[str, Window | None], ...]

    @property
    def image(self) -> Axes:
        """The axes of the image."""
        return (self.rows, self.groups + self.summed, *((leg,) for leg, _ in self.lengths))

    def weight(self, *, transposed: bool) -> Axes:
        """The axes of the weight."""
        kernel = tuple((w.kernel_leg,) if w else () for _, w in self.lengths)
        if transposed:
            return (self.groups + self.summed, self.columns, *kernel)
        return (self.groups + self.columns, self.summed, *kernel)

    @property
    def result(self) -> Axes:
        """The axes of the result, with the legs of the output."""
        lengths = tuple((w.output_leg if w else leg,) for leg, w in self.lengths)
        return (self.rows, self.groups + self.columns, *lengths)


def convolution_axes(
    network: TensorNetwork,
    image: Iterable[str],
    kernel: Iterable[str],
    result_legs: frozenset[str],
    windows: tuple[str, ...],
) -> ConvolutionAxes:
    """The axes of the convolution of operands with these legs, each in the order of its operand."""
    image, kernel = tuple(image), tuple(kernel)
    own = {leg: network.window[leg] for leg in image if leg in network.window}
    lengths: list[tuple[str, Window | None]] = [
        (leg, window) for leg, window in own.items() if window.name in windows
        and leg == window.input_leg
    ]  # fmt: skip
    chosen = {leg for leg, _ in lengths}
    for leg in own:
        if leg not in chosen and leg not in kernel and len(lengths) < MOST_AXES:
            lengths.append((leg, None))
    order = {window.name: k for k, window in enumerate(network.windows)}
    lengths.sort(key=lambda length: order[own[length[0]].name])
    spatial = {leg for leg, _ in lengths}
    kernels = {window.kernel_leg for _, window in lengths if window is not None}
    return ConvolutionAxes(
        tuple(leg for leg in image if leg not in kernel and leg not in spatial),
        tuple(leg for leg in image if leg in kernel and leg in result_legs),
        tuple(leg for leg in image if leg in kernel and leg not in result_legs),
        tuple(leg for leg in kernel if leg not in image and leg not in kernels),
        tuple(lengths),
    )


def image_is_right(network: TensorNetwork, windows: Collection[str], left: Iterable[str]) -> bool:
    """Whether the image is the right operand, where these are the legs of the left one.

    Without windows it is what has legs of windows at all.
    """
    along = [window.input_leg for window in network.windows if window.name in windows]
    legs = along or [index.name for index in network.indices if index.kind == "window"]
    return set(legs).isdisjoint(left)


def convolve(
    builder: ProgramBuilder,
    left: Value,
    right: Value,
    result_legs: frozenset[str],
    windows: tuple[str, ...],
    layout: ConvolutionLayout | None = None,
) -> Value:
    """The convolution of two split values along `windows`; a split value again.

    Without windows it is one of a kernel of length 1 along all lengths of the image, which is how
    torch multiplies channels fastest where images are small or channels-last.

    Without a `layout` it runs in the format that the image has, indices in the order of memory.
    """
    network = builder.network
    along = [window for window in network.windows if window.name in windows]
    if image_is_right(network, windows, _indices(left)):
        left, right = right, left
    kept = result_legs.union(*((w.input_leg, w.kernel_leg) for w in along))
    image_legs, kernel_legs = _indices(left), _indices(right)
    image = builder.sum(left, set(image_legs) - set(kernel_legs) - kept)
    kernel = builder.sum(right, set(kernel_legs) - set(image_legs) - kept)
    legs = _by_stride(builder, image), _by_stride(builder, kernel)
    axes = convolution_axes(network, *legs, result_legs, windows)
    if layout is None:
        last = _lies_channels_last(builder, image, axes)
    else:
        last = layout.channels_last
        orders = layout.rows, layout.groups, layout.summed, layout.columns
        axes = ConvolutionAxes(*orders, axes.lengths)
    image = _formatted(builder, image, axes.image, channels_last=last)
    transposed = any(window.transposed for window in along)
    kernel = _formatted(builder, kernel, axes.weight(transposed=transposed), channels_last=last)
    for mode in dict.fromkeys(window.mode for window in along if window.padding is None):
        image = _with_borders(builder, image, axes, mode)
    result = _call(builder, image, kernel, axes)
    for window in along:
        result = _without_borders(builder, result, axes, window)
    return builder.split(replace(result, axes=axes.result))


def _indices(value: Value) -> Order:
    return tuple(index for axis in value.axes for index in axis)


def _by_stride(builder: ProgramBuilder, value: Value) -> Order:
    """The indices of a value in the order of its memory, the outermost first."""
    runs = builder.runs(value)
    return tuple(sorted(runs, key=lambda index: -runs[index][1].at(builder.sizes)))


def _lies_channels_last(builder: ProgramBuilder, image: Value, axes: ConvolutionAxes) -> bool:
    """Whether the image has its channels innermost already."""
    runs = builder.runs(image)
    channels = [leg for leg in axes.groups + axes.summed if leg in runs]
    inner = min((runs[leg][1].at(builder.sizes) for leg in channels), default=0)
    lengths = [runs[leg][1].at(builder.sizes) for leg, _ in axes.lengths]
    return bool(channels) and inner < min(lengths)


def _formatted(builder: ProgramBuilder, source: Value, axes: Axes, *, channels_last: bool) -> Value:
    """An operand in one of the two formats, copied unless it has it."""
    if not channels_last:
        return builder.contiguous(builder.arrange(source, axes))
    count = len(axes)
    inner = builder.contiguous(builder.arrange(source, (axes[0], *axes[2:], axes[1])))
    return builder.permute(inner, (0, count - 1, *range(1, count - 1)))


def _with_borders(
    builder: ProgramBuilder, image: Value, axes: ConvolutionAxes, mode: PaddingMode
) -> Value:
    """The image padded along the windows of a mode that the call itself cannot pad along."""
    padded, borders = [*image.axes[:2]], list[tuple[int, int]]()
    for axis, (_, window) in zip(image.axes[2:], axes.lengths, strict=True):
        if window is not None and window.padding is None and window.mode == mode:
            padded.append((window.padded_leg,))
            borders.append((window.left, window.right))
        else:
            padded.append(axis)
            borders.append((0, 0))
    before, after = zip(*borders, strict=True)
    call = "constant" if mode == "zeros" else mode
    return _padded(builder, image, tuple(padded), before, after, call)


def _padded(
    builder: ProgramBuilder,
    source: Value,
    axes: Axes,
    before: tuple[int, ...],
    after: tuple[int, ...],
    mode: op.PadMode,
) -> Value:
    result = builder.value(source.name, axes, (source,))
    if mode != "circular":
        result = _in_format(result, source)
    return builder.add(op.PadBorders(result.name, source.name, before, after, mode), result)


def _call(builder: ProgramBuilder, image: Value, weight: Value, axes: ConvolutionAxes) -> Value:
    """The call itself: its result has the lengths that it gives, before any are cut off."""
    windows = [window for _, window in axes.lengths]
    transposed = any(window is not None and window.transposed for window in windows)
    lengths: list[tuple[str, ...]] = []
    for leg, window in axes.lengths:
        if window is None:
            lengths.append((leg,))
        else:
            cropped = transposed and any(window.crop)
            lengths.append((window.padded_leg if cropped else window.output_leg,))
    result_axes = (axes.rows, axes.groups + axes.columns, *lengths)
    result = builder.value("t", result_axes, (image, weight))
    if results_channels_last(image, weight):
        result = replace(result, strides=channels_last_strides(result.shape))
    operation = op.Convolve(
        result.name,
        image.name,
        weight.name,
        stride=tuple(window.stride if window else 1 for window in windows),
        padding=tuple((window.padding or 0) if window else 0 for window in windows),
        dilation=tuple(window.dilation if window else 1 for window in windows),
        transposed=transposed,
        output_padding=tuple(max(0, w.output_padding) if w else 0 for w in windows)
        if transposed
        else (),
    )
    return builder.add(operation, result)


def _without_borders(
    builder: ProgramBuilder, result: Value, axes: ConvolutionAxes, window: Window
) -> Value:
    """What a transposed window cuts off is cut off; entries that nothing reaches are zeros."""
    if not window.transposed or not any(window.crop):
        return result
    names = [w and w.name for _, w in axes.lengths]
    place = 2 + names.index(window.name)
    exact = tuple(
        (window.output_leg,) if k == place else axis for k, axis in enumerate(result.axes)
    )
    before, after = window.crop
    if after < 0:  # as many zeros are missing
        cut, zeros = [0] * (len(result.axes) - 2), [0] * (len(result.axes) - 2)
        cut[place - 2], zeros[place - 2] = -before, -after
        return _padded(builder, result, exact, tuple(cut), tuple(zeros), "constant")
    return builder.derive(op.Crop, result, exact, place, before, after)


def _in_format(result: Value, source: Value) -> Value:
    """The result with the memory format of the source."""
    if source.strides != channels_last_strides(source.shape):
        return result
    return replace(result, strides=channels_last_strides(result.shape))
