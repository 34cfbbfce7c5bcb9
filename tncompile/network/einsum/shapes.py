"""Shapes as people have them: sizes in a tuple, a list or an array, or the tensor itself."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice
from numbers import Number
from typing import Protocol, SupportsIndex

from tncompile.language.resolved import LARGEST_SIZE
from tncompile.network.einsum.reading import DOTS, Equation, Term, counted


class HasShape(Protocol):
    """A tensor of torch, NumPy or another library: its shape counts, not its values."""

    @property
    def shape(self) -> Iterable[SupportsIndex | None]:
        """Its sizes, axis by axis."""


Shape = Iterable[SupportsIndex | None] | HasShape | complex
"""The sizes of an operand in order, None for a batch axis; a tensor; a number, without axes."""

MOST_AXES = 10_000
_MOST_SHOWN = 8

_WHOLE_OR_OBJECT = re.compile(r"(torch\.)?u?int\d+|object")


def with_sizes(equation: Equation, shapes: tuple[object, ...]) -> Equation:
    """The equation with the sizes of every operand, where a shape has them those of `...` too."""
    count = len(equation.operands)
    if len(shapes) != count:
        place = equation.operands[min(len(shapes), count - 1)].start
        message = f"{counted(count, 'operand')}, but {counted(len(shapes), 'shape')}"
        raise equation.error(message, place)
    triples = zip(range(1, count + 1), equation.operands, shapes, strict=True)
    operands = [replace(term, sizes=_sizes(equation, k, term, shape)) for k, term, shape in triples]
    return replace(equation, operands=tuple(operands))


def _sizes(equation: Equation, number: int, operand: Term, shape: object) -> tuple[int | None, ...]:
    """The sizes of one operand, as many as it has legs, those of `...` among them."""
    items, hint = _items(equation, number, operand, shape)
    listed = list(islice(items, MOST_AXES + 1))
    if len(listed) > MOST_AXES:
        message = f"the shape of operand {number} has more than {MOST_AXES:,} sizes{hint}"
        raise equation.error(message, operand.start)
    dotted = DOTS in operand.labels
    if len(listed) < operand.legs or (len(listed) > operand.legs and not dotted):
        message = f"operand {number} has {counted(operand.legs, 'leg')}{' and `...`' * dotted}, its"
        message += f" shape {_shown(listed)} has {counted(len(listed), 'size')}{hint}"
        raise equation.error(message, operand.start)
    places = [*operand.places]
    if dotted:  # `...` stands for several axes, or for none
        dots = operand.labels.index(DOTS)
        places[dots : dots + 1] = [places[dots]] * (len(listed) - operand.legs)
    return tuple(_size(equation, *pair) for pair in zip(listed, places, strict=True))


def _items(
    equation: Equation, number: int, operand: Term, shape: object
) -> tuple[Iterable[object], str]:
    """What a shape lists, and what to add where that is not as much as expected."""
    own = getattr(shape, "shape", None)
    if isinstance(own, Iterable):
        # One axis of integers or objects lists sizes, instead of having them.
        kind = str(getattr(shape, "dtype", ""))
        if len(list(islice(own, 2))) != 1 or not _WHOLE_OR_OBJECT.fullmatch(kind):
            return own, ""
    if own is not None and isinstance(shape, Iterable):
        return shape, ": an array of one axis of integers lists sizes, a tensor has a `.shape`"
    if isinstance(shape, Number) and not isinstance(shape, bool) and not operand.legs:
        return (), ""
    if isinstance(shape, str | bytes | set | frozenset | dict) or not isinstance(shape, Iterable):
        message = f"the shape of operand {number} is a tuple of sizes such as (2, 3), or a tensor"
        raise equation.error(f"{message} that has it, not {_quoted(shape)}", operand.start)
    return shape, ""


def _size(equation: Equation, item: object, place: int) -> int | None:
    if item is None:
        return None
    size = _whole(item)
    if size is None or size < 1:
        hint = "; values are not taken, give the shape" if isinstance(item, Iterable) else ""
        raise equation.error(f"{_quoted(item)} is no size: a positive integer or None{hint}", place)
    if size > LARGEST_SIZE:
        raise equation.error("a size is at most 2**40", place)
    return size


def _whole(item: object) -> int | None:
    """The integer that an object stands for: an int, or an integer of NumPy or torch."""
    if type(item).__name__ in ("bool", "bool_") or not hasattr(item, "__index__"):
        return None
    try:
        return operator.index(item)
    except TypeError:  # arrays of several items have the method and refuse it
        return None


def _shown(items: list[object]) -> str:
    """A shape in a message: its first sizes, never all of a long one."""
    shown = [_quoted(item) for item in items[:_MOST_SHOWN]]
    shown += ["…"] * (len(items) > _MOST_SHOWN)
    return f"({', '.join(shown)}{',' * (len(items) == 1)})"


def _quoted(item: object) -> str:
    """A value in a message: numbers and short texts as they are, else only its type."""
    whole = _whole(item)
    if whole is not None:
        return str(whole) if abs(whole) <= 10**18 else "a huge integer"
    short = isinstance(item, str) and len(item) <= 40
    plain = short or item is None or isinstance(item, bool | float)
    return repr(item) if plain else f"<{type(item).__name__}>"
