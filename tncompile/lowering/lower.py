"""Lowering: a contraction tree becomes a straight-line tensor program."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.convolution import convolve
from tncompile.lowering.leaves import LeafLoader, table_rows
from tncompile.lowering.matmul import Consumer, contract
from tncompile.lowering.output import finalize_output, output_order
from tncompile.lowering.rescaling import Logarithm
from tncompile.lowering.schedule import STRAIGHT, ConvolutionLayout, MatmulLayout, Schedule
from tncompile.lowering.stacking.axes import concatenate, divide, members, select, unbind
from tncompile.lowering.stacking.grouping import EqualStepGroup, order_members, units
from tncompile.lowering.stacking.splitting import Reader, split_stack
from tncompile.lowering.value_numbering import ValueNumbering
from tncompile.network.contraction import Contraction, ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.program.operations import ContiguousGrad, Ones
from tncompile.program.program import Loop, TensorProgram, Value


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

    def named(self, value: Value, legs: tuple[str, ...]) -> Value:
        """All or a part of the value, its axes named by these legs of another member."""
        if self.legs == legs:
            return value
        names = dict(zip(self.legs, legs, strict=True))
        axes = tuple(tuple(names.get(index, index) for index in axis) for axis in value.axes)
        return replace(value, axes=axes)


def lower(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule = STRAIGHT,
    *,
    logarithm: bool | None = None,
    sizes: Mapping[str, int] | None = None,
) -> TensorProgram:
    """The program that contracts `network` along `tree` as `schedule` says.

    `schedule.chunk_rows` is ignored where the batch cannot be divided (`loop_index`). With
    `logarithm`, by default that of the network's output, every intermediate is rescaled and the
    program returns (value, logarithm of its scale). `sizes` are the run-time sizes at which layouts
    are compared.
    """
    logarithm = network.output.log if logarithm is None else logarithm
    return _Lowering(network, tree, schedule, logarithm, sizes or {}).program()


def loop_index(network: TensorNetwork) -> str | None:
    """The leading run-time index, if the batch can be divided into chunks along it.

    An input must have it, the output must have it as an axis of its own and return no logarithm.
    """
    leading = network.leading
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
        self._network, self._tree, self._legs = network, tree, tree.legs
        index = loop_index(network) if schedule.chunk_rows and not logarithm else None
        loop = None
        if index is not None:  # no index has the name of the length of a chunk
            loop = Loop(index, f"{index}'", schedule.chunk_rows, 0, 0, schedule.recompute)
        self._builder = ProgramBuilder(network, sizes, loop)
        self._layouts = None if schedule.batch_equal_steps else schedule.layouts
        self._rescaling = Logarithm(self._builder) if logarithm else None
        self._contiguous_grads = frozenset(schedule.contiguous_grads)
        self._units = order_members(
            network, tree, units(network, tree, batch_equal_steps=schedule.batch_equal_steps)
        )
        operands = tree.operands
        single = [side for unit in self._units if not unit.batched for side in unit.members[0][:2]]
        alone = [operands[side] for side in single or range(len(operands)) if side < len(operands)]
        self._leaves = LeafLoader(self._builder, operands, alone, self._rescaling)
        self._slots: dict[int, _StackSlot] = {}
        batched = any(unit.batched for unit in self._units)
        self._numbering = None if batched else ValueNumbering(network, tree)
        self._readers: dict[int, Reader] = {
            side: (number, which)
            for number, unit in enumerate(self._units)
            for member in unit.members
            for which, side in enumerate(member[:2])
        }
        self._partner = {side: step for step in tree.steps for side in (step.left, step.right)}

    def program(self) -> TensorProgram:
        builder = self._builder
        for unit in self._units:
            step = unit.members[0][2]
            before = None if self._numbering is None else self._numbering.before(step)
            if before is None:
                self._run(unit)
            else:  # of equal value: a uniform chain of shared tensors takes log2(n) products
                self._slots[step.result] = self._slots[before]
        builder.contraction, builder.note = None, "output"
        if not self._tree.operands:
            ones = builder.value("one", ())
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
        builder, stack = self._builder, ""
        lefts, rights, steps = zip(*unit.members, strict=True)
        first, results = steps[0], [step.result for step in steps]
        builder.contraction, builder.note = min(results), self._note(unit)
        if unit.batched:
            stack = builder.pseudo("#", len(unit.members))
            left, right = self._stacked(lefts, stack), self._stacked(rights, stack)
        else:
            left, right = self._operand(lefts[0]), self._operand(rights[0])
        result_legs = frozenset((*first.legs, *(lookup.index for lookup in first.lookups), stack))
        layout = None
        if self._layouts is not None and not unit.batched:
            layout = self._layouts[first.result - len(self._tree.operands)]
            if lefts[0] != first.left:  # layouts name the sides as the tree does
                left, right = right, left
        if first.windows or isinstance(layout, ConvolutionLayout):
            assert not isinstance(layout, MatmulLayout)
            result = convolve(builder, left, right, result_legs, first.windows, layout)
        else:
            consumer = self._consumer(first, stack)
            result = contract(builder, left, right, result_legs, consumer, layout)
        if builder.contraction in self._contiguous_grads:
            result = builder.derive(ContiguousGrad, result, result.axes)
        if first.lookups:
            result = self._leaves.pick(result, tuple(step.lookups for step in steps), stack)
        if self._rescaling is not None and results[0] != self._tree.steps[-1].result:
            result = self._rescaling.take(result, self._times(results, (stack,) in result.axes))
        if (stack,) in result.axes:
            self._split_members(result, first.legs, stack, results)
        else:
            self._slots |= dict.fromkeys(results, _StackSlot(result, first.legs))
        if self._numbering is None:
            for side in (*lefts, *rights):
                self._slots.pop(side, None)

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

    def _consumer(self, step: Contraction, stack: str) -> Consumer:
        """What the next contraction does with this result."""
        following = self._partner.get(step.result)
        rows = table_rows(step.lookups)
        if following is None:
            return Consumer(order=rows + output_order(self._network))
        other = following.right if following.left == step.result else following.left
        shared = set(step.legs) & set(self._legs[other])
        batch = frozenset(rows or shared & set(following.legs))
        return Consumer(
            batch=batch | {stack} if stack else batch,
            summed=frozenset(shared - set(following.legs)),
        )

    # ── operands of a unit ─────────────────────────────────────────────────────────────────────

    def _operand(self, side: int) -> Value:
        """One operand as a split value with its own legs."""
        if side < len(self._tree.operands):
            return self._leaf(side)
        slot = self._slots[side]
        value = slot.value
        if slot.stack:
            axis = value.axes.index((slot.stack,))
            value = select(self._builder, value, axis, slot.position)
        return slot.named(value, self._legs[side])

    def _leaf(self, side: int) -> Value:
        """A leaf of the tree; in logarithms rescaled, once for all equal ones."""
        operand = self._tree.operands[side]
        if self._rescaling is None or not self._leaves.raw(operand):
            return self._leaves.load(operand)
        first = side if self._numbering is None else self._numbering.first(side)
        if first not in self._slots:
            times = self._times((side,), stacked=False)
            value = self._rescaling.take(self._leaves.load(operand), times)
            self._slots[first] = _StackSlot(value, operand.legs)
        slot = self._slots[first]
        return slot.named(slot.value, operand.legs)

    def _stacked(self, sides: tuple[int, ...], stack: str) -> Value:
        """Equal operands as one value: a slice of a stack, or a stack made for the purpose."""
        if sides[0] < len(self._tree.operands):
            operands = tuple(self._tree.operands[side] for side in sides)
            value = self._leaves.stack(operands, stack)
            if self._rescaling is None or not self._leaves.raw(operands[0]):
                return value
            return self._rescaling.take(value, self._times(sides, (stack,) in value.axes))
        builder, legs = self._builder, self._legs[sides[0]]
        slots = [self._slots[side] for side in sides]
        if all(not slot.stack and slot.value is slots[0].value for slot in slots):
            return slots[0].named(slots[0].value, legs)
        groups: list[list[_StackSlot]] = []
        for slot in slots:
            if groups and slot.stack and groups[-1][-1].value is slot.value:
                groups[-1].append(slot)
            else:
                groups.append([slot])
        if len(groups) == 1:
            return self._cut(groups[0], stack, legs)
        parts: list[Value] = []
        for group in groups:
            first, index = group[0], builder.pseudo("#", len(group))
            whole = not first.stack
            value = first.named(first.value, legs) if whole else self._cut(group, index, legs)
            parts.append(builder.arrange(value, tuple((leg,) for leg in (index, *legs))))
        return concatenate(builder, tuple(parts), stack)

    def _cut(self, group: list[_StackSlot], stack: str, legs: tuple[str, ...]) -> Value:
        """Members of one stack by position."""
        value = group[0].value
        axis = value.axes.index((group[0].stack,))
        positions = tuple(slot.position for slot in group)
        return group[0].named(members(self._builder, value, axis, positions, stack), legs)

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def _note(self, unit: EqualStepGroup) -> str:
        operands, step = self._tree.operands, unit.members[0][2]
        left, right = (
            self._network.tensors[operands[side].tensor].name
            if side < len(operands)
            else f"({side - len(operands) + 1})"
            for side in unit.members[0][:2]
        )
        what = f"{left} · {right} -> {', '.join(step.legs)}{', looked up' if step.lookups else ''}"
        return f"{what} and {len(unit.members) - 1} equal ones" if unit.batched else what
