"""The end of a program: axes in the order of the output, biases added, groups flattened and cut.

What is returned is row major, as of any other layer: a view in another order would leave the copy
to whoever reads it next.
"""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.builder import Axes, ProgramBuilder
from tncompile.lowering.stacking.axes import cut
from tncompile.network.model import Bias
from tncompile.program.operations import Add, LoadParameter
from tncompile.program.program import Value


def finalize_output(assembler: ProgramBuilder, result: Value) -> Value:
    """The contracted value (split) as the output wants it."""
    output = assembler.network.output
    split: Axes = tuple((index,) for axis in output.axes for index in axis.indices)
    grouped: Axes = tuple(axis.indices for axis in output.axes)
    carried = {index for axis in result.axes for index in axis}
    missing = [
        index for axis in split for index in axis
        if index not in carried and assembler.length((index,)).names
    ]  # fmt: skip
    value = assembler.arrange(result, split if missing else grouped)
    if missing:
        # A run-time axis that no operand carries (ids over one row): all entries are the same.
        repeated = tuple(
            have or (axis if axis[0] in missing else ())
            for have, axis in zip(value.axes, split, strict=True)
        )
        wide = assembler.expand(value, repeated)
        held = {index for axis in repeated for index in axis}
        value = assembler.view(wide, tuple(tuple(k for k in axis if k in held) for axis in grouped))
    value = replace(value, axes=grouped)  # lengths agree: size-1 indices are named again
    for bias in assembler.network.biases:
        value = _biased(assembler, value, bias, grouped)
    for position, axis in enumerate(output.axes):
        if axis.width is not None and axis.width != axis.size:
            kept = assembler.pseudo("|", axis.width)
            value = cut(assembler, value, position, range(axis.width), kept)
    return assembler.contiguous(value)


def _biased(assembler: ProgramBuilder, value: Value, bias: Bias, grouped: Axes) -> Value:
    """The bias added: on flattened axes where it covers them whole, else on split ones."""
    parameter = assembler.network.parameter[bias.parameter]
    name = assembler.fresh(parameter.family)
    loaded = assembler.add(
        LoadParameter(name, parameter.key), assembler.value(name, bias.axes, parametric=True)
    )
    held = {index for axis in bias.axes for index in axis}
    made = assembler.product_of(value)
    if made is not None and all(set(axis) <= held or not set(axis) & held for axis in made.axes):
        return _within_product(assembler, made, assembler.split(loaded), grouped)
    whole = all(set(axis) <= held or not set(axis) & held for axis in grouped)
    axes = grouped if whole else tuple((index,) for axis in grouped for index in axis)
    covered = tuple(axis if set(axis) <= held else () for axis in axes)
    # A bias with groups of its own is split first; size-1 indices stay named on both sides.
    flat = assembler.view(loaded, tuple((index,) for axis in bias.axes for index in axis))
    shaped = _covering(assembler, flat, covered)
    total = assembler.elementwise(Add, assembler.view(value, axes), shaped)
    return assembler.view(total, grouped)


def _within_product(assembler: ProgramBuilder, made: Value, bias: Value, grouped: Axes) -> Value:
    """The last product with a bias (split) added in the same call, as the output groups it.

    A sum of its own would read and write the output once more, and take memory for a second one.
    """
    held = {index for axis in bias.axes for index in axis}
    covered = tuple(axis if held.issuperset(axis) else () for axis in made.axes)
    while covered and not covered[0]:
        covered = covered[1:]  # broadcasts by itself
    total = assembler.with_bias(made, _covering(assembler, bias, covered))
    carried = {index for axis in made.axes for index in axis}
    axes = tuple(tuple(index for index in axis if index in carried) for axis in grouped)
    return replace(assembler.view(total, axes), axes=grouped)


def _covering(assembler: ProgramBuilder, flat: Value, covered: Axes) -> Value:
    """A split bias over these axes; those over nothing broadcast."""
    order = [index for axis in covered for index in axis]
    moved = assembler.permute(flat, tuple(flat.axes.index((index,)) for index in order))
    return assembler.view(moved, covered)
