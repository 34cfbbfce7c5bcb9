"""Python values in the language: what stands for an int, a float, a bool or a list of ints."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Sequence

from tncompile.language.diagnostics.collector import with_article
from tncompile.language.evaluating.arithmetic import LARGEST_LIST, is_whole
from tncompile.language.resolved import Value, value_text

_LONGEST_QUOTE = 60
_MOST_QUOTED = 16
_PLAIN = (int, float, bool, str)


def language_value(value: object) -> Value | str:
    """A Python value in the language; the name of its type where the language has none for it.

    >>> language_value([4, 8]), language_value(True), language_value("four")
    ((4, 8), True, 'str')
    """
    if _is_bool(value):
        return bool(value)
    items = _items(value)
    if items is not None:
        return _list(items)
    number = _int(value)
    if number is not None:
        return number
    real = _float(value)
    return type(value).__name__ if real is None else real


def _is_bool(value: object) -> bool:
    """Whether it is a bool, numpy's included."""
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")


def _int(value: object) -> int | None:
    """The integer that an object stands for: an int, or an integer of numpy or torch."""
    if type(value) is int:
        return value
    if not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # arrays of several items have the method and refuse it
        return None


def _items(value: object) -> Sequence[object] | None:
    """The items of a sequence or an array; None of anything else.

    Arrays are no sequences for Python, yet turn into lists, all but those without an axis.
    """
    if isinstance(value, Sequence):
        return None if isinstance(value, str | bytes | bytearray) else value
    to_list = getattr(value, "tolist", None)
    if not callable(to_list) or getattr(value, "ndim", 1) == 0:
        return None
    listed = to_list()
    return listed if isinstance(listed, list) else None


def _list(items: Sequence[object]) -> Value | str:
    if len(items) > LARGEST_LIST:
        return f"list of {len(items)} items"
    integers: list[int] = []
    for item in items:
        number = None if _is_bool(item) else _int(item)
        if number is None:
            return f"list whose item {len(integers)} is {_item_text(item)}"
        integers.append(number)
    return tuple(integers)


def _item_text(item: object) -> str:
    """What an item of a list is that is no int."""
    if _is_bool(item):
        return f"`{value_text(bool(item))}`"
    number = _float(item)
    return with_article(type(item).__name__) if number is None else f"`{value_text(number)}`"


def _float(value: object) -> float | None:
    """The float that a real number stands for; a fraction too large for one is infinite."""
    if not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def suggested_item(value: object) -> str | None:
    """What to write for the first item of a list that is a whole number, yet no int."""
    items = _items(value)
    if items is None or len(items) > LARGEST_LIST:
        return None
    for k, item in enumerate(items):
        if not _is_bool(item) and _int(item) is None:
            number = _float(item)
            return f"write `{int(number)}` for item {k}" if is_whole(number) else None
    return None


def quoted(value: object, converted: Value | str) -> str:
    """How a Python value is quoted: as `converted` to the language where it has one."""
    if not isinstance(converted, str):
        return shortened(value_text(converted, most=16))
    items = value if isinstance(value, list | tuple) and len(value) <= _MOST_QUOTED else (None,)
    if isinstance(value, str) or all(type(item) in _PLAIN for item in items):
        return shortened(repr(value))
    return f"<{type(value).__name__}>"


def shortened(text: str) -> str:
    """The text on one line, cut after 60 characters."""
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"
