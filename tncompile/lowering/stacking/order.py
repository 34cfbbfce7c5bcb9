"""The order of the members of a stack: those that one product reads lie side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tncompile.lowering.stacking.grouping import EqualStepGroup
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork

Member = tuple[int, int, Contraction]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Where a result is read: the unit, on which side, by which of its members."""

    unit: int
    side: int
    position: int


def order_members(
    network: TensorNetwork, tree: ContractionTree, units: Sequence[EqualStepGroup]
) -> tuple[EqualStepGroup, ...]:
    """The units, each after those that it reads, their members in the order of their readers.

    That is done where readers multiply two stacks row by row of the batch: there a stack and the
    batch become one axis, which takes a copy unless members lie side by side. Slices of an input,
    and what is made of inputs alone, keep their order; whoever wants another one gathers it.
    """
    if not any(unit.batched for unit in units):
        return tuple(units)
    facts = _Facts(network, tree)
    ordered = list(units)
    readings: dict[int, _Reading] = {}
    moved: set[int] = set()
    for number in reversed(range(len(ordered))):
        unit = ordered[number]
        read = {
            readings[step.result].unit for _, _, step in unit.members if step.result in readings
        }
        wanted = any(other in moved or facts.row_by_row(ordered[other]) for other in read)
        if unit.batched and wanted and facts.parametric(unit):
            members = sorted(unit.members, key=lambda member: _place(member, readings, ordered))
            unit = ordered[number] = replace(unit, members=tuple(members))
            moved.add(number)
        for position, (left, right, _) in enumerate(unit.members):
            readings[left] = _Reading(number, 0, position)
            readings[right] = _Reading(number, 1, position)
    return tuple(ordered)


def _place(
    member: Member, readings: dict[int, _Reading], units: Sequence[EqualStepGroup]
) -> tuple[bool, int, int, int]:
    """Members that are read by themselves come last."""
    reading = readings[member[2].result]
    return (
        not units[reading.unit].batched,
        reading.unit,
        reading.side,
        reading.position,
    )


class _Facts:
    """What operands and results carry."""

    def __init__(self, network: TensorNetwork, tree: ContractionTree) -> None:
        roles = [network.tensors[operand.tensor].role for operand in tree.operands]
        self._runtime = {index.name for index in network.indices if index.size is None}
        self._legs = [operand.legs for operand in tree.operands]
        self._parametric = [role == "parameter" for role in roles]
        for step in tree.steps:
            self._legs.append(step.legs)
            self._parametric.append(self._parametric[step.left] or self._parametric[step.right])

    def parametric(self, unit: EqualStepGroup) -> bool:
        """Whether what the unit makes depends on parameters."""
        return self._parametric[unit.members[0][2].result]

    def row_by_row(self, unit: EqualStepGroup) -> bool:
        """Whether it multiplies matrices of which each row of the batch has its own.

        Vectors are not worth it: what is copied of them is less than what is gathered.
        """
        left, right, step = unit.members[0]
        both = set(self._legs[left]) & set(self._legs[right])
        matrices = all(set(self._legs[side]) - both - self._runtime for side in (left, right))
        return (
            unit.batched and matrices and bool(both & self._runtime) and bool(both - set(step.legs))
        )
