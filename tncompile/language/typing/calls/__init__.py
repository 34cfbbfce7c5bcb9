"""Calls of parts: what they take, and the kinds and shapes that they give."""

from __future__ import annotations

from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.calls.externs import call_extern
from tncompile.language.typing.calls.inputs import Slot, Types, bind, in_order, taken
from tncompile.language.typing.calls.networks import call_network
from tncompile.language.typing.layers import call_layer
from tncompile.language.typing.model import Extern, Part, ResolvedModel
from tncompile.language.typing.operations import CallPart
from tncompile.language.typing.state import Call, Typing, limited_sizes
from tncompile.language.typing.values import Term, Tuple, Value


def call_part(typing: Typing, part: Part, call: Call) -> Term:
    """The results of a part for these arguments; raises `Failed`."""
    with limited_sizes(call.span):
        match part.callee:
            case ResolvedNetwork() as network:
                operation, types = call_network(typing, part, network, call)
                single = len(types) == 1
            case ResolvedModel() as model:
                operation, types = _call_model(typing, part, model, call)
                single = model.single
            case Extern() as extern:
                operation, types = call_extern(typing, part, extern, call)
                single = len(types) == 1
            case _:
                return call_layer(typing, part, call)
    typing.add(operation)
    if single:
        ((kind, shape),) = types
        return Value(kind, shape, operation, span=call.span)
    return Tuple(
        tuple(
            Value(kind, shape, operation, k, span=call.span)
            for k, (kind, shape) in enumerate(types)
        )
    )


def _call_model(
    typing: Typing, part: Part, model: ResolvedModel, call: Call
) -> tuple[CallPart, Types]:
    slots = [
        Slot(source.name, (source.kind,), source.shape, source.declared, source.spans)
        for source in model.inputs
    ]
    pairs = in_order(call, part.name, slots, model.block.name.span, by_name=True)
    inputs = taken(typing, call, part.name, pairs)
    names = {size.name for size in model.sizes}
    bound = bind(typing, part.name, inputs, names, stretch=False)
    operation = CallPart(
        tuple(each.value for each in inputs),
        part=part,
        inputs=tuple(slot.name for slot in slots),
        bindings=bound.sizes,
        span=call.span,
        turns=typing.turns,
    )
    return operation, [(value.kind, bound.shape(value.shape)) for value in model.output]
