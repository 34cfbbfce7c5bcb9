"""What a step does beside `forward`, as expressions of PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tncompile.language.typing.model import Layer, ResolvedModel
from tncompile.language.typing.values import Value
from tncompile.models.emission.access import Access
from tncompile.models.emission.expressions import Text, as_tensor
from tncompile.models.emission.methods.calls import arguments, call_text, handed_on
from tncompile.models.emission.methods.scope import Scope
from tncompile.models.emission.stepping.operations import (
    Joined,
    Past,
    StepCall,
    StepScan,
    Summed,
    WindowCall,
)

PAST = Text("past")
"""The variable of what came before."""


def past_text(operation: Past, texts: Sequence[Text], scope: Scope) -> Text:
    """The expression of an operation that looks at what came before."""
    (value,), (text,) = operation.operands, texts
    past = past_of([value], scope)
    match operation:
        case Joined(axis=axis, keep=keep):
            return _joined(past, text, axis, keep)
        case Summed(axis=axis):
            return past.method("summed", text, axis)
        case _:
            return past.method("begun", as_tensor(value, text, scope))


def step_call(operation: StepCall, texts: Sequence[Text], access: Access, scope: Scope) -> Text:
    """A call that looks at what came before, on operands in the order of `arguments`."""
    part = operation.part
    if isinstance(operation, WindowCall):
        return _window_call(operation, texts, access, scope)
    past = past_of(operation.operands, scope)
    name = access.part(part)
    operands = arguments(operation)
    items = [
        as_tensor(value, text, scope).code for value, text in zip(operands, texts, strict=True)
    ]
    match part.callee:
        case ResolvedModel() as model:
            items.append(past.code)
            if not part.outer:
                handed = handed_on(part, access, scope)
                return Text(f"{name}._step({', '.join([*items, *handed])})")
            if model.handed:  # it came with what it needs, as a `partial`
                return Text(f"{name}.func._step({', '.join(items)}, **{name}.keywords)")
            return Text(f"{name}._step({', '.join(items)})")
        case Layer(name="LSTM") if len(items) == 3:
            return past.method("recurrent", name, items[0], f"({items[1]}, {items[2]})")
        case _:
            return past.method("recurrent", name, *items)


def _window_call(
    operation: WindowCall, texts: Sequence[Text], access: Access, scope: Scope
) -> Text:
    joined = [
        _joined(past_of([value], scope), text, operation.axes[value], operation.keep)
        if value in operation.axes
        else text
        for value, text in zip(arguments(operation), texts, strict=True)
    ]
    text = call_text(operation, joined, access, scope)
    (axis, *_), many = operation.results, len(operation.results) > 1
    slots = ["...", f"-{_simple(scope.size(operation.count))}:", *[":"] * (-1 - axis)]
    if many:
        return Text(f"tuple(y[{', '.join(slots)}] for y in {text})")
    return text.item(*slots)


def _simple(size: str) -> str:
    return size if size.isidentifier() else f"({size})"


def kept(scan: StepScan, names: Sequence[str], scope: Scope) -> list[str]:
    """The statements that keep the last state of a `scan`, which has these names."""
    states = scan.operands[scan.sequences :]
    return [
        past_of([value], scope).method("keep", name).code
        for value, name in zip(states, names, strict=True)
    ]


def _joined(past: Text, text: Text, axis: int, keep: int | None) -> Text:
    return past.method("joined", text, axis, *([] if keep is None else [keep]))


def past_of(values: Iterable[Value], scope: Scope) -> Text:
    """What came before; tensors without the axes of `...` get them in the state."""
    if not scope.dotted or any(value.shape.dots for value in values):
        return PAST
    return PAST.method("expanded", scope.leading(None))
