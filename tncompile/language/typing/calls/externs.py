"""A call of a class or a function of a Python package."""

from __future__ import annotations

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.calls.inputs import (
    BoundSizes,
    Slot,
    Taken,
    Types,
    bind,
    in_order,
    taken,
)
from tncompile.language.typing.model import Extern, Part, TypedShape
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.state import Call, Typing
from tncompile.language.typing.values import Shape


def call_extern(typing: Typing, part: Part, extern: Extern, call: Call) -> tuple[CallPart, Types]:
    """The call, and what `gives` says of its results; without it they are as the first argument."""
    takes = extern.takes
    several = None
    if takes is None:  # one value of any kind and shape
        shapes = ", ".join(["(..., d)"] * min(len(call.arguments), 8))
        several = f"write what it takes before the arrow: `({shapes}) -> …`"
        slots = [Slot("0", (), Shape((), True), part.declared)]
    else:
        slots = [
            Slot(str(k), (each.kind,), each.shape, each.span, each.spans)
            for k, each in enumerate(takes)
        ]
    pairs = in_order(call, part.name, slots, part.declared, by_name=False, surplus=several)
    inputs = taken(typing, call, part.name, pairs)
    bound = bind(typing, part.name, inputs, extern.bound, stretch=False)
    operation = CallPart(
        tuple(each.value for each in inputs),
        part=part,
        inputs=tuple(slot.name for slot in slots),
        bindings=bound.sizes,
        span=call.span,
        turns=typing.turns,
    )
    if extern.gives is None:
        return operation, [(inputs[0].value.kind, inputs[0].value.shape)]
    if takes is not None:
        return operation, [(each.kind, bound.shape(each.shape)) for each in extern.gives]
    return operation, [(each.kind, _in_place(part, each, inputs[0])) for each in extern.gives]


def _in_place(part: Part, given: TypedShape, argument: Taken) -> Shape:
    """`gives` alone: its `...` is all axes of the argument but as many of the last as it names."""
    shape, count = argument.value.shape, len(given.shape.sizes)
    if given.shape.dots and len(shape.sizes) < count:
        message = f"`{part.name}` replaces the last {count} axes, and this is {shape}"
        note = "`...` of what it gives is all axes of the argument but as many of the last"
        hint = "give it a value with more axes, or write what it takes"
        there = Label(given.span, f"{given.shape} comes out")
        label = f"this is {shape}"
        raise failure(Code.MODEL_SHAPES, message, argument.place, label, note, hint, there)
    lead = Shape(shape.sizes[: len(shape.sizes) - count], shape.dots)
    return BoundSizes({}, lead).shape(given.shape)
