"""How the constructor of an emitted class makes a part: `nn.Linear(768, 2304, …)`."""

from __future__ import annotations

import keyword
from collections.abc import Mapping

from tncompile.emission.text.writer import string
from tncompile.language.diagnostics.errors import InternalError
from tncompile.language.typing.layers.table import LAYERS
from tncompile.language.typing.model import Extern, Layer
from tncompile.language.typing.values import Number, Numbers, Strings

PLACED = "device=device, dtype=dtype"


def literal(number: Number | None) -> str:
    """A number, a list or a string as Python.

    >>> literal((3,)), literal(True), literal("mean")
    ('(3,)', 'True', '"mean"')
    """
    match number:
        case str():
            return string(number)
        case Numbers(items) | Strings(items):
            return f"[{', '.join(map(literal, items))}]"
        case tuple():
            return f"({', '.join(map(repr, number))}{',' if len(number) == 1 else ''})"
        case float() if number != number:
            return "math.nan"
        case float() if number in (float("inf"), float("-inf")):
            return "math.inf" if number > 0 else "-math.inf"
        case _:
            return repr(number)


def layer(made: Layer, *, tied: bool = False) -> str:
    """The call that makes a layer; one that is `tied` altogether gets no memory of its own."""
    arguments: list[str] = []
    entry = LAYERS[made.name]
    for place, argument in enumerate(entry.arguments):
        if argument.name not in made.arguments:
            continue
        value = made.arguments[argument.name]
        if argument.needed or (place == 0 and value != argument.default):
            arguments.append(literal(value))
        elif value != argument.default or type(value) is not type(argument.default):
            arguments.append(f"{argument.name}={literal(value)}")
    if made.parameters or made.buffers:
        arguments.append('device="meta", dtype=dtype' if tied else PLACED)
    return f"nn.{made.name}({', '.join(arguments)})"


def extern(made: Extern, name: str) -> str:
    """The call that makes an object of a foreign class, and puts it where the others are."""
    return f"{name}({', '.join(given(made))}).to({PLACED})"


def given(made: Extern) -> list[str]:
    """The arguments of a foreign class or function."""
    named: Mapping[str, Number] = made.named
    if wrong := [name for name in named if not is_name(name)]:
        raise InternalError(f"{made.path}: `{wrong[0]}` is no name of an argument")
    return [
        *map(literal, made.positional),
        *(f"{name}={literal(value)}" for name, value in named.items()),
    ]


def is_name(text: str) -> bool:
    """Whether the text can be a name in Python, in plain letters."""
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)
