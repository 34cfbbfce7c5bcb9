"""What arguments that are no values can be: numbers, words, sizes, legs."""

from __future__ import annotations

from collections.abc import Callable

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.spelling import closest
from tncompile.language.resolved import LARGEST_SIZE
from tncompile.language.syntax.source import Span
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed, Typing
from tncompile.language.typing.values import (
    MOST_AXES,
    Numbers,
    Shape,
    Strings,
    Term,
    Tuple,
    Value,
    term_text,
)


def written_at(argument: Typed) -> Span:
    """The whole argument: one given by name begins with it."""
    return argument.name.span.to(argument.span) if argument.name else argument.span


def wrong_type(span: Span, term: Term, wanted: str, hint: str | None = None) -> Failed:
    """TN305: a term where `wanted` (with its article) belongs."""
    message = f"{wanted} is needed here, not {term_text(term)}"
    note = "numbers are int, float, bool, strings and lists; none turns into another silently"
    label, hint = f"this is {term_text(term)}", hint or f"write {wanted} here"
    return failure(Code.WRONG_TYPE, message, span, label, note, hint)


def real(typing: Typing, argument: Typed) -> int | float:
    """A number."""
    number = typing.number(argument)
    if isinstance(number, int | float) and not isinstance(number, bool):
        return number
    raise wrong_type(argument.span, argument.term, "a number")


def scalar(typing: Typing, argument: Typed) -> int | float | bool:
    """A number or a bool."""
    number = typing.number(argument)
    if isinstance(number, int | float):
        return number
    raise wrong_type(argument.span, argument.term, "a number")


def whole(typing: Typing, argument: Typed) -> int:
    """An integer."""
    number = typing.number(argument)
    if type(number) is int:
        return number
    raise wrong_type(argument.span, argument.term, "an int")


def flag(typing: Typing, argument: Typed) -> bool:
    """`true` or `false`."""
    number = typing.number(argument)
    if isinstance(number, bool):
        return number
    raise wrong_type(argument.span, argument.term, "a bool", "write `true` or `false`")


def word(*words: str) -> Callable[[Typing, Typed], str]:
    """One of some strings."""

    def read(typing: Typing, argument: Typed) -> str:
        text = typing.number(argument)
        if isinstance(text, str) and text in words:
            return text
        quoted = ", ".join(f'`"{each}"`' for each in words)
        close = closest(text, words) if isinstance(text, str) else None
        hint = f'did you mean `"{close}"`?' if close else "write one of these"
        message, label = f"{term_text(argument.term)} is not known here", "none of the words"
        note = f"it is one of {quoted}"
        raise failure(Code.WRONG_TYPE, message, argument.span, label, note, hint)

    return read


def size(typing: Typing, argument: Typed) -> Size:
    """A number of entries, 0 or more, or a run-time size."""
    term = argument.term
    return _size(typing, term if isinstance(term, Size) else typing.number(argument), argument.span)


def count(typing: Typing, argument: Typed) -> Size:
    """A number of at least 1, or a run-time size."""
    entries = size(typing, argument)
    if entries.value == 0:
        message, note = "0 entries are none", "at least one is needed here"
        raise failure(Code.BAD_SIZE, message, argument.span, "this is 0", note, "make it larger")
    return entries


def sizes(typing: Typing, argument: Typed) -> tuple[Size, ...]:
    """A list of sizes; one size alone is a list of one."""
    match argument.term:
        case Tuple(items) | Numbers(items):
            written: tuple[object, ...] = items
        case tuple():
            written = argument.term
        case _:
            return (size(typing, argument),)
    for item in written:
        if isinstance(item, Value | str):  # a tuple of values: TN607 says so
            typing.number(argument)
    return tuple(_size(typing, item, argument.span) for item in written)


def listed_sizes(typing: Typing, argument: Typed, hint: str | None = None) -> tuple[Size, ...]:
    """A list of sizes, and no size alone."""
    if isinstance(argument.term, Tuple | Numbers | tuple):
        return sizes(typing, argument)
    if not isinstance(argument.term, Size):
        typing.number(argument)
    raise wrong_type(argument.span, argument.term, "a list of sizes", hint)


def shifts(typing: Typing, argument: Typed) -> tuple[Size, ...]:
    """A number of entries or a list of them, which may be negative."""
    match argument.term:
        case Tuple(items) | Numbers(items):
            written: tuple[object, ...] = items
        case tuple():
            written = argument.term
        case Size():
            return (argument.term,)
        case _:
            return (Size.number(whole(typing, argument)),)
    for item in written:
        if type(item) is not int and not isinstance(item, Size):
            typing.number(argument)
            raise wrong_type(argument.span, argument.term, "a list of integers")
    return tuple(
        item if isinstance(item, Size) else Size.number(item)
        for item in written
        if isinstance(item, int | Size)
    )


def legs(typing: Typing, argument: Typed) -> Shape:
    """The legs of a shape: `(..., t, 4)`, `(t, 4)`, `()`."""
    term = argument.term
    if isinstance(term, Shape):
        shape = Shape(tuple(_size(typing, each, argument.span) for each in term.sizes), term.dots)
    else:
        shape = Shape(sizes(typing, argument))
    if len(shape.sizes) > MOST_AXES:
        message = f"a value has at most {MOST_AXES} axes, not {len(shape.sizes)}"
        label, note = "too many axes", "so many axes a tensor of torch can have"
        raise failure(Code.TOO_MANY, message, argument.span, label, note, "use fewer axes")
    return shape


def _size(typing: Typing, item: object, span: Span) -> Size:
    known = item.value if isinstance(item, Size) else item
    if known is None:
        assert isinstance(item, Size)
        return item
    if type(known) is not int:
        hint = "`//` divides integers, rounding down" if isinstance(known, float) else None
        raise wrong_type(span, _as_term(known), "an int", hint)
    if known < 0:
        message, note = f"a size cannot be {known}", "every size is written out, none is solved for"
        hint = "write the size itself"
        raise failure(Code.BAD_SIZE, message, span, f"this is {known}", note, hint)
    if known > LARGEST_SIZE:
        message, note = f"a size of {known} is too large", "sizes reach 2**40"
        raise failure(Code.TOO_MANY, message, span, "larger than 2**40", note, "make it smaller")
    return Size.number(known)


def _as_term(item: object) -> Term:
    return item if isinstance(item, bool | float | str | Numbers | Strings) else str(item)
