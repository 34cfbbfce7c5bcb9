"""The operations of a step: those of `forward`, but for the few that look at what came before.

Values are followed by their shapes, as in the check that a model is causal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.language.resolved import DOTS, ResolvedNetwork
from tncompile.language.typing.causality.following import Axis, CausalSize, Following
from tncompile.language.typing.causality.parts import part_axes
from tncompile.language.typing.conditions import assumed
from tncompile.language.typing.model import (
    Combined,
    Condition,
    Layer,
    ModelInput,
    ResolvedModel,
    RunTimeSize,
)
from tncompile.language.typing.operations import (
    Apply,
    CallPart,
    Entries,
    Operation,
    Scan,
    Select,
)
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Value
from tncompile.models.emission.stepping.keeping import Held, find_held
from tncompile.models.emission.stepping.operations import (
    Begun,
    Joined,
    StepCall,
    StepScan,
    Summed,
    WindowCall,
    stepping,
)
from tncompile.models.graph.constants import needed

START, SEEN = "@start", "@seen"
"""The number of entries before, and of all so far, as sizes beside those of the program."""


@dataclass(frozen=True)
class Stepped:
    """A model's step. `names` are those of values; `totals` the sizes that grow with every step.

    changed  whether anything in it differs from `forward`
    counts   whether the number of entries before is needed, here or in a model that is called
    calls    the models whose steps are called
    given    the inputs without the size, which are the same at all steps
    held     what comes of them alone: computed with the first entries
    """

    size: RunTimeSize
    operations: tuple[Operation, ...]
    output: tuple[Value, ...]
    names: Mapping[Value, str]
    totals: tuple[str, ...]
    changed: bool
    counts: bool
    calls: tuple[ResolvedModel, ...]
    given: tuple[ModelInput, ...]
    held: Held


@dataclass
class Steps:
    """The steps of models so far, by the model."""

    known: dict[int, Stepped] = field(default_factory=dict)

    def of(self, model: ResolvedModel) -> Stepped:
        """The step of a model that has a causal size."""
        if id(model) not in self.known:
            self.known[id(model)] = _Rewriting(model, self).stepped()
        return self.known[id(model)]

    def reached(self, model: ResolvedModel) -> Iterator[ResolvedModel]:
        """A model and those whose steps are called from its step."""
        waiting, found = [model], {id(model)}
        while waiting:
            each = waiting.pop()
            yield each
            waiting += [callee for callee in self.of(each).calls if id(callee) not in found]
            found |= {id(callee) for callee in waiting}


def causal_size(model: ResolvedModel) -> RunTimeSize | None:
    """The size along which a model has a step."""
    return next((size for size in model.sizes if size.causal), None)


class _Rewriting:
    """The operations of one model, one after the other."""

    def __init__(self, model: ResolvedModel, steps: Steps) -> None:
        size = causal_size(model)
        assert size is not None
        self.model, self.steps, self.declared = model, steps, size
        self.size = CausalSize(size, assumed(model.requirements))
        self.names = dict(model.names)
        self.values: dict[Value, Value] = {}
        self.joined: dict[tuple[Value, int, int | None, object], Value] = {}
        self.operations: list[Operation] = []
        self.calls: dict[int, ResolvedModel] = {}
        self.changed = self.counts = False
        live = needed(model.output)
        self.live = [operation for operation in model.operations if operation in live]
        self.results: dict[Operation, dict[Value, None]] = {}
        for value in [*(v for each in self.live for v in each.operands), *model.output]:
            self.results.setdefault(value.operation, {})[value] = None

    def stepped(self) -> Stepped:
        for operation in self.live:
            operands = tuple(self.values.get(value, value) for value in operation.operands)
            if _is_dropout(operation):
                self.values |= dict.fromkeys(self.results[operation], operands[0])
                continue
            made = self._rewritten(operation, operands)
            if made is operation and operands != operation.operands:
                made = replace(operation, operands=operands)
            self.operations.append(made)
            if made is not operation:
                for value in self.results.get(operation, ()):
                    self._replace(value, made)
        conditions = [each.condition for each in self.model.requirements]
        conditions += [each.comparison for each in self.model.checks]
        if any(self.size.within(size) for each in conditions for size in _sizes(each)):
            self.counts = self.changed = True
        output = tuple(self.values.get(value, value) for value in self.model.output)
        held = find_held(self.operations, output, self.size)
        names = (size.name for size in self.model.sizes)
        return Stepped(
            self.declared,
            tuple(self.operations),
            output,
            self.names,
            tuple(name for name in names if self.size.equals(Size.name(name))),
            self.changed or bool(held.kept),
            self.counts,
            tuple(self.calls.values()),
            tuple(source for source in self.model.inputs if not self.size.axes(source.shape)),
            held,
        )

    def _replace(self, value: Value, made: Operation) -> None:
        self.values[value] = replace(value, operation=made)
        if value in self.names:
            self.names[self.values[value]] = self.names.pop(value)

    # ── values before an operation ────────────────────────────────────────────────────────────

    def _value(self, operation: Operation, like: Value, shape: Shape, name: str = "") -> Value:
        """The result of a new operation before the one that is rewritten."""
        self.changed = True
        self.operations.append(operation)
        value = Value(like.kind, shape, operation, span=like.span)
        if name:
            self.names[value] = name
        return value

    def _joined(
        self, value: Value, axis: int, keep: int | None, like: Operation, name: str
    ) -> Value:
        """A value with the entries before; that of a turn is joined once."""
        key = value, axis, keep, like.turns
        if key not in self.joined:
            made = Joined((value,), span=like.span, turns=like.turns, axis=axis, keep=keep)
            size = Size.name("past") + value.shape.axis(axis)
            shape = value.shape.replaced(axis, size)
            self.joined[key] = self._value(made, value, shape, name)
        return self.joined[key]

    def _axis(self, value: Value) -> Axis:
        return next(iter(self.size.axes(value.shape)), None)

    # ── operations ────────────────────────────────────────────────────────────────────────────

    def _rewritten(self, operation: Operation, operands: tuple[Value, ...]) -> Operation:
        """The operation of a step; the same one where nothing differs but operands."""
        match operation:
            case Apply():
                return self._function(operation, operands)
            case Select(slots=slots):
                (value,) = operands
                ends = tuple(self._slot(slot, value.shape.sizes[k]) for k, slot in enumerate(slots))
                if ends != slots:
                    return replace(operation, operands=operands, slots=ends)
            case Scan():
                return self._scan(operation, operands)
            case CallPart():
                return self._call(operation, operands)
        return operation

    def _slot(self, slot: Entries | Size, size: Size) -> Entries | Size:
        """`0..t` of an axis that is not causal: the entries of this step."""
        prefix = isinstance(slot, Entries) and slot.stop and self.size.equals(slot.stop)
        if not prefix:
            return slot
        return Entries() if self.size.equals(size) else self._entries()

    def _entries(self) -> Entries:
        self.counts = self.changed = True
        return Entries(Size.name(START), Size.name(SEEN))

    def _function(self, operation: Apply, operands: tuple[Value, ...]) -> Operation:
        options = operation.options
        axes = [self._axis(value) for value in operands]
        match operation.function:
            case "arange" if isinstance(options["n"], Size) and self.size.equals(options["n"]):
                entries = self._entries()
                options = {**options, "start": entries.start, "n": entries.stop}
                return replace(operation, options=options)
            case "cumsum" if axes[0] is not None and axes[0] == options["dim"]:
                return self._cumsum(operation, operands, axes[0])
            case "attention" if axes[:3] == [-2, -2, -2]:
                return self._attention(operation, operands)
            case "attention" if options.get("dropout"):
                return replace(operation, operands=operands, options={**options, "dropout": 0.0})
            case "gather" if axes[0] is None and axes[1] not in (None, options["dim"]):
                assert axes[1] is not None
                return self._gather(operation, operands, axes[1])
        return operation

    def _attention(self, operation: Apply, operands: tuple[Value, ...]) -> Operation:
        """Keys and values, and a mask of keys, are those so far, as far as a query reaches."""
        reach = operation.options.get("reach")
        keep = reach - 1 if isinstance(reach, int) else None
        query, key, value, *masks = operands
        keys = self._joined(key, -2, keep, operation, "keys")
        values = self._joined(value, -2, keep, operation, "values")
        if operation.options["mask"] and self._axis(masks[0]) == -1:
            masks[0] = self._joined(masks[0], -1, keep, operation, "mask")
        options = {**operation.options, "newest": True, "dropout": 0.0}
        return replace(operation, operands=(query, keys, values, *masks), options=options)

    def _gather(self, operation: Apply, operands: tuple[Value, ...], axis: int) -> Operation:
        """The ids are aligned with the first entries of the table along the axis."""
        table, ids = operands
        slots = [Entries()] * len(table.shape.sizes)
        slots[axis] = self._entries()
        cut = Select((table,), span=operation.span, turns=operation.turns, slots=tuple(slots))
        shape = table.shape.replaced(axis, ids.shape.axis(axis))
        return replace(operation, operands=(self._value(cut, table, shape), ids))

    def _cumsum(self, operation: Apply, operands: tuple[Value, ...], axis: int) -> Operation:
        piece = replace(operation, operands=operands)
        (result,) = self.results[operation]
        sums = self._value(piece, result, result.shape)
        return Summed((sums,), span=operation.span, turns=operation.turns, axis=axis)

    # ── calls ─────────────────────────────────────────────────────────────────────────────────

    def _scan(self, operation: Scan, operands: tuple[Value, ...]) -> Operation:
        count = operation.sequences
        if not self.size.equals(operands[0].shape.axis(operation.axis)):
            step = self._call(operation.step, operation.step.operands, repeated=True)
            assert isinstance(step, CallPart)
            if step is operation.step:
                return operation
            return replace(operation, operands=operands, step=step)
        states = [
            self._value(Begun((value,), span=value.span, turns=operation.turns), value, value.shape)
            for value in operands[count:]
        ]
        return stepping(StepScan, operation, (*operands[:count], *states))

    def _call(
        self, operation: CallPart, operands: tuple[Value, ...], *, repeated: bool = False
    ) -> Operation:
        """A call; a `repeated` one is all that the loop of a `scan` has."""
        axes = tuple(self._axis(value) for value in operands)
        if all(axis is None for axis in axes):
            return operation
        match operation.part.callee:
            case ResolvedModel() as model if self._binds(operation, axes, model):
                stepped = self.steps.of(model)
                if not stepped.changed:
                    return operation
                self.calls[id(model)] = model
                self.counts |= stepped.counts
            case Layer(name="RNN" | "GRU" | "LSTM") if axes[0] == -2:
                pass
            case ResolvedNetwork() as network:
                return self._network(operation, operands, axes, network, repeated)
            case _:
                return operation
        self.changed = True
        return stepping(StepCall, operation, operands)

    def _binds(self, operation: CallPart, axes: Sequence[Axis], model: ResolvedModel) -> bool:
        """Whether the causal axis is that of the model that is called, and none of its `...`."""
        shapes = {source.name: source.shape for source in model.inputs}
        for axis, name in zip(axes, operation.inputs, strict=True):
            if axis is not None:
                return axis >= -len(shapes[name].sizes)
        return False

    def _network(
        self,
        operation: CallPart,
        operands: tuple[Value, ...],
        axes: Sequence[Axis],
        network: ResolvedNetwork,
        repeated: bool,
    ) -> Operation:
        """A network with a window along the causal axis takes what the window reaches back to."""
        inputs = {source.name: source.axes for source in network.inputs}
        windows = {f"{window.name}.in": window for window in network.windows}
        for axis, name in zip(axes, operation.inputs, strict=True):
            legs = [each.indices for each in inputs[name] if each.indices != (DOTS,)]
            if axis is None or axis < -len(legs) or legs[axis][0] not in windows:
                continue
            window = windows[legs[axis][0]]
            self.changed = True
            following = Following(self.size, operation, tuple(axes))
            results = (each for each in part_axes(following, operation) if each is not None)
            keep = window.dilation * (window.size - 1)
            places = {value: k for value, k in zip(operands, axes, strict=True) if k is not None}
            if not repeated:
                operands = tuple(
                    self._joined(value, places[value], keep, operation, "recent")
                    if value in places
                    else value
                    for value in operands
                )
                places = {}
            return stepping(
                WindowCall,
                operation,
                operands,
                keep=keep,
                axes=places,
                results=tuple(results),
                count=Size.name(self.declared.name),
            )
        return operation


def _is_dropout(operation: Operation) -> bool:
    """Whether an operation returns its operand in evaluation mode."""
    return isinstance(operation, CallPart) and (
        isinstance(operation.part.callee, Layer)
        and operation.part.callee.name in ("Dropout", "Dropout2d")
    )


def _sizes(condition: Condition) -> Iterator[Size]:
    """The sizes that a condition compares."""
    if isinstance(condition, Combined):
        for part in condition.parts:
            yield from _sizes(part)
    else:
        yield from (condition.left, condition.right)
