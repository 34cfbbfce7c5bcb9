"""`extern "package.module.Class"(arguments) (takes) -> gives`: what stays Python."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.resolving.matching import Slip, matched
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.walk import values_used
from tncompile.language.typing.expressions import Reader
from tncompile.language.typing.model import Extern, TypedShape
from tncompile.language.typing.names import CONSTANTS
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typed
from tncompile.language.typing.values import KIND_NAMED, Kind, Number, Shape

_MOST_NAMES = 100
"""Python reads no chain of thousands of names."""

_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+")


def make_extern(reader: Reader, node: tree.Extern, arguments: Sequence[Typed]) -> Extern:
    """The class or the function with its arguments, and the shapes that are claimed of it."""
    path = node.path.value
    words = path.split(".")
    long = len(words) > _MOST_NAMES
    if long or not _PATH.fullmatch(path) or any(map(keyword.iskeyword, words)):
        message = "this is no path of a Python class or function"
        note = "the emitted file imports the module and reads the last name from it"
        hint = 'write it as in `extern "torch.nn.Hardtanh"()`'
        raise failure(Code.WRONG_TYPE, message, node.path.span, "no path", note, hint)
    positional, named = _arguments(reader, node, arguments)
    _check_flat(node)
    names = frozenset(_unknown(reader, node.takes or ()))
    inner = replace(reader, names={**reader.names, **{name: Size.name(name) for name in names}})
    _check_names(inner, (*(node.takes or ()), *(node.gives or ())))
    takes = None if node.takes is None else tuple(_shape(inner, each) for each in node.takes)
    gives = None if node.gives is None else tuple(_shape(inner, each) for each in node.gives)
    _check_results(node, takes, gives)
    return Extern(path, node.function is not None, positional, named, takes, gives, names)


_SLIPS = {
    "unnamed": ("so they do in Python", "name it, too"),
    "repeated": ("an argument has one value", "leave one of the two out"),
}
"""Note and hint; an `extern` takes any number of arguments, of any name."""


def _arguments(
    reader: Reader, node: tree.Extern, arguments: Sequence[Typed]
) -> tuple[tuple[Number, ...], dict[str, Number]]:
    positional: list[Number] = []
    named: dict[str, Number] = {}

    def wrong(slip: Slip[Typed]) -> None:
        name = slip.argument.name
        span = slip.argument.span if name is None else name.span
        raise _wrong(slip.message, span, slip.label, *_SLIPS[slip.kind])

    for argument in arguments:
        if argument.name is None and node.function is not None:
            message, label = "the arguments of a function are given by name", "without a name"
            note = "a function is called with the values first"
            raise _wrong(message, argument.span, label, note, "name it: `dim = -1`")
        if argument.name is not None and keyword.iskeyword(argument.name.text):
            message = f"`{argument.name.text}` is a word of Python"
            note, hint = "no argument has such a name", "write the name in Python"
            raise _wrong(message, argument.name.span, "not a name", note, hint)
    for name, argument in matched(node.path.value, arguments, None, None, wrong):
        number = reader.typing.number(argument)
        if name is None:
            positional.append(number)
        else:
            named[name] = number
    return tuple(positional), named


def _wrong(message: str, span: Span, label: str, note: str, hint: str) -> Failed:
    return failure(Code.WRONG_ARGUMENT, message, span, label, note, hint)


def _check_flat(node: tree.Extern) -> None:
    """TN207 for shapes within a shape."""
    for written in (*(node.takes or ()), *(node.gives or ())):
        for leg in written.legs:
            if not isinstance(leg, tree.TupleOf):
                continue
            message, label = "a shape within a shape", "an axis is expected here"
            if node.gives and written in node.gives:
                note = "several results are listed without parentheses around all of them"
                hint = "write them one after the other: `-> (..., d), (..., d)`"
            else:
                note = "each input is one value: none is a tuple"
                hint = "list the values one by one, `((..., d), (..., d)) -> …`, and call a "
                hint += "Python function of your own, which makes the tuple"
            raise failure(Code.MISPLACED, message, leg.span, label, note, hint)


def _knows(reader: Reader, name: str) -> bool:
    return name in reader.names or name in reader.variables or name in CONSTANTS


def _unknown(reader: Reader, shapes: Iterable[tree.TypedShape]) -> Iterable[str]:
    """The bare names that the block does not declare."""
    for shape in shapes:
        for leg in shape.legs:
            if isinstance(leg, tree.Reference) and not _knows(reader, leg.name.text):
                yield leg.name.text


def _check_names(reader: Reader, shapes: Iterable[tree.TypedShape]) -> None:
    """TN201 for a name in a leg that neither the block nor `takes` has."""
    for used in values_used(*(leg for shape in shapes for leg in shape.legs)):
        name = used.name.text
        if _knows(reader, name):
            continue
        message, label = f"there is no size `{name}`", "unknown name"
        note = "legs have sizes of the block, and names that stand alone in what is taken"
        hint = f"write what it takes, with `{name}` alone as a leg: `(…) ((..., {name})) -> …`"
        raise failure(Code.UNKNOWN_NAME, message, used.name.span, label, note, hint)


def _shape(reader: Reader, written: tree.TypedShape) -> TypedShape:
    dots = bool(written.legs) and isinstance(written.legs[0], tree.Dots)
    legs = written.legs[dots:]
    kind: Kind = "float"
    if written.kind is not None:
        kind = KIND_NAMED[written.kind.text]
    shape = Shape(tuple([reader.leg(leg) for leg in legs]), dots)
    return TypedShape(shape, kind, written.span, tuple(leg.span for leg in legs))


def _check_results(
    node: tree.Extern,
    takes: tuple[TypedShape, ...] | None,
    gives: tuple[TypedShape, ...] | None,
) -> None:
    """TN208 where nothing says what comes out, TN405 for a `...` that nothing brings in."""
    if takes == () and gives is None:
        message = "nothing says what comes out: there is no argument that it could be like"
        note = "without `gives` the result is like the first argument"
        hint = "write what it gives: `() -> (8, 8)`"
        raise _wrong(message, node.path.span, "its result is not known", note, hint)
    if takes is None or gives is None or any(each.shape.dots for each in takes):
        return
    for each in gives:
        if each.shape.dots:
            message = "no argument has the `...` of this result"
            note = "`...` is the same leading axes in what it takes and in what it gives"
            hint = "write `...` among the legs of an argument"
            there = Label(node.path.span, "none of what it takes has `...`")
            code = Code.BATCH_MISSING
            raise failure(code, message, each.span, "`...` of nothing", note, hint, there)
