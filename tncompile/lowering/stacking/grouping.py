"""Which contractions of a tree run together: equal steps of long families become one product.

The members of a stack are put in such an order that those that one product reads lie side by side.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter

from tncompile.network.contraction import Contraction, ContractionTree, Lookup
from tncompile.network.model import TensorNetwork
from tncompile.program.operation import results
from tncompile.program.program import TensorProgram

LONG = 64
"""Families of more equal members than this become batched products from the start."""

Member = tuple[int, int, Contraction]
Origin = tuple[str, int]
Signature = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class EqualStepGroup:
    """Contractions that run as one: a single one, or equal ones of equal height, sides aligned.

    `members` are (left, right, contraction); operand numbers are aligned across members, so `left`
    and `right` may be swapped against the plan.
    """

    members: tuple[Member, ...]

    @property
    def batched(self) -> bool:
        """Whether there is more than one contraction in it."""
        return len(self.members) > 1


def units(
    network: TensorNetwork, tree: ContractionTree, *, batch_equal_steps: bool = False
) -> tuple[EqualStepGroup, ...]:
    """The units of a tree in an order that can be executed.

    Trees of up to `LONG` contractions are run one by one, unless with `batch_equal_steps`.
    """
    if len(tree.steps) <= LONG and not batch_equal_steps:
        return tuple(EqualStepGroup(((step.left, step.right, step),)) for step in tree.steps)
    fewest = 1 if batch_equal_steps else LONG
    return _ordered(_Grouping(network, tree, fewest).units(), len(tree.operands))


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


def made_by(units: Sequence[EqualStepGroup], program: TensorProgram) -> dict[int, int]:
    """Which contractions a program really does, by the number that its steps name them with.

    Those that are missing have the value of an earlier one, which serves again. Of a unit whose
    members are all equal one is done.
    """
    stacked: dict[int, bool] = {}
    for step in program.steps:
        if step.contraction is not None and step.operation.is_contraction:
            axes = program.values[results(step.operation)[0]].axes
            batched = any(index.startswith("#") for axis in axes for index in axis)
            stacked[step.contraction] = stacked.get(step.contraction, False) or batched
    producers: dict[int, int] = {}
    for unit in units:
        contractions = [step.result for _, _, step in unit.members]
        number = min(contractions)
        if number in stacked:
            producers |= dict.fromkeys(contractions if stacked[number] else [number], number)
    return producers


class _Grouping:
    """Groups steps level by level; knows where each operand will be found."""

    def __init__(self, network: TensorNetwork, tree: ContractionTree, fewest: int) -> None:
        """Groups of more than `fewest` contractions start a batch of their own."""
        self._network, self._tree, self._fewest, self._legs = network, tree, fewest, tree.legs
        self._sizes = {index.name: str(index.size or index.name) for index in network.indices}
        self._uses = Counter((tensor.source, tensor.conjugate) for tensor in network.tensors)
        self._origin: dict[int, Origin] = {}
        self._batched: set[int] = set()
        self._first: list[int] = list(range(len(tree.operands)))
        for step in tree.steps:
            self._first.append(min(self._first[step.left], self._first[step.right]))

    def units(self) -> list[EqualStepGroup]:
        height = [0] * len(self._legs)
        levels: dict[int, dict[Signature, list[Member]]] = {}  # by height above the leaves
        for step in self._tree.steps:
            height[step.result] = 1 + max(height[step.left], height[step.right])
            left, right, signature = self._aligned(step)
            level = levels.setdefault(height[step.result], {})
            level.setdefault(signature, []).append((left, right, step))
        groups: list[EqualStepGroup] = []
        for level in levels.values():
            for group in level.values():
                group.sort(key=lambda member: (self._first[member[0]], self._first[member[1]]))
                groups.extend(self._split(group))
        return groups

    def _aligned(self, step: Contraction) -> tuple[int, int, Signature]:
        """The two sides in a canonical order, and all that must be equal to run together.

        Sides go by their kind and their sizes in order of legs (names at run time).
        """
        kinds = {
            side: (self._kind(side), tuple(self._sizes[leg] for leg in self._legs[side]))
            for side in (step.left, step.right)
        }
        left, right = sorted(kinds, key=lambda side: (kinds[side], self._first[side], side))
        number: dict[str, int] = {}
        for leg in (*self._legs[left], *self._legs[right], *step.legs):
            number.setdefault(leg, len(number))
        pattern = tuple(
            (*(number[leg] for leg in self._legs[side]), *self._lookups(side))
            for side in (left, right)
        )
        order = tuple(number[leg] for leg in step.legs)
        picked = self._picked(step.lookups, number)
        return left, right, (kinds[left], kinds[right], pattern, order, picked, step.windows)

    def _kind(self, side: int) -> str:
        if side >= len(self._tree.operands):
            return "result"
        operand = self._tree.operands[side]
        tensor = self._network.tensors[operand.tensor]
        picked = tensor.role == "input" and operand.lookups
        if operand.indicator or tensor.role == "mask" or picked:
            return f"single {side}"
        if tensor.role == "input":
            return f"input {self._network.input[tensor.source].family}"
        # A shared parameter is not stacked; so it keeps company with its own uses only. Two uses
        # are no sharing: a network contracted with itself has them.
        uses = tensor.source if self._uses[tensor.source, tensor.conjugate] > 2 else ""
        parameter = self._network.parameter[tensor.source]
        return f"weight {parameter.shape} {parameter.complex} {tensor.conjugate} {uses}"

    def _lookups(self, side: int) -> tuple[object, ...]:
        if side >= len(self._tree.operands):
            return ()
        operand = self._tree.operands[side]
        tensor = self._network.tensors[operand.tensor]
        return self._picked(operand.lookups, {leg: k for k, leg in enumerate(tensor.legs)})

    def _picked(
        self, lookups: tuple[Lookup, ...], place: Mapping[str, int]
    ) -> tuple[tuple[object, ...], ...]:
        """Which indices are looked up, by which digits of which input."""
        return tuple(
            (
                place[lookup.index],
                lookup.divisor,
                lookup.size,
                self._network.tensors[lookup.ids].source,
            )
            for lookup in lookups
        )

    def _where(self, side: int) -> Origin:
        """The value that will hold an operand, and where in it; stacks of weights are free.

        Later the members of some values change places, together with those of their readers.
        """
        if side in self._origin:
            return self._origin[side]
        if side < len(self._tree.operands):
            tensor = self._network.tensors[self._tree.operands[side].tensor]
            if tensor.role == "parameter":
                return "weights", -1
            if tensor.position:
                return f"input {tensor.source}", self._network.slice_number(tensor)
        return f"single {side}", 0

    def _split(self, group: list[Member]) -> list[EqualStepGroup]:
        """A group as units whose operands lie evenly spaced in the values that hold them."""
        parts = self._runs(group)
        if len(group) > self._fewest and len(parts) > max(4, len(group) // 16):
            parts = [group]
        groups: list[EqualStepGroup] = []
        for part in parts:
            stacked = not self._batched.isdisjoint(side for member in part for side in member[:2])
            together = len(part) > 1 and (stacked or len(group) > self._fewest)
            for members in [part] if together else [[member] for member in part]:
                results = [step.result for _, _, step in members]
                self._origin |= {k: (f"unit {results[0]}", at) for at, k in enumerate(results)}
                self._batched.update(results if together else ())
                groups.append(EqualStepGroup(tuple(members)))
        return groups

    def _runs(self, group: list[Member]) -> list[list[Member]]:
        """Maximal runs in which both sides step through one value by a constant stride."""
        runs: list[list[Member]] = []
        strides: tuple[int, ...] | None = None
        last: tuple[Origin, ...] = ()
        for member in group:
            here = (self._where(member[0]), self._where(member[1]))
            stride = _stride(last, here) if runs else None
            if stride is not None and strides in (None, stride):
                runs[-1].append(member)
                strides = stride
            else:
                runs.append([member])
                strides = None
            last = here
        return runs


def _stride(last: Sequence[Origin], here: Sequence[Origin]) -> tuple[int, ...] | None:
    """The distance between two members on either side, None where they lie in different values."""
    strides: list[int] = []
    for (before, at), (after, to) in zip(last, here, strict=True):
        if before != after or (to <= at and before != "weights"):
            return None
        strides.append(to - at)
    return tuple(strides)


def _ordered(groups: list[EqualStepGroup], operands: int) -> tuple[EqualStepGroup, ...]:
    """Units in the order of the plan, but each after those whose results it reads."""
    unit_of = {step.result: k for k, unit in enumerate(groups) for _, _, step in unit.members}
    waits = TopologicalSorter(
        {
            k: [unit_of[side] for member in unit.members for side in member[:2] if side >= operands]
            for k, unit in enumerate(groups)
        }
    )
    waits.prepare()
    ready: list[tuple[int, int]] = []
    order: list[EqualStepGroup] = []
    while waits.is_active():
        for k in waits.get_ready():
            heapq.heappush(ready, (groups[k].members[0][2].result, k))
        _, k = heapq.heappop(ready)
        order.append(groups[k])
        waits.done(k)
    return tuple(order)
