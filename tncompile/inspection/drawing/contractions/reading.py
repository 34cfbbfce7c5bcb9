"""The steps of a contraction as they are drawn: what each takes, keeps and sums over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tncompile.lowering.stacking.grouping import units
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import Variant
from tncompile.simulation.costs import CostStep


@dataclass(frozen=True)
class Side:
    """An operand of a step, or one of each of its members: tensors, results of earlier steps.

    `leaves` are all tensors that are in it by now, as bits by their place among the operands.
    """

    label: str
    tensors: tuple[str, ...]  # by name
    steps: tuple[int, ...]  # by number
    leaves: int


@dataclass(frozen=True)
class Rung:
    """A step of the table of a cost: its operands, and the legs that end in it.

    `contraction` is the number of its first one in the tree, from 0: code calls it one more.
    """

    number: int
    contraction: int
    step: CostStep
    left: Side
    right: Side
    contracted: tuple[str, ...]


def rungs_of(network: TensorNetwork, variant: Variant) -> tuple[Rung, ...]:
    """The steps of a variant, in the order of its cost."""
    tree, schedule = variant.tree, variant.schedule
    groups = units(network, tree, batch_equal_steps=schedule.batch_equal_steps)
    names = [network.tensors[operand.tensor].name for operand in tree.operands]
    row = {step.result: k for k, group in enumerate(groups) for _, _, step in group.members}
    legs = tree.legs
    inside = [1 << k for k in range(len(names))]
    for each in tree.steps:
        inside.append(inside[each.left] | inside[each.right])

    def side(operands: Iterable[int], label: str) -> Side:
        read = list(operands)
        tensors = dict.fromkeys(names[k] for k in read if k < len(names))
        steps = dict.fromkeys(row[k] for k in read if k in row)
        bits = 0
        for k in read:
            bits |= inside[k]
        return Side(label, tuple(tensors), tuple(steps), bits)

    rungs: list[Rung] = []
    for number, (group, step) in enumerate(zip(groups, variant.cost.steps, strict=True)):
        kept = dict.fromkeys(leg for _, _, each in group.members for leg in each.legs)
        read = dict.fromkeys(
            leg for left, right, _ in group.members for leg in (*legs[left], *legs[right])
        )
        rungs.append(
            Rung(
                number,
                min(each.result for _, _, each in group.members) - len(names),
                step,
                side((left for left, _, _ in group.members), step.left),
                side((right for _, right, _ in group.members), step.right),
                tuple(leg for leg in read if leg not in kept),
            )
        )
    return tuple(rungs)


def leaf_names(network: TensorNetwork, variant: Variant) -> tuple[str, ...]:
    """The names of the tensors that the bits of `Side.leaves` stand for, in their order."""
    return tuple(network.tensors[operand.tensor].name for operand in variant.tree.operands)
