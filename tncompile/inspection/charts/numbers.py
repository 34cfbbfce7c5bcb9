"""Numbers of charts: which can be shown, how they read at ticks and in titles."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

ZEROS = re.compile(r"(\.\d*?)0+(?!\d)")
"""Zeros at the end of a number with a point."""


def finite(value: object, what: str) -> float:
    """A number as one that can be shown.

    Raises TypeError for what is no number, ValueError for infinities and what is no finite float.

    >>> finite(float("inf"), "the weight")
    Traceback (most recent call last):
    ValueError: the weight is inf, not a finite number
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} is a number, not {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{what} is too large for a chart: above 1e308") from None
    if not math.isfinite(number):
        raise ValueError(f"{what} is {number}, not a finite number")
    return number


def amount(value: object, what: str) -> float:
    """A finite number that is not negative. Raises as `finite` does.

    >>> amount(-1, "the weight")
    Traceback (most recent call last):
    ValueError: the weight is -1, below zero
    """
    number = finite(value, what)
    if number < 0:
        raise ValueError(f"{what} is {value}, below zero")
    return number


def total_of(values: Iterable[float], what: str) -> float:
    """A sum without rounding on the way. Raises ValueError where it is no float any more.

    >>> total_of([1e16, 1.0, -1e16], "the sum")
    1.0
    """
    try:
        return finite(math.fsum(values), what)
    except OverflowError:
        raise ValueError(f"{what} is too large for a chart: above 1e308") from None


def words(value: object, what: str) -> str:
    """A text. Raises TypeError for anything else."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is text, not {value!r}")
    return value


def number_text(value: float) -> str:
    """A number in four significant digits; whole ones in full while short.

    >>> number_text(12345), number_text(0.123456), number_text(2e300)
    ('12,345', '0.1235', '2e300')
    """
    if abs(value) < 1e6 and value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}".replace("e+", "e")


def exact(value: float) -> str:
    """All digits of a number.

    >>> exact(16777216), exact(0.1), exact(3.0)
    ('16,777,216', '0.1', '3')
    """
    if abs(value) < 1e15 and value == int(value):
        return f"{int(value):,}"
    return repr(value if isinstance(value, int) else float(value))


@dataclass(frozen=True)
class Axis:
    """What a chart measures: its name, how its numbers read, whether it is logarithmic.

    name      above the axis, or below it: "predicted time"
    log       whether equal factors are equally long; what is not positive is then left out
    text      how a number reads at ticks and in labels, `seconds_text` for example
    unit      of exact numbers, in titles: "s"
    binary    whether ticks are at powers of two, for bytes
    """

    name: str = ""
    log: bool = False
    text: Callable[[Any], str] = number_text
    unit: str = ""
    binary: bool = False

    def __post_init__(self) -> None:
        words(self.name, "the name of an axis")
        words(self.unit, "the unit of an axis")

    def short(self, value: float) -> str:
        """A number in a label; zeros at the end left out.

        >>> from tncompile.planning.wording import bytes_text
        >>> Axis(text=bytes_text).short(4 * 2**20)
        '4 MiB'
        """
        return ZEROS.sub(lambda found: found[1].rstrip("."), self._text(value))

    def said(self, value: float) -> str:
        """A number in a title: as it reads, then all of its digits where those say more.

        >>> from tncompile.planning.wording import seconds_text
        >>> Axis(text=seconds_text, unit="s").said(0.00049712)
        '497 µs (0.00049712 s)'
        >>> Axis().said(64)
        '64'
        """
        text, full = self._text(value), f"{exact(value)} {self.unit}".strip()
        return full if text == full else f"{text} ({full})"

    def _text(self, value: float) -> str:
        return str(self.text(int(value) if value == int(value) else value))
