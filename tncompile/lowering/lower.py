"""Lowering: a contraction tree becomes a straight-line tensor program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.finishing import Parts
from tncompile.lowering.leaves import LeafLoader, table_rows
from tncompile.lowering.matmul import Consumer, contract
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
class _StackSlot:
    """Where the result of a contraction lies: a whole value, or a position along its stack axis.

    `legs` are the legs of the contraction that named the axes of the value; members of a stack have
    other legs in the same order.
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
    """The program that contracts `network` along `tree` as `schedule` says.

    `schedule.rows` is ignored where the batch cannot be divided (`loop_index`). With `logarithm`,
    by default that of the network's output, every intermediate is rescaled and the program returns
    (value, logarithm of its scale). `sizes` are the run-time sizes at which layouts are compared.
    """
    logarithm = network.output.log if logarithm is None else logarithm
    return _Lowering(network, tree, schedule, logarithm, sizes or {}).program()


def loop_index(network: TensorNetwork) -> str | None:
    """The leading run-time index, if the batch can be divided into chunks along it.

    An input must have it, the output must have it as an axis of its own and return no logarithm.
    """
    names = [index.name for index in network.indices if index.size is None]
    leading = DOTS if DOTS in names else next(iter(names), None)
    inputs = [axis.indices for declared in network.inputs for axis in declared.axes]
    output = [axis.indices for axis in network.output.axes]
    if (leading,) not in inputs or (leading,) not in output or network.output.log:
        return None
    alone = all(axis == (leading,) or leading not in axis for axis in (*inputs, *output))
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
        self._builder = ProgramBuilder(network, sizes, parts)
        self._forms = None if schedule.grouped else schedule.forms
        self._rescaling = Logarithm(self._builder) if logarithm else None
        self._settled = frozenset(schedule.settled)
        self._units = order_members(network, tree, units(network, tree, grouped=schedule.grouped))
        self._leaves = LeafLoader(
            self._builder, self._slices_alone(), self._rescaling, self._slices_used()
        )
        self._leaf_slots: dict[int, _StackSlot] = {}
        self._slots: dict[int, _StackSlot] = {}
        batched = any(unit.batched for unit in self._units)
        self._numbering = None if batched else ValueNumbering(network, tree)
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
        builder = self._builder
        for unit in self._units:
            if not self._serves_again(unit):
                self._run(unit)
        builder.contraction, builder.note = None, "output"
        count = len(self._tree.operands)
        if not count:
            ones = builder.value(builder.fresh("one"), ())
            result = builder.add(Ones(ones.name), ones)
        elif not self._tree.steps:
            loaded = self._operand(0)
            carried = {index for axis in loaded.axes for index in axis}
            result = builder.sum(loaded, carried - set(self._network.output.legs))
        else:
            result = self._operand(self._tree.steps[-1].result)
        logarithms = () if self._rescaling is None else self._rescaling.total(self._network.output)
        return builder.program(builder.join(finalize_output(builder, result)), *logarithms)

    # ── running a unit ─────────────────────────────────────────────────────────────────────────

    def _run(self, unit: EqualStepGroup) -> None:
        builder = self._builder
        first = unit.members[0][2]
        number = min(step.result for _, _, step in unit.members)
        builder.contraction = number
        builder.note = self._note(unit)
        if unit.batched:
            stack = builder.pseudo("#", len(unit.members))
            left = self._stacked(tuple(member[0] for member in unit.members), stack)
            right = self._stacked(tuple(member[1] for member in unit.members), stack)
        else:
            stack = ""
            left, right = self._operand(unit.members[0][0]), self._operand(unit.members[0][1])
        result_legs = frozenset((*first.legs, *(lookup.index for lookup in first.lookups), stack))
        form = None
        if self._forms is not None and not unit.batched:
            form = self._forms[first.result - len(self._tree.operands)]
        result = contract(builder, left, right, result_legs, self._consumer(first, stack), form)
        if number in self._settled:
            result = builder.settle(result)
        if first.lookups:
            lookups = tuple(step.lookups for _, _, step in unit.members)
            result = self._leaves.pick(result, lookups, stack)
        results = [step.result for _, _, step in unit.members]
        if self._rescaling is not None and results[0] != self._tree.steps[-1].result:
            result = self._rescaling.take(result, self._times(results, (stack,) in result.axes))
        if (stack,) in result.axes:
            self._split_members(result, first.legs, stack, results)
        else:
            self._slots |= dict.fromkeys(results, _StackSlot(result, first.legs))
        if self._numbering is None:
            for left_side, right_side, _ in unit.members:
                self._slots.pop(left_side, None)
                self._slots.pop(right_side, None)

    def _times(self, sides: Sequence[int], stacked: bool) -> int:
        """How many operands or results of the tree the value of these is, or each of a stack."""
        if stacked:
            return 1
        return len(sides) if self._numbering is None else self._numbering.count(sides[0])

    def _split_members(
        self, result: Value, legs: tuple[str, ...], stack: str, results: list[int]
    ) -> None:
        """Find a slot for each member of a stack; its readers get parts of their own if possible.

        Their gradients are then joined once, and the members that one reader takes lie together.
        """
        builder, axis = self._builder, result.axes.index((stack,))
        readers = [self._readers[member] for member in results]
        single = [not self._units[number].batched for number, _ in readers]
        segments = split_stack(readers, single)
        if segments is None or (len(segments) == 1 and segments[0].period == 1):
            for position, member in enumerate(results):
                self._slots[member] = _StackSlot(result, legs, stack, position)
            return
        names = [
            tuple(builder.pseudo("#", length) for length in segment.lengths) for segment in segments
        ]
        parts = divide(builder, result, axis, tuple(names))
        for segment, part, stacks in zip(segments, parts, names, strict=True):
            members = results[segment.start : segment.stop]
            slices: tuple[Value, ...]
            if segment.period == 1:
                slices = (part,)
            elif segment.length == 1:
                slices = (builder.split(part),)
            else:
                slices = unbind(builder, builder.split(part), axis + len(stacks) - 1)
            for k, member in enumerate(members):
                value = slices[k % len(slices)]
                if segment.period:
                    self._slots[member] = _StackSlot(value, legs, stacks[0], k // segment.period)
                else:
                    self._slots[member] = _StackSlot(value, legs)

    def _serves_again(self, unit: EqualStepGroup) -> bool:
        """Whether an equal contraction of equal values was run before, whose result serves again.

        A uniform chain of shared tensors so takes log2(n) products.
        """
        step = unit.members[0][2]
        before = None if self._numbering is None else self._numbering.before(step)
        if before is None:
            return False
        self._slots[step.result] = self._slots[before]
        return True

    def _consumer(self, step: Contraction, stack: str) -> Consumer:
        """What the next contraction does with this result."""
        following = self._partner.get(step.result)
        rows = table_rows(step.lookups)
        if following is None:
            return Consumer(order=rows + self._network.output.legs)
        other = following.right if following.left == step.result else following.left
        count = len(self._tree.operands)
        theirs = (
            self._tree.operands[other].legs
            if other < count
            else self._tree.steps[other - count].legs
        )
        shared = set(step.legs) & set(theirs)
        batch = frozenset(rows or shared & set(following.legs))
        return Consumer(
            batch=batch | {stack} if stack else batch,
            summed=frozenset(shared - set(following.legs)),
        )

    # ── operands of a unit ─────────────────────────────────────────────────────────────────────

    def _legs(self, side: int) -> tuple[str, ...]:
        count = len(self._tree.operands)
        if side < count:
            return self._tree.operands[side].legs
        return self._tree.steps[side - count].legs

    def _operand(self, side: int) -> Value:
        """One operand as a split value with its own legs."""
        if side < len(self._tree.operands):
            return self._leaf(side)
        slot = self._slots[side]
        value = slot.value
        if slot.stack:
            axis = value.axes.index((slot.stack,))
            value = select(self._builder, value, axis, slot.position)
        return _relabeled(value, slot.legs, self._legs(side))

    def _leaf(self, side: int) -> Value:
        """A leaf of the tree; in logarithms rescaled, once for all equal ones."""
        operand = self._tree.operands[side]
        first = side if self._numbering is None else self._numbering.first(side)
        if self._rescaling is None or not self._leaves.raw(operand):
            return self._leaves.load(operand)
        if first not in self._leaf_slots:
            value = self._rescaling.take(
                self._leaves.load(operand), self._times((side,), stacked=False)
            )
            self._leaf_slots[first] = _StackSlot(value, operand.legs)
        slot = self._leaf_slots[first]
        return _relabeled(slot.value, slot.legs, operand.legs)

    def _stacked(self, sides: tuple[int, ...], stack: str) -> Value:
        """Equal operands as one value: a slice of a stack, or a stack made for the purpose."""
        if sides[0] < len(self._tree.operands):
            operands = tuple(self._tree.operands[side] for side in sides)
            value = self._leaves.stack(operands, stack)
            if self._rescaling is None or not self._leaves.raw(operands[0]):
                return value
            return self._rescaling.take(value, self._times(sides, (stack,) in value.axes))
        legs = self._legs(sides[0])
        slots = [self._slots[side] for side in sides]
        groups: list[list[_StackSlot]] = []
        for slot in slots:
            if groups and slot.stack and groups[-1][-1].value is slot.value:
                groups[-1].append(slot)
            else:
                groups.append([slot])
        if len(groups) == 1 and not slots[0].stack:
            return _relabeled(slots[0].value, slots[0].legs, legs)
        if all(not slot.stack and slot.value is slots[0].value for slot in slots):
            return _relabeled(slots[0].value, slots[0].legs, legs)
        if len(groups) == 1:
            return self._cut(groups[0], stack, legs)
        parts: list[Value] = []
        for group in groups:
            index = self._builder.pseudo("#", len(group))
            axes = tuple((leg,) for leg in (index, *legs))
            value = (
                self._cut(group, index, legs)
                if group[0].stack
                else _relabeled(group[0].value, group[0].legs, legs)
            )
            parts.append(self._builder.arrange(value, axes))
        return concatenate(self._builder, tuple(parts), stack)

    def _cut(self, group: list[_StackSlot], stack: str, legs: tuple[str, ...]) -> Value:
        """Members of one stack by position."""
        value = group[0].value
        axis = value.axes.index((group[0].stack,))
        positions = tuple(slot.position for slot in group)
        chosen = members(self._builder, value, axis, positions, stack)
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


def _relabeled(value: Value, old: tuple[str, ...], legs: tuple[str, ...]) -> Value:
    """The same value, its axes named by another member's legs in the same order."""
    if old == legs:
        return value
    names = dict(zip(old, legs, strict=True))
    return replace(
        value, axes=tuple(tuple(names.get(index, index) for index in axis) for axis in value.axes)
    )
