"""Values made of numbers and sizes alone."""

from __future__ import annotations

from tncompile.language.typing.operations import Literal, SizeValue
from tncompile.language.typing.values import Numbers
from tncompile.models.emission.expressions.conversion import Applied, made
from tncompile.models.emission.expressions.sources import helped
from tncompile.models.emission.expressions.text import (
    Context,
    Text,
    call,
    number_text,
    size_text,
)


def literal(operation: Literal, context: Context) -> Text:
    """A number, or a list of numbers as a tensor."""
    number = operation.number
    text = number_text(number, context)
    if not isinstance(number, tuple | Numbers):
        return text
    items = number.items if isinstance(number, Numbers) else number
    floats = not items or any(isinstance(item, float) for item in items)
    return call("torch.tensor", text, *made(context, context.dtype if floats else None))


def size_value(operation: SizeValue, context: Context) -> Text:
    """A run-time size as a number."""
    return size_text(operation.size, context)


def _arange(applied: Applied) -> Text:
    ends = [applied.text(name) for name in ("start", "n") if applied.option(name) is not None]
    return call("torch.arange", *ends, *made(applied.context))


def _linspace(applied: Applied) -> Text:
    """`torch.linspace` would make a run-time size a number when it is exported."""
    context = applied.context
    ends = [applied.text(name) for name in ("start", "end", "n")]
    arguments = [*ends, *made(context, context.dtype)]
    if ends[-1].code.isdigit():
        return call("torch.linspace", *arguments)
    return helped(context, "_linspace", *arguments)


def _eye(applied: Applied) -> Text:
    return call("torch.eye", applied.text("n"), *made(applied.context, applied.context.dtype))


def _filled(applied: Applied) -> Text:
    context, sizes = applied.context, applied.text("size")
    if applied.name != "full":
        return call(f"torch.{applied.name}", sizes, *made(context, context.dtype))
    value = applied.option("fill_value")
    dtype = context.dtype if isinstance(value, float) else None
    return call("torch.full", sizes, applied.text("fill_value"), *made(context, dtype))


RULES = {
    "arange": _arange,
    "linspace": _linspace,
    "eye": _eye,
    "zeros": _filled,
    "ones": _filled,
    "full": _filled,
}
