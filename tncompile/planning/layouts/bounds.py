"""The least that a tree is predicted to take, whatever its layouts: calls, products, convolutions.

Copies and passes over intermediates come on top. A tree whose least is more than what others take
needs no search of layouts.
"""

from __future__ import annotations

import math

from tncompile.lowering.stacking.grouping import LONG
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.convolutions import convolution_sizes
from tncompile.planning.layouts.estimates import LayoutCostModel, OperandLayouts
from tncompile.planning.layouts.memory import Lengths
from tncompile.simulation.trace import passed_on

ROUNDING = 1 - 1e-9  # sums in another order differ in their last digits


def least_seconds(
    network: TensorNetwork, tree: ContractionTree, lengths: Lengths, costs: LayoutCostModel
) -> float:
    """What no schedule that contracts all of the batch at once falls below.

    0 where equal intermediates may be computed at once, or only once, or are looked up.
    """
    leaves = [network.tensors[operand.tensor] for operand in tree.operands]
    distinct = {(leaf.source, leaf.position, leaf.conjugate) for leaf in leaves}
    picked = any(each.integer for each in network.inputs)
    if len(tree.steps) > LONG or len(distinct) < len(leaves) or picked:
        return 0.0
    legs = tree.legs
    held: list[OperandLayouts] = []  # what each operand depends on; it may lie anyhow
    frozen = {parameter.key for parameter in network.parameters if parameter.frozen}
    inputs = passed_on(network)
    for operand, leaf in zip(tree.operands, leaves, strict=True):
        _, varying, parametric = lengths.leaf(operand)
        trained = leaf.name in inputs or (parametric and leaf.source not in frozen)
        held.append(OperandLayouts((), not varying, trained, False))
    seconds = 0.0
    for step in tree.steps:
        operands = held[step.left], held[step.right]
        independent, requires_grad = (
            all(each.input_independent for each in operands),
            any(each.requires_grad for each in operands),
        )
        held.append(OperandLayouts((), independent, requires_grad, True))
        if not (costs.folded and independent):
            sides = legs[step.left], legs[step.right]
            seconds += _step_seconds(step, sides, operands, lengths, costs)
    return ROUNDING * seconds


def _step_seconds(
    step: Contraction,
    legs: tuple[tuple[str, ...], tuple[str, ...]],
    operands: tuple[OperandLayouts, OperandLayouts],
    lengths: Lengths,
    costs: LayoutCostModel,
) -> float:
    """The least that one contraction takes."""
    convolution = lengths.convolutions.of(step, *legs)
    both, result = set(legs[0]).intersection(legs[1]), set(step.legs)
    summed = both - result
    least = 0.0
    if not step.windows:
        if not summed:
            return 0.0
        everything = both.union(*(result.intersection(side) for side in legs))
        counts = (
            math.prod(lengths.size[leg] for leg in group) for group in (everything, summed, result)
        )
        least = costs.least_product(operands, *counts)
    if convolution is None:
        return least
    stays = both | result | convolution.private
    image, weight = (
        tuple(leg for leg in side if leg in stays)
        for side in legs[:: -1 if convolution.swapped else 1]
    )
    axes = convolution.axes(image, weight)
    sides = operands[::-1] if convolution.swapped else operands
    sizes = convolution_sizes(axes, lengths, transposed=convolution.transposed)
    prices = [costs.convolution(sides, sizes, channels_last=last) for last in (False, True)]
    return min(prices) if step.windows else min(least, *prices)
