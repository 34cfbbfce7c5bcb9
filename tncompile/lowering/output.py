"""The end of a program: axes in the order of the output, biases added, groups flattened and cut.

What is returned is row major, as of any other layer, or channels-last where images are: a view in
another order would leave the copy to whoever reads it next.
"""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.lowering.stacking.axes import cut
from tncompile.network.model import Bias, TensorNetwork
from tncompile.program.operations import Add, LoadParameter
from tncompile.program.program import Value


def output_order(network: TensorNetwork) -> tuple[str, ...]:
    """The legs of the output in the order of its memory."""
    axes = [axis.indices for axis in network.output.axes]
    channels = network.channel_axis(axes) if network.channels_last else None
    if channels is not None:
        axes.append(axes.pop(channels))
    return tuple(leg for axis in axes for leg in axis)


def finalize_output(builder: ProgramBuilder, result: Value) -> Value:
    """The contracted value (split) as the output wants it."""
    output = builder.network.output
    split: Axes = tuple((index,) for axis in output.axes for index in axis.indices)
    grouped: Axes = tuple(axis.indices for axis in output.axes)
    carried = {index for axis in result.axes for index in axis}
    missing = [
        index for axis in split for index in axis
        if index not in carried and builder.length((index,)).names
    ]  # fmt: skip
    biases: list[Bias] = []
    for bias in builder.network.biases:
        biased = _in_product(builder, result, bias)
        if biased is None:
            biases.append(bias)
        else:
            result = biased
    value = builder.arrange(result, split if missing else grouped)
    if missing:
        # A run-time axis that no operand carries (ids over one row): all entries are the same.
        repeated = tuple(
            have or (axis if axis[0] in missing else ())
            for have, axis in zip(value.axes, split, strict=True)
        )
        wide = builder.expand(value, repeated)
        indices = {index for axis in repeated for index in axis}
        value = builder.view(
            wide, tuple(tuple(k for k in axis if k in indices) for axis in grouped)
        )
    value = replace(value, axes=grouped)  # lengths agree: size-1 indices are named again
    for bias in biases:
        value = _biased(builder, value, bias, grouped)
    for position, axis in enumerate(output.axes):
        if axis.width is not None and axis.width != axis.size:
            cut_index = builder.pseudo("|", axis.width)
            value = cut(builder, value, position, range(axis.width), cut_index)
    return builder.in_format_of_caller(value)


def _in_product(builder: ProgramBuilder, result: Value, bias: Bias) -> Value | None:
    """The result with the bias added by the last product itself; None where that cannot add it.

    The bias must cover axes of the product whole, in a convolution the channels alone. A sum of its
    own would read and write the output once more, and take memory for a second one.
    """
    indices = {index for axis in bias.axes for index in axis}
    product = builder.product_of(result)
    if product is None or not _fits(builder, product, indices):
        return None
    split_bias = builder.split(_loaded(builder, bias))
    indices = {index for axis in split_bias.axes for index in axis}
    covered = tuple(axis if indices.issuperset(axis) else () for axis in product.axes)
    if builder.is_convolution(product):
        covered = covered[1:2]  # a vector along the channels
    else:
        while covered and not covered[0]:
            covered = covered[1:]  # broadcasts by itself
    return builder.split(builder.with_bias(product, _covering(builder, split_bias, covered)))


def _loaded(builder: ProgramBuilder, bias: Bias) -> Value:
    parameter = builder.network.parameter[bias.parameter]
    kind = parameter.complex
    loaded = builder.value(parameter.family, bias.axes, parametric=True, complex=kind)
    return builder.add(LoadParameter(loaded.name, parameter.key), loaded)


def _biased(builder: ProgramBuilder, value: Value, bias: Bias, grouped: Axes) -> Value:
    """The bias added on flattened axes of the output where it covers these, or on split ones."""
    loaded = _loaded(builder, bias)
    indices = {index for axis in bias.axes for index in axis}
    whole = _covers_whole(indices, grouped)
    axes = grouped if whole else tuple((index,) for axis in grouped for index in axis)
    covered = tuple(axis if set(axis) <= indices else () for axis in axes)
    # A bias with groups of its own is split first; size-1 indices stay named on both sides.
    flat = builder.view(loaded, tuple((index,) for axis in bias.axes for index in axis))
    shaped = _covering(builder, flat, covered)
    total = builder.elementwise(Add, builder.view(value, axes), shaped)
    return builder.view(total, grouped)


def _fits(builder: ProgramBuilder, product: Value, indices: set[str]) -> bool:
    """Whether the product itself can add a bias of these indices."""
    if builder.is_convolution(product):
        others = (index for k, axis in enumerate(product.axes) for index in axis if k != 1)
        return indices.issuperset(product.axes[1]) and indices.isdisjoint(others)
    return _covers_whole(indices, product.axes)


def _covers_whole(indices: set[str], axes: Axes) -> bool:
    """Whether each of these axes runs over these indices alone, or over none of them."""
    return all(indices.issuperset(axis) or indices.isdisjoint(axis) for axis in axes)


def _covering(builder: ProgramBuilder, flat: Value, covered: Axes) -> Value:
    """A split bias over these axes; those over nothing broadcast."""
    order = [index for axis in covered for index in axis]
    moved = builder.permute(flat, tuple(flat.axes.index((index,)) for index in order))
    return builder.view(moved, covered)
