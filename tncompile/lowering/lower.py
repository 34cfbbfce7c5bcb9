"""Lowering: a contraction tree becomes a straight-line tensor program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.finishing import Parts
from tncompile.lowering.leaves import LeafLoader, table_rows
from tncompile.lowering.matmul import Ahead, contract
from tncompile.lowering.output import finalize_output
from tncompile.lowering.rescaling import Logarithm
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.lowering.stacking.axes import concatenate, divide, members, select, unbind
from tncompile.lowering.stacking.grouping import EqualStepGroup, units
from tncompile.lowering.stacking.order import order_members
from tncompile.lowering.stacking.splitting import Reader, split_stack
from tncompile.lowering.value_numbering import ValueNumbering
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.program.operations import Ones
from tncompile.program.program import TensorProgram, Value


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the result of a contraction is: a whole value, or a position along its stack axis.

    `legs` are the legs of the contraction that named the value's axes; members of a stack carry
    other names in the same order.
    """

    value: Value
    legs: tuple[str, ...]
    stack: str = ""
    position: int = 0


def lower(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule = STRAIGHT,
    *,
    logarithm: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> TensorProgram:
    """The program that contracts `network` along `tree`, in the way that `schedule` says.

    Where parts of the batch cannot be done one after the other (`loop_index`), `rows` is ignored.
    `logarithm` rescales every intermediate on the way and returns (value, logarithm of its scale);
    it is what the output of the network says unless given. `sizes` are run-time sizes to weigh
    layouts with.
    """
    wanted = network.output.log if logarithm is None else logarithm
    return _Lowering(network, tree, schedule, wanted, sizes or {}).program()


def loop_index(network: TensorNetwork) -> str | None:
    """The leading run-time index, if the batch can be done part by part along it.

    An input must carry it, the output have it as an axis of its own, and return no logarithm.
    """
    names = [index.name for index in network.indices if index.size is None]
    leading = DOTS if DOTS in names else next(iter(names), None)
    given = [axis.indices for one in network.inputs for axis in one.axes]
    kept = [axis.indices for axis in network.output.axes]
    if (leading,) not in given or (leading,) not in kept or network.output.log:
        return None
    alone = all(axis == (leading,) or leading not in axis for axis in (*given, *kept))
    return leading if alone else None


class _Lowering:
    def __init__(
        self,
        network: TensorNetwork,
        tree: ContractionTree,
        schedule: Schedule,
        logarithm: bool,
        sizes: Mapping[str, int],
    ) -> None:
        self._network, self._tree = network, tree
        index = loop_index(network) if schedule.rows and not logarithm else None
        parts = Parts(index, schedule.rows, schedule.recompute) if index else None
        self._assembler = ProgramBuilder(network, sizes, parts)
        self._forms = None if schedule.grouped else schedule.forms
        self._log = Logarithm(self._assembler) if logarithm else None
        self._settled = frozenset(schedule.settled)
        self._units = order_members(network, tree, units(network, tree, grouped=schedule.grouped))
        self._leaves = LeafLoader(
            self._assembler, self._slices_alone(), self._log, self._slices_used()
        )
        self._loaded: dict[int, _Place] = {}
        self._places: dict[int, _Place] = {}
        batched = any(unit.batched for unit in self._units)
        self._same = None if batched else ValueNumbering(network, tree)
        self._readers: dict[int, Reader] = {
            side: (number, which)
            for number, unit in enumerate(self._units)
            for member in unit.members
            for which, side in enumerate(member[:2])
        }
        self._partner: dict[int, Contraction] = {}
        for step in tree.steps:
            self._partner[step.left] = self._partner[step.right] = step

    def program(self) -> TensorProgram:
        assembler = self._assembler
        for unit in self._units:
            if not self._known(unit):
                self._run(unit)
        assembler.contraction, assembler.note = None, "output"
        count = len(self._tree.operands)
        if not count:
            ones = assembler.value(assembler.fresh("one"), ())
            result = assembler.add(Ones(ones.name), ones)
        elif not self._tree.steps:
            loaded = self._alone(0)
            carried = {index for axis in loaded.axes for index in axis}
            result = assembler.sum(loaded, carried - set(self._network.output.legs))
        else:
            result = self._alone(self._tree.steps[-1].result)
        log = self._log.total(self._network.output) if self._log is not None else None
        return assembler.program(assembler.join(finalize_output(assembler, result)), log)

    # ── running a unit ─────────────────────────────────────────────────────────────────────────

    def _run(self, unit: EqualStepGroup) -> None:
        assembler = self._assembler
        first = unit.members[0][2]
        number = min(step.result for _, _, step in unit.members)
        assembler.contraction = number
        assembler.note = self._note(unit)
        if unit.batched:
            stack = assembler.pseudo("#", len(unit.members))
            left = self._stacked(tuple(member[0] for member in unit.members), stack)
            right = self._stacked(tuple(member[1] for member in unit.members), stack)
        else:
            stack = ""
            left, right = self._alone(unit.members[0][0]), self._alone(unit.members[0][1])
        kept = frozenset((*first.legs, *(lookup.index for lookup in first.lookups), stack))
        form = None
        if self._forms is not None and not unit.batched:
            form = self._forms[first.result - len(self._tree.operands)]
        result = contract(assembler, left, right, kept, self._ahead(first, stack), form)
        if number in self._settled:
            result = assembler.settle(result)
        if first.lookups:
            given = tuple(step.lookups for _, _, step in unit.members)
            result = self._leaves.pick(result, given, stack)
        made = [step.result for _, _, step in unit.members]
        if self._log is not None and made[0] != self._tree.steps[-1].result:
            result = self._log.take(result, self._times(made, (stack,) in result.axes))
        if (stack,) in result.axes:
            self._take_apart(result, first.legs, stack, made)
        else:
            self._places |= dict.fromkeys(made, _Place(result, first.legs))
        if self._same is None:
            for left_side, right_side, _ in unit.members:
                self._places.pop(left_side, None)
                self._places.pop(right_side, None)

    def _times(self, sides: Sequence[int], stacked: bool) -> int:
        """How many operands or results of the tree the value of these is, or each of a stack."""
        if stacked:
            return 1
        return len(sides) if self._same is None else self._same.count(sides[0])

    def _take_apart(
        self, result: Value, legs: tuple[str, ...], stack: str, made: list[int]
    ) -> None:
        """Find a place for each member of a stack; its readers get parts of their own if possible.

        So their gradients are joined once, and the members that one reader takes lie together.
        """
        assembler, axis = self._assembler, result.axes.index((stack,))
        readers = [self._readers[one] for one in made]
        single = [not self._units[number].batched for number, _ in readers]
        found = split_stack(readers, single)
        if found is None or (len(found) == 1 and found[0].period == 1):
            for position, member in enumerate(made):
                self._places[member] = _Place(result, legs, stack, position)
            return
        names = [
            tuple(assembler.pseudo("#", length) for length in segment.lengths) for segment in found
        ]
        parts = divide(assembler, result, axis, tuple(names))
        for segment, part, held in zip(found, parts, names, strict=True):
            members = made[segment.start : segment.stop]
            slices: tuple[Value, ...]
            if segment.period == 1:
                slices = (part,)
            elif segment.length == 1:
                slices = (assembler.split(part),)
            else:
                slices = unbind(assembler, assembler.split(part), axis + len(held) - 1)
            for k, member in enumerate(members):
                value = slices[k % len(slices)]
                if segment.period:
                    self._places[member] = _Place(value, legs, held[0], k // segment.period)
                else:
                    self._places[member] = _Place(value, legs)

    def _known(self, unit: EqualStepGroup) -> bool:
        """Whether an equal contraction of equal values has been run: then its result serves again.

        Tied and shared tensors meet again and again; a uniform chain takes log2(n) products so.
        """
        step = unit.members[0][2]
        before = None if self._same is None else self._same.before(step)
        if before is None:
            return False
        self._places[step.result] = self._places[before]
        return True

    def _ahead(self, step: Contraction, stack: str) -> Ahead:
        """What the next contraction does with this result."""
        following = self._partner.get(step.result)
        rows = table_rows(step.lookups)
        if following is None:
            return Ahead(order=rows + self._network.output.legs)
        other = following.right if following.left == step.result else following.left
        count = len(self._tree.operands)
        theirs = (
            self._tree.operands[other].legs
            if other < count
            else self._tree.steps[other - count].legs
        )
        shared = set(step.legs) & set(theirs)
        batch = frozenset(rows or shared & set(following.legs))
        return Ahead(
            batch=batch | {stack} if stack else batch,
            summed=frozenset(shared - set(following.legs)),
        )

    # ── operands of a unit ─────────────────────────────────────────────────────────────────────

    def _legs(self, side: int) -> tuple[str, ...]:
        count = len(self._tree.operands)
        if side < count:
            return self._tree.operands[side].legs
        return self._tree.steps[side - count].legs

    def _alone(self, side: int) -> Value:
        """One operand as a split value with its own legs."""
        if side < len(self._tree.operands):
            return self._loaded_alone(side)
        place = self._places[side]
        value = place.value
        if place.stack:
            axis = value.axes.index((place.stack,))
            value = select(self._assembler, value, axis, place.position)
        return _relabeled(value, place.legs, self._legs(side))

    def _loaded_alone(self, side: int) -> Value:
        """A leaf of the tree; in logarithms rescaled, once for all equal ones."""
        operand = self._tree.operands[side]
        first = side if self._same is None else self._same.first(side)
        if self._log is None or not self._leaves.raw(operand):
            return self._leaves.load(operand)
        if first not in self._loaded:
            value = self._log.take(self._leaves.load(operand), self._times((side,), stacked=False))
            self._loaded[first] = _Place(value, operand.legs)
        return _relabeled(self._loaded[first].value, self._loaded[first].legs, operand.legs)

    def _stacked(self, sides: tuple[int, ...], stack: str) -> Value:
        """Equal operands as one value: a slice of a stack, or a stack made for the purpose."""
        if sides[0] < len(self._tree.operands):
            operands = tuple(self._tree.operands[side] for side in sides)
            value = self._leaves.stack(operands, stack)
            if self._log is None or not self._leaves.raw(operands[0]):
                return value
            return self._log.take(value, self._times(sides, (stack,) in value.axes))
        legs = self._legs(sides[0])
        places = [self._places[side] for side in sides]
        groups: list[list[_Place]] = []
        for place in places:
            if groups and place.stack and groups[-1][-1].value is place.value:
                groups[-1].append(place)
            else:
                groups.append([place])
        if len(groups) == 1 and not places[0].stack:
            return _relabeled(places[0].value, places[0].legs, legs)
        if all(not place.stack and place.value is places[0].value for place in places):
            return _relabeled(places[0].value, places[0].legs, legs)
        if len(groups) == 1:
            return self._cut(groups[0], stack, legs)
        parts: list[Value] = []
        for group in groups:
            index = self._assembler.pseudo("#", len(group))
            axes = tuple((leg,) for leg in (index, *legs))
            value = (
                self._cut(group, index, legs)
                if group[0].stack
                else _relabeled(group[0].value, group[0].legs, legs)
            )
            parts.append(self._assembler.arrange(value, axes))
        return concatenate(self._assembler, tuple(parts), stack)

    def _cut(self, group: list[_Place], stack: str, legs: tuple[str, ...]) -> Value:
        """Members of one stack by position."""
        value = group[0].value
        axis = value.axes.index((group[0].stack,))
        positions = tuple(place.position for place in group)
        chosen = members(self._assembler, value, axis, positions, stack)
        return _relabeled(chosen, group[0].legs, legs)

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def _slices_alone(self) -> dict[str, int]:
        """How many slices of each input are used one by one."""
        used: Counter[str] = Counter()
        sides = [
            side for unit in self._units if not unit.batched for side in unit.members[0][:2]
        ] or list(range(len(self._tree.operands)))
        for side in sides:
            if side < len(self._tree.operands):
                tensor = self._network.tensors[self._tree.operands[side].tensor]
                if tensor.role == "input" and tensor.position:
                    used[tensor.source] += 1
        return dict(used)

    def _slices_used(self) -> dict[str, list[int]]:
        """The slices of each input that go into the result as they are, each use by its number."""
        used: dict[str, list[int]] = {}
        for operand in self._tree.operands:
            tensor = self._network.tensors[operand.tensor]
            if tensor.role == "input" and not operand.indicator and not operand.lookups:
                number = self._network.slice_number(tensor) if tensor.position else 0
                used.setdefault(tensor.source, []).append(number)
        return used

    def _note(self, unit: EqualStepGroup) -> str:
        left, right, step = unit.members[0]
        what = f"{self._name(left)} · {self._name(right)} -> {', '.join(step.legs)}"
        what += ", looked up" if step.lookups else ""
        return f"{what} and {len(unit.members) - 1} equal ones" if unit.batched else what

    def _name(self, side: int) -> str:
        count = len(self._tree.operands)
        if side < count:
            return self._network.tensors[self._tree.operands[side].tensor].name
        return f"({side - count + 1})"


def _relabeled(value: Value, held: tuple[str, ...], legs: tuple[str, ...]) -> Value:
    """The same value, its axes named by another member's legs in the same order."""
    if held == legs:
        return value
    names = dict(zip(held, legs, strict=True))
    return replace(
        value, axes=tuple(tuple(names.get(index, index) for index in axis) for axis in value.axes)
    )
