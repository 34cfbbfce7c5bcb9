"""`x[..., 0..t, *, 3]`: entries of a value, one place for each axis."""

from __future__ import annotations

from collections.abc import Callable

from tncompile.language.diagnostics.collector import counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.operations import Entries, Select
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Misfit, Typed, Typing, limited_sizes
from tncompile.language.typing.values import Shape, Tuple, Value, term_text

_ZERO = Size.number(0)


def select(
    typing: Typing, value: Typed, node: tree.Item, evaluate: Callable[[tree.Expression], Typed]
) -> Value:
    """The entries of a value; `evaluate` gives the positions, which are numbers or sizes."""
    whole = typing.as_value(value)
    shape = whole.shape
    places = _places(whole, node)
    slots: list[Entries | Size] = [Entries()] * (len(shape.sizes) - len(places))
    with limited_sizes(node.span):
        for place, axis in zip(places, shape.sizes[len(slots) :], strict=True):
            slots.append(_slot(typing, whole, place, axis, evaluate))
        kept = tuple(
            _length(slot, axis)
            for slot, axis in zip(slots, shape.sizes, strict=True)
            if isinstance(slot, Entries)
        )
    spans = [node.span] * (len(slots) - len(places)) + [place.span for place in places]
    operation = Select(
        (whole,), slots=tuple(slots), places=tuple(spans), span=node.span, turns=typing.turns
    )
    return typing.value(operation, whole.kind, Shape(kept, shape.dots), constant=whole.constant)


def _places(value: Value, node: tree.Item) -> tuple[tree.Node, ...]:
    """What is written after `...`; TN605 at the first place where it does not fit the axes."""
    shape = value.shape
    places: tuple[tree.Node, ...] = node.subscripts
    dots = isinstance(places[0], tree.Dots)
    first, places = places[0].span, places[dots:]
    declared = Label(value.span, f"the value is {value.text}")
    note = "there is one place for each axis, after `...` if the value has it"
    count, due = len(places), len(shape.sizes)
    for place in places:
        if isinstance(place, tree.Dots):
            message, label = "`...` stands in front of all other places", "not here"
            hint = "write `*` for each axis before it"
            raise failure(Code.NO_SUCH_AXIS, message, place.span, label, note, hint, declared)
    if shape.dots and not dots:
        message = f"the places begin with `...`: the value is {shape}"
        label, hint = "`...` is missing", f"write `[..., {', '.join(['…'] * due)}]`"
    elif count > due or (count < due and not dots):
        message = f"{counted(count, 'place')} for {counted(due, 'axis').replace('axiss', 'axes')}"
        message += f": the value is {shape}"
        label = "the first place"
        hint = "write `*` for a whole axis" if count < due else "leave out a place"
    else:
        return places
    raise failure(Code.NO_SUCH_AXIS, message, first, label, note, hint, declared)


def _slot(
    typing: Typing,
    value: Value,
    place: tree.Node,
    axis: Size,
    evaluate: Callable[[tree.Expression], Typed],
) -> Entries | Size:
    """What is taken of an axis; TN601 where it is outside."""
    match place:
        case tree.Star():
            return Entries()
        case tree.Slice(first, last):
            start = _position(typing, evaluate(first))
            stop = _position(typing, evaluate(last))
            text = f"{start}..{stop}"
            typing.at_most(_ZERO, start, _outside(text, place.span, axis, value))
            typing.at_most(start, stop, _outside(text, place.span, axis, value))
            typing.at_most(stop, axis, _outside(text, place.span, axis, value))
            return Entries(start, stop)
        case _:
            assert isinstance(place, tree.Expression)
            at = _position(typing, evaluate(place))
            typing.at_most(_ZERO, at, _outside(str(at), place.span, axis, value))
            typing.at_most(at + 1, axis, _outside(str(at), place.span, axis, value))
            return at


def _outside(text: str, span: Span, axis: Size, value: Value) -> Misfit:
    declared = Label(value.span, f"the value is {value.text}")
    last = f"the last entry is `{axis - 1}`, " if axis.value != 0 else ""
    return Misfit(
        f"`{text}` is outside: the axis has {axis} entries in {value.shape}",
        span,
        f"the axis is {axis}",
        (declared,),
        note="positions are counted from 0, and `a..b` ends before b",
        hint=f"{last}the whole axis is `*`",
    )


def _length(entries: Entries, axis: Size) -> Size:
    if entries.start is None or entries.stop is None:
        return axis
    return entries.stop - entries.start


def _position(typing: Typing, argument: Typed) -> Size:
    """A position; TN607 for a value, TN305 for what is no integer."""
    term, span = argument.term, argument.span
    if isinstance(term, Size):
        return term
    if isinstance(term, int) and not isinstance(term, bool):
        return Size.number(term)
    if isinstance(term, Value | Tuple):
        message = f"a position is a number or a size, not {term_text(term)}"
        note = "which entries are taken is known before `forward` runs"
        hint = "look up rows by `take(table, ids)`, or entries by `gather(x, ids, dim)`"
        raise failure(Code.VALUE_FOR_NUMBER, message, span, "a value", note, hint)
    message = f"a position is an integer, not {term_text(term)}"
    note = "positions are counted from 0"
    hint = "write an integer, `a..b` or `*`"
    raise failure(Code.WRONG_TYPE, message, span, f"this is {term_text(term)}", note, hint)
