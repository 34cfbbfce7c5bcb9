"""A call of a layer: whether its operands fit, and what it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tncompile.language.diagnostics.collector import Failed, counted, failure, listed
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax.source import Span
from tncompile.language.typing.layers.entry import ANY, Entry, Input, LayerCall, Settings
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Layer, Part
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.sizes import Size, SizeTooLarge
from tncompile.language.typing.state import Call, Misfit, Typed, Typing
from tncompile.language.typing.values import Shape, Term, Tuple, Value


def call_layer(typing: Typing, part: Part, call: Call) -> Term:
    """What a part that is a layer gives: a value, or a tuple of values.

    TN208 for the number of operands, TN603 for their kinds, TN601 for their shapes, TN605 where the
    layer counts axes from the front and the operand has `...`.
    """
    assert isinstance(part.callee, Layer)
    entry = LAYERS[part.callee.name]
    settings = entry.settings(part.callee.arguments)
    arguments, declared = call.arguments, _declared(part)
    named = next((each for each in arguments if each.name is not None), None)
    if named is not None and named.name is not None:
        message = f"`{part.name}` takes its inputs in order, not by name"
        note, hint = f"`{part.callee.name}` is a layer", "leave the name out"
        span = named.name.span.to(named.span)
        raise failure(Code.WRONG_ARGUMENT, message, span, "named here", note, hint, declared)
    names = [each.name for each in entry.takes(settings, (0,) * max(entry.counts))]
    counts = [count for count in entry.counts if count <= len(names)]
    if len(arguments) not in counts:
        raise _wrong_count(part, call, counts, names)
    values = tuple(map(typing.as_value, arguments))
    inputs = _inputs(entry, settings, values)
    calling = _Calling(typing, part, call)
    for argument, value, due in zip(arguments, values, inputs, strict=False):
        calling.check_kind(argument, value, due, entry.linear)
    for argument, value, due in zip(arguments, values, inputs, strict=False):
        calling.check_axes(argument, value, due, entry, settings)
        calling.bind(argument, value, due)
    for name, least in entry.least(settings).items():
        calling.check_least(arguments[0], values[0], inputs[0], name, least)
    behind = len([axis for axis in inputs[0].axes if axis != ANY])
    first = values[0].shape
    leading = Shape(first.sizes[: len(first.sizes) - behind], first.dots)
    try:
        shapes = entry.gives(settings, LayerCall(values, leading, calling.sizes))
    except SizeTooLarge:
        message, label = f"a size that `{part.name}` gives is too large", "it is given here"
        note, hint = "sizes of values reach 2**64", "make the layer or the value smaller"
        raise failure(Code.TOO_MANY, message, call.span, label, note, hint, declared) from None
    operation = CallPart(
        values,
        part=part,
        inputs=tuple(due.name for due in inputs[: len(values)]),
        span=call.span,
        turns=typing.turns,
    )
    kind = values[0].kind if entry.linear else "float"
    if len(shapes) == 1:
        return typing.value(operation, kind, shapes[0])
    typing.add(operation)
    return Tuple(
        tuple(Value(kind, shape, operation, k, span=call.span) for k, shape in enumerate(shapes))
    )


def _inputs(entry: Entry, settings: Settings, values: Sequence[Value]) -> tuple[Input, ...]:
    """What is due for these operands; `...` takes the place of the batch axis of a `first`."""
    dots = entry.first and values[0].shape.dots
    inputs = entry.takes(settings, tuple(len(value.shape.sizes) + dots for value in values))
    return tuple([replace(due, axes=(ANY, *due.axes[1:])) for due in inputs]) if dots else inputs


class _Calling:
    """The call of one part, for what is wrong with its operands."""

    def __init__(self, typing: Typing, part: Part, call: Call) -> None:
        assert isinstance(part.callee, Layer)
        self.typing, self.part, self.call = typing, part, call
        self.layer = part.callee.name
        self.declared = _declared(part)
        self.sizes: dict[str, Size] = {}
        self.origins: dict[str, Span] = {}

    def check_kind(self, argument: Typed, value: Value, due: Input, linear: bool) -> None:
        """TN603 where an operand is of another kind; nothing is converted."""
        if value.kind == due.kind or (linear and value.kind == "complex"):
            return
        wanted = f"{due.kind} or complex" if linear else due.kind
        message = f"`{self.part.name}` takes {wanted} values here, not {value.kind}"
        note = f"`{due.name}` of `{self.layer}` is {wanted}; parts never convert"
        hint = "make it float before: `1.0 * x`"
        if due.kind != "float":
            hint = f"give it a value of kind {due.kind}: `input x(…) {due.kind}`"
        elif value.kind == "complex":
            hint = "take a part of it: `real(x)`, `imag(x)` or `abs(x)`"
        span, label = self.call.place(argument), f"this is {value.kind}"
        raise failure(Code.KINDS, message, span, label, note, hint, self.declared)

    def check_axes(
        self, argument: Typed, value: Value, due: Input, entry: Entry, settings: Settings
    ) -> None:
        """The number of axes: TN605 where they are counted past `...`, TN601 where it differs."""
        have, span = len(value.shape.sizes), self.call.place(argument)
        if ANY not in due.axes and value.shape.dots:
            message = f"`{self.layer}` takes no value with `...`"
            note = "it counts axes from the front, and `...` stands for any number of them"
            whole = entry.takes(settings, (have + 1,) * max(entry.counts))  # `...` is one axis
            example = next((each for each in whole if each.name == due.name), due)
            hint = f"name them: `batch b` and `input x{_example(example)}`"
            if self.layer == "Flatten":
                start = settings.number("start_dim")
                note = "axes of `...` may be among those that it joins"
                hint = f"call the function: `flatten({start if start < 0 else -have})`"
            label = f"this has the shape `{value.shape}`"
            places = (Label(value.span, "made here"), *self.declared)
            places = places if value.span != span else self.declared
            raise failure(Code.NO_SUCH_AXIS, message, span, label, note, hint, places)
        if lacks := entry.lacking(settings, have):
            note = f"`{self.layer}` counts axes from 0 on; this value has {have} of them"
            hint, label = "change `start_dim` or `end_dim`", f"this has the shape `{value.shape}`"
            raise failure(Code.NO_SUCH_AXIS, lacks, span, label, note, hint, self.declared)
        needed = len(due.axes) - (ANY in due.axes)
        if have == needed or (have > needed and ANY in due.axes):
            return
        wanted = f"{'at least ' * (ANY in due.axes)}{_axes(needed)}"
        raise failure(
            Code.MODEL_SHAPES,
            self._misfits(value, due),
            span,
            f"this has {_axes(have)}, not {wanted}",
            "axes are compared from the right",
            "add or remove axes with `reshape`, or `network { … }`",
            self.declared,
        )

    def bind(self, argument: Typed, value: Value, due: Input) -> None:
        """Compare the axes with what is due; names that are new are bound."""
        behind = [axis for axis in due.axes if axis != ANY]
        for k, axis in enumerate(behind):
            dim = k - len(behind)
            given = value.shape.sizes[dim]
            if isinstance(axis, int):
                wanted, places = Size.number(axis), self.declared
            elif axis in self.sizes:
                wanted = self.sizes[axis]
                places = (Label(self.origins[axis], f"`{axis}` is `{wanted}` here"), *self.declared)
            else:
                self.sizes[axis], self.origins[axis] = given, self.call.place(argument)
                continue
            place = f"axis {dim}" if dim < -1 else "the last axis"
            hint = f"make this axis {wanted}, or the layer one for {given}"
            if given.value is None:
                moved = _moved(value.shape, dim, wanted, len(behind))
                hint = moved or f"`require {given} == {wanted}`, if they are the same"
            if dim < -1 and value.shape.sizes[-1] == wanted and isinstance(axis, int):
                legs = ", ".join("hwd"[: -1 - dim])
                hint = f"channels come first: `network {{ (..., {legs}, c) -> (..., c, {legs}) }}`"
            label = f"{place} is `{given}`, not `{wanted}`"
            message, span = self._misfits(value, due), self.call.place(argument)
            misfit = Misfit(message, span, label, places, hint=hint)
            self.typing.same(given, wanted, misfit)

    def check_least(self, argument: Typed, value: Value, due: Input, name: str, least: int) -> None:
        """TN601 where an axis is too short for the window; what is open `forward` checks."""
        dim, given = due.axes.index(name) - len(due.axes), self.sizes[name]
        message = f"`{self.part.name}` needs at least {least} entries along axis {dim}"
        if given.value is not None:
            message += f" of {due}, not {value.shape}"
        note = "one window at least has to fit"
        hint = "make the value longer, or the window shorter; or `pad` the value before"
        label = f"axis {dim} is `{given}`"
        span = self.call.place(argument)
        misfit = Misfit(message, span, label, self.declared, note, hint)
        self.typing.at_most(Size.number(least), given, misfit)

    def _misfits(self, value: Value, due: Input) -> str:
        return f"`{self.part.name}` takes {due}, not {value.shape}"


def _declared(part: Part) -> tuple[Label, ...]:
    assert isinstance(part.callee, Layer)
    return (Label(part.declared, f"`{part.name}` is this `{part.callee.name}`"),)


def _moved(shape: Shape, dim: int, wanted: Size, behind: int) -> str | None:
    """What makes the axis `dim`, a run-time size, one of the size `wanted`, if anything."""
    others = range(-len(shape.sizes), 0)
    place = next((k for k in others if shape.axis(k) == wanted), None)
    if place is None:
        return None
    if behind == 1 and place < dim - 1:
        return f"average over the axes behind: `mean(dim = {list(range(place + 1, 0))})`"
    return f"move the axis {place} of {wanted} entries: `transpose({place}, {dim})`"


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"


def _example(due: Input) -> str:
    return str(due).replace("..., ", "")


def _wrong_count(part: Part, call: Call, counts: Sequence[int], names: Sequence[str]) -> Failed:
    """TN208: operands that are missing, at the name; one too many, there."""
    have = len(call.arguments)
    note = f"it takes {listed(names[: counts[0]])}"
    if more := names[counts[0] :]:
        note += f", then {listed(more)} if wanted"
    code, declared = Code.WRONG_ARGUMENT, _declared(part)
    if have > max(counts):
        extra = call.arguments[max(counts)]
        message = f"`{part.name}` takes {counted(max(counts), 'input')}, not {have}"
        hint, place = call.spread or "remove it", call.place(extra)
        return failure(code, message, place, "one too many", note, hint, declared)
    wanted = min(count for count in counts if count > have)
    missing = names[have:wanted]
    message = f"`{part.name}` needs {listed(missing)}"
    label = "missing input" if len(missing) == 1 else "missing inputs"
    hint = f"write `{part.name}({', '.join('…' * wanted)})`"
    return failure(code, message, call.name, label, note, hint, declared)
