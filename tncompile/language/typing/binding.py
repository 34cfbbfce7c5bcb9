"""The arguments of `attention` and `scan` by their names."""

from __future__ import annotations

from collections.abc import Sequence

from tncompile.language.diagnostics.collector import failure, listed
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.typing.state import Call, Typed, Typing
from tncompile.language.typing.values import term_text


def bound(call: Call, names: Sequence[str], required: int) -> dict[str, Typed]:
    """The arguments by name; the first `required` must be there. TN208 where they do not fit."""
    note = f"`{call.text}` takes {listed(names)}"
    found: dict[str, Typed] = {}
    for position, argument in enumerate(call.arguments):
        if argument.name is None:
            if position >= len(names):
                message = f"`{call.text}` takes {len(names)} arguments at most"
                label, hint = "one too many", "remove it"
                raise failure(Code.WRONG_ARGUMENT, message, argument.span, label, note, hint)
            name, span = names[position], argument.span
        else:
            name, span = argument.name.text, argument.name.span
        if name not in names:
            close = closest(name, names)
            message = f"`{call.text}` has no argument `{name}`"
            hint = f"did you mean `{close}`?" if close else "remove it"
            raise failure(Code.WRONG_ARGUMENT, message, span, "unknown argument", note, hint)
        if name in found:
            message = f"`{name}` of `{call.text}` is given twice"
            raise failure(Code.WRONG_ARGUMENT, message, span, "again here", note, "remove one")
        found[name] = argument
    missing = [name for name in names[:required] if name not in found]
    if missing:
        message = f"`{call.text}` lacks {listed(missing)}"
        hint = f"write `{call.text}({', '.join(names[:required])})`"
        raise failure(Code.WRONG_ARGUMENT, message, call.name, "missing arguments", note, hint)
    return found


def flag(typing: Typing, arguments: dict[str, Typed], name: str) -> bool:
    """An argument that is true or false, false where it is missing; TN305."""
    if name not in arguments:
        return False
    number = typing.number(arguments[name])
    if isinstance(number, bool):
        return number
    raise wrong(arguments[name], f"`{name}` is true or false", "write `true` or `false`")


def wrong(argument: Typed, message: str, hint: str) -> Exception:
    """TN305 for an argument of the wrong type, or outside of what it may be."""
    text = term_text(argument.term)
    note = "arguments that are no values are known when the model is instantiated"
    return failure(
        Code.WRONG_TYPE, f"{message}, not {text}", argument.span, f"this is {text}", note, hint
    )
