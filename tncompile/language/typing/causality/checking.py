"""The causal axis from the inputs to the outputs, through every operation: TN609."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tncompile.language.diagnostics.collector import Failed
from tncompile.language.syntax.source import Span
from tncompile.language.typing.causality.following import PAIRS, Axis, CausalSize, Following
from tncompile.language.typing.causality.functions import function_axis
from tncompile.language.typing.causality.parts import part_axes
from tncompile.language.typing.model import RunTimeSize
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Contract,
    Entries,
    Operation,
    Read,
    Scan,
    Select,
    SizeValue,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typing
from tncompile.language.typing.values import Value


def check_causal(typing: Typing, size: RunTimeSize, output: Sequence[Value] = ()) -> None:
    """Report where entry i along `size` depends on later entries of the inputs.

    `output` are the results of the model. What such a mistake is in silences what uses it.
    """
    check = _Check(CausalSize(size, typing.facts))
    for operation in typing.operations:
        for value in operation.operands:
            check.uses(value)
    for value in output:
        check.uses(value)
    for operation in typing.operations:
        try:
            check.operation(operation)
        except Failed as failed:
            check.failed.add(operation)
            typing.problems.add(failed.diagnostic)


@dataclass(slots=True)
class _Check:
    """What is known so far: values are followed by their shapes.

    `moving` are the values without the axis that depend on all entries so far, as the last state
    of a `scan` does: they may be results, and meet nothing that has the axis.
    """

    size: CausalSize
    results: dict[Operation, set[Value]] = field(default_factory=dict)
    moving: set[Value] = field(default_factory=set)
    failed: set[Operation] = field(default_factory=set)

    def uses(self, value: Value) -> None:
        """A value that something takes."""
        self.results.setdefault(value.operation, set()).add(value)

    def operation(self, operation: Operation) -> None:
        """Follow the axis through one operation; raises `Failed`."""
        if any(value.operation in self.failed for value in operation.operands):
            self.failed.add(operation)
            return
        axes = tuple(self._axis(value) for value in operation.operands)
        following = Following(self.size, operation, axes)
        moving = any(value in self.moving for value in operation.operands)
        carried = any(axis is not None for axis in axes)
        if moving and carried:
            raise following.wrong(
                f"what depends on all entries so far meets every entry along `{self.size.name}`",
                "use the outputs of each step in place of the last state",
            )
        if isinstance(operation, Scan):
            _check_scan(following, operation)
        due = _axes(following, operation)
        for value in sorted(self.results.get(operation, ()), key=lambda v: v.position or 0):
            expected = due[value.position or 0] if isinstance(due, tuple) else due
            if isinstance(operation, Read | Scan):
                expected = self._axis(value)
            self._check_shape(following, value, expected)
            if expected is None and (moving or carried):
                self.moving.add(value)
            elif expected is not None and moving:
                message = "what depends on all entries so far is spread over every entry"
                raise following.wrong(message)

    def _axis(self, value: Value) -> Axis:
        return next(iter(self.size.axes(value.shape)), None)

    def _check_shape(self, following: Following, value: Value, expected: Axis) -> None:
        """The shape has the axis where it is due, and its size nowhere else."""
        name, shape = self.size.name, value.shape
        axes = self.size.axes(shape)
        if len(axes) > 1:
            message = f"two axes of {shape} are of the causal size `{name}`"
            raise following.wrong(message, PAIRS)
        others = [size for size in shape.sizes if not self.size.equals(size)]
        if any(self.size.within(size) for size in others):
            message = f"an axis of {shape} depends on `{name}`, and is not of this size"
            raise following.wrong(message, f"only an axis of just `{name}` entries is causal")
        if next(iter(axes), None) != expected:
            raise following.wrong(f"the axis `{name}` of {shape} comes from no operand")


def _axes(following: Following, operation: Operation) -> Axis | tuple[Axis, ...]:
    """Where the results have the axis: one place for all, or one for each."""
    carried = any(axis is not None for axis in following.axes)
    match operation:
        case SizeValue(size=size):
            if following.size.within(size):
                name = following.size.name
                raise following.wrong(f"`{name}` is used as a number: it grows with every step")
            return None
        case Apply():
            return function_axis(following, operation)
        case Select():
            return _selected(following, operation)
        case Contract():
            return _contracted(following, operation) if carried else None
        case CallPart():
            return part_axes(following, operation) if carried else None
    return None


def _span(operation: Select, place: int) -> Span:
    return operation.places[place] if operation.places else operation.span


def _selected(following: Following, operation: Select) -> Axis:
    """`x[..., *]` along the axis; `w[0..t]` of a value without it makes one."""
    (axis,) = following.axes
    size, found = following.size, None
    left = 0  # places with an axis in the result, from the right
    for place in range(-1, -len(operation.slots) - 1, -1):
        slot = operation.slots[place]
        whole = slot == Entries()
        left -= isinstance(slot, Entries)
        sizes = [slot] if isinstance(slot, Size) else [slot.start, slot.stop]
        cut = isinstance(slot, Entries) and not whole and _is_prefix(size, slot)
        if place == axis and not whole and not cut:
            message = f"this takes entries along `{size.name}`, which move with every step"
            hint = "keep the axis whole: `*`"
            raise following.wrong(message, hint, _span(operation, place))
        if place != axis and not cut and any(each and size.within(each) for each in sizes):
            message = f"`{size.name}` is used as a number: it grows with every step"
            hint = f"`w[0..{size.name}, …]` is an axis of its own"
            raise following.wrong(message, hint, _span(operation, place))
        if place == axis or cut:
            if found is not None:
                raise following.wrong(f"two axes are of the causal size `{size.name}`")
            found = left
    return found


def _is_prefix(size: CausalSize, slot: Entries) -> bool:
    if slot.start is None or slot.stop is None:
        return False
    return slot.start.value == 0 and size.equals(slot.stop)


def _contracted(following: Following, operation: Contract) -> Axis:
    """A leg of the size that the result keeps, alone on its axis."""
    size, output = following.size, operation.output
    legs = {leg for leg, extent in operation.sizes.items() if size.equals(extent)}
    for leg in sorted(legs):
        if not any(leg in axis for axis in output.axes):
            raise following.along(f"the sum over the leg `{leg}`")
    for axis, legs_of, value in zip(
        following.axes, operation.legs, operation.operands, strict=True
    ):
        if axis is not None and legs.isdisjoint(legs_of.axes[axis]):
            raise following.wrong(f"`{size.name}` is taken apart: it is an axis of {value.shape}")
    places = [k - len(output.axes) for k, axis in enumerate(output.axes) if legs & {*axis}]
    if len(legs) > 1 or len(places) > 1:
        raise following.wrong(f"two legs are of the causal size `{size.name}`", PAIRS)
    together = [operation.sizes[leg] for leg in output.axes[places[0]] if leg not in legs]
    if any(extent.value != 1 for extent in together):
        message = f"`{size.name}` is in a group with other legs in the result"
        raise following.wrong(message, "give it an axis of its own")
    return places[0]


def _check_scan(following: Following, operation: Scan) -> None:
    """Along the axis from the beginning, or along another one."""
    size, count = following.size, operation.sequences
    if size.equals(operation.operands[0].shape.axis(operation.axis)):
        if operation.reverse:
            message = f"`scan` runs along `{size.name}` from the end"
            raise following.wrong(message, "leave out `reverse`")
        if any(axis is not None for axis in following.axes[count:]):
            raise following.wrong(f"the state of `scan` has the axis `{size.name}` itself")
    shapes = [value.shape for value in operation.step.operands]
    axes = tuple(next(iter(size.axes(shape)), None) for shape in shapes)
    if any(axis is not None for axis in axes):
        part_axes(Following(size, operation.step, axes), operation.step)
