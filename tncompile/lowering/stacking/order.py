"""The order of the members of a stack: those that one product reads lie side by side."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.lowering.stacking.grouping import EqualStepGroup, Member
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork


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
    legs = tree.legs
    runtime = {index.name for index in network.indices if index.size is None}
    parametric = [network.tensors[each.tensor].role == "parameter" for each in tree.operands]
    for step in tree.steps:
        parametric.append(parametric[step.left] or parametric[step.right])

    def row_by_row(unit: EqualStepGroup) -> bool:
        """Whether it multiplies matrices of which each row of the batch has its own.

        Vectors are not worth it: what is copied of them is less than what is gathered.
        """
        left, right, step = unit.members[0]
        both = set(legs[left]) & set(legs[right])
        matrices = all(set(legs[side]) - both - runtime for side in (left, right))
        return unit.batched and matrices and bool(both & runtime) and bool(both - set(step.legs))

    readings: dict[int, tuple[int, int, int]] = {}  # of a result: unit, side, position in it

    def place(member: Member) -> tuple[bool, int, int, int]:
        """Where a member is read; those that are read by themselves come last."""
        reader, side, position = readings[member[2].result]
        return not ordered[reader].batched, reader, side, position

    ordered = list(units)
    moved: set[int] = set()
    for number, unit in reversed(list(enumerate(ordered))):
        read = {readings[step.result][0] for _, _, step in unit.members if step.result in readings}
        wanted = any(reader in moved or row_by_row(ordered[reader]) for reader in read)
        if unit.batched and wanted and parametric[unit.members[0][2].result]:
            ordered[number] = EqualStepGroup(tuple(sorted(unit.members, key=place)))
            moved.add(number)
        for position, (left, right, _) in enumerate(ordered[number].members):
            readings[left] = number, 0, position
            readings[right] = number, 1, position
    return tuple(ordered)
