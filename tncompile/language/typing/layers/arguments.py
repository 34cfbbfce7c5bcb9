"""One argument of a layer: whether it has the type and the value that it may have."""

from __future__ import annotations

import math

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.evaluating.arithmetic import is_whole
from tncompile.language.resolved import LARGEST_SIZE
from tncompile.language.syntax.source import Span
from tncompile.language.typing.layers.entry import Argument
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import MOST_AXES, Number, Numbers, Strings, term_text


def place(argument: Typed) -> Span:
    """A named argument starts at its name."""
    return argument.span if argument.name is None else argument.name.span.to(argument.span)


def conform(typing: Typing, layer: str, argument: Argument, given: Typed, axes: int) -> Number:
    """The value of an argument, as torch takes it.

    TN305 where it has another type, TN602 where it may not have this value, TN501 where it is too
    large, TN606 and TN607 where it is no number.
    """
    value = typing.number(given)
    if argument.why and argument.only is None:
        what = f"`{argument.name}` is not given here: {argument.why}"
        hint = "remove it, or name the argument that is meant"
        raise refused(layer, given, what, hint)
    match argument.type, value:
        case "bool", bool():
            pass
        case "float", int() | float() if not isinstance(value, bool):
            value = float(value)
            if not math.isfinite(value):
                raise refused(layer, given, f"`{argument.name}` is a finite number")
            _check_bounds(layer, argument, given, value)
        case "int" | "each" | "ints" | "padding", int() if not isinstance(value, bool):
            _check_bounds(layer, argument, given, value)
        case "each" | "padding", tuple() if len(value) != axes:
            what = f"`{argument.name}` has one int for each of the {axes} axes of a window"
            if axes == 1:
                what = f"`{argument.name}` is one int: a window has one axis here"
            raise refused(layer, given, what, "write one int for all of them")
        case "ints", tuple() if not 1 <= len(value) <= MOST_AXES:
            what = f"`{argument.name}` has from 1 to {MOST_AXES} items"
            raise refused(layer, given, what, "write the sizes of the last axes")
        case "each" | "ints" | "padding", tuple():
            for item in value:
                _check_bounds(layer, argument, given, item)
        case "word" | "padding", str():
            if value not in argument.words:
                known = " or ".join(f'"{word}"' for word in argument.words)
                close = closest(value, argument.words) or argument.words[0]
                raise refused(layer, given, f"`{argument.name}` is {known}", f'write "{close}"')
        case _:
            raise _wrong_type(argument, given, axes)
    if argument.only is not None and value != argument.only:
        text = term_text(argument.only)
        what = f"`{argument.name}` can only be {text} here: {argument.why}"
        raise refused(layer, given, what, f"`{argument.name} = {text}`")
    assert isinstance(value, bool | int | float | str | tuple)
    return value


def refused(layer: str, given: Typed, message: str, hint: str = "write another value") -> Failed:
    """TN602 for a value that an argument may not have."""
    note = f"what `{layer}` refuses when it is made, or can never compute, is refused here"
    label = "this value is not allowed"
    return failure(Code.UNKNOWN_LAYER, message, place(given), label, note, hint)


def _check_bounds(layer: str, argument: Argument, given: Typed, value: float) -> None:
    name, least, most = argument.name, argument.least, argument.most
    if isinstance(value, int):
        _check_size(argument, given, value)
    low = least is not None and value < least
    if not low and (most is None or value <= most):
        return
    allowed = f"at least {least}" if most is None else f"from {least} to {most}"
    text = term_text(value)
    hint = f"make it {allowed}"
    raise refused(layer, given, f"`{name}` is {allowed}, not {text}", hint)


def _check_size(argument: Argument, given: Typed, value: int) -> None:
    if abs(value) <= LARGEST_SIZE:
        return
    message, label = f"`{argument.name}` is {term_text(value)}", "larger than 2**40"
    note, hint = "sizes reach 2**40", "make it smaller"
    raise failure(Code.TOO_MANY, message, given.span, label, note, hint)


def _wrong_type(argument: Argument, given: Typed, axes: int) -> Failed:
    several = "an int" if axes == 1 else f"an int or a list of {axes} ints"
    wanted = {
        "int": "an int",
        "float": "a float",
        "bool": "a bool",
        "word": "a string",
        "each": several,
        "ints": "an int or a list of ints",
        "padding": f"{several} or a string",
    }[argument.type]
    term = given.term
    match term:
        case str():
            actual = "a string"
        case Numbers(items):
            actual = f"a list of {'floats' if float in map(type, items) else 'bools'}"
        case Strings():
            actual = "a list of strings"
        case tuple():
            actual = "a list"
        case bool():
            actual = "a bool"
        case int():
            actual = "an int"
        case _:
            actual = "a float"
    message = f"`{argument.name}` takes {wanted}, not {actual}"
    hint = f"give `{argument.name}` {wanted}"
    if argument.type == "bool":
        hint = "write `true` or `false`"
    elif argument.words:
        hint = f'write "{argument.words[0]}"'
    elif isinstance(term, float) and is_whole(term):
        hint = f"write `{int(term)}`"
    note = "arguments of layers have torch's types; none turns into another silently"
    return failure(Code.WRONG_TYPE, message, given.span, f"this is {actual}", note, hint)
