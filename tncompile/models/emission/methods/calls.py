"""Calls of parts: `self.attn(x)`, `self.look(q, k, v, need_weights=False)[0]`."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.emission.text.writer import string
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Extern, Layer, Part, ResolvedModel
from tncompile.language.typing.operations import Apply, CallPart, Operation, Scan
from tncompile.language.typing.values import Value
from tncompile.models.emission.access import Access
from tncompile.models.emission.construction.parts import given
from tncompile.models.emission.expressions import Text, as_tensor
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.graph.numbers import is_number, picked_values


def arguments(operation: Operation) -> tuple[Value, ...]:
    """The operands in the order in which the call has them."""
    if not isinstance(operation, CallPart):
        return operation.operands
    callee = operation.part.callee
    if not isinstance(callee, ResolvedModel | ResolvedNetwork):
        return operation.operands
    names = [each.name for each in (*callee.inputs,)]
    order = sorted(range(len(operation.operands)), key=lambda k: names.index(operation.inputs[k]))
    return tuple(operation.operands[k] for k in order)


def arity(operation: Operation) -> int:
    """How many results an operation has."""
    match operation:
        case CallPart(part=part):
            return _results(part)
        case Scan(part=part, outputs=outputs):
            return _results(part) + (outputs == 0)
        case Apply(function="topk"):
            return 2
        case Apply(function="chunk", options=options):
            return int(str(options["n"]))
        case Apply(function="split", options=options):
            pieces = options["sizes"]
            assert isinstance(pieces, tuple)
            return len(pieces)
        case _:
            return 1


def _results(part: Part) -> int:
    match part.callee:
        case ResolvedModel(output=output):
            return len(output)
        case ResolvedNetwork(output=output):
            return 2 if output.log else 1
        case Layer(name=name):
            return {"RNN": 2, "GRU": 2, "LSTM": 3}.get(name, 1)
        case Extern(gives=gives):
            return 1 if gives is None else len(gives)


def call_text(operation: CallPart, texts: Sequence[Text], access: Access, scope: Scope) -> Text:
    """The call of a part on operands in the order of `arguments`."""
    part, operands = operation.part, arguments(operation)
    name = access.part(part)
    numbers = picked_values(operation)
    items = [
        scope.number(value) if value in numbers else _operand(value, text, scope)
        for value, text in zip(operands, texts, strict=True)
    ]
    listed = ", ".join(items)
    complex_ = any(value.kind == "complex" for value in operands)
    match part.callee:
        case Layer() as layer:
            return _layer_call(layer, name, items, operands[0], scope)
        case ResolvedNetwork() as network:
            if complex_ and not any(each.complex for each in network.parameters):
                scope.use("_multilinear")
                return Text(f"_multilinear({name}, {listed})")
            return Text(f"{name}({listed})")
        case ResolvedModel():
            handed = [] if part.outer else handed_on(part, access, scope)
            return Text(f"{name}({', '.join([*items, *handed])})")
        case Extern() as extern:
            named = given(extern) if extern.function else []
            text = f"{name}({', '.join([*items, *named])})"
            return Text(text)


def handed_on(part: Part, access: Access, scope: Scope) -> list[str]:
    """The parts that a call of a model hands on; one that was handed on has what it needs."""
    needed = part.callee.handed if isinstance(part.callee, ResolvedModel) else ()
    return [_handed(part.handed[key], access, scope) for key in needed]


def _handed(part: Part, access: Access, scope: Scope) -> str:
    """A part as an argument; what it needs of other parts is given at once."""
    name = access.part(part)
    if part.outer or not isinstance(part.callee, ResolvedModel) or not part.callee.handed:
        return name
    scope.use("partial")
    given = [_handed(part.handed[key], access, scope) for key in part.callee.handed]
    names = [f"{key}={text}" for key, text in zip(part.callee.handed, given, strict=True)]
    return f"partial({name}, {', '.join(names)})"


def _operand(value: Value, text: Text, scope: Scope) -> str:
    """An operand of a part, which takes tensors of the dtype of the module."""
    if text.code.startswith("self.") or not is_number(value):
        return text.code
    return as_tensor(value, text, scope).code


def _layer_call(layer: Layer, name: str, items: Sequence[str], first: Value, scope: Scope) -> Text:
    entry = LAYERS[layer.name]
    listed = ", ".join(items)
    if first.kind == "complex" and layer.parameters:
        scope.use("_linear")
        return Text(f"_linear({name}, {listed})")
    if layer.name == "LSTM" and len(items) == 3:
        return Text(f"{name}({items[0]}, ({items[1]}, {items[2]}))")
    if layer.name == "MultiheadAttention":
        mask = f", key_padding_mask={items[3]}" if len(items) > 3 else ""
        return Text(f"{name}({', '.join(items[:3])}{mask}, need_weights=False)[0]")
    count = len(first.shape.sizes)
    behind = count if entry.first and first.shape.dots else entry.behind
    if behind and (first.shape.dots or count != behind + 1):
        scope.use("_merged")
        return Text(f"_merged({name}, {listed}, {behind})")
    return Text(f"{name}({listed})")


def claim(value: Value, text: str, scope: Scope) -> str:
    """What came back from elsewhere, compared with what is declared of it."""
    part = value.operation.part if isinstance(value.operation, CallPart) else None
    assert part is not None
    scope.use("_given")
    sizes = [scope.size(size) for size in value.shape.sizes]
    shape = ", ".join([*[f"*{scope.leading(value)}"] * value.shape.dots, *sizes])
    shape = f"({shape}{',' if shape and len(sizes) + value.shape.dots == 1 else ''})"
    return f'_given({string(part.name)}, {text}, {shape}, "{value.kind}")'
