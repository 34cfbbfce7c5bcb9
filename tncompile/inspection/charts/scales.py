"""Scales: from numbers to px, and the ticks for which there is room."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tncompile.inspection.charts.numbers import Axis

MOST = sys.float_info.max
TICKS = 30
"""The most ticks that are tried."""

NICE = (1, 2, 5)
STRIDES = (1, 2, 3, 5, 10, 20, 50, 100, 200)
"""Of decades, or of powers of two."""


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, logarithms of them where `log`, to px from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a number in px.

        >>> Scale(0, 3, 0, 300, log=True).at(100)
        200.0
        """
        level = math.log10(value) if self.log else value
        # Halves, for the difference of two floats may be none.
        share = (level / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.start + (self.end - self.start) * share

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest number."""
        if not self.log:
            return self.low, self.high
        return _power(self.low), _power(self.high)


def scale_for(
    values: Sequence[float],
    axis: Axis,
    start: float,
    end: float,
    *,
    zero: bool | None = None,
    margin: float = 0.0,
) -> Scale:
    """The scale for some numbers, at least one; `margin` is the share of its length beyond them.

    A linear one begins at zero where `zero`, and if that is None where zero is near the least.
    """
    low, high = min(values), max(values)
    if axis.log:
        low, high = math.log10(low), math.log10(high)
        aside = margin * (high - low) if high > low else 0.3
        return Scale(low - aside, high + aside, start, end, log=True)
    if zero or (zero is None and 0 <= low < 0.4 * high):
        low = 0.0
    equal = high / 2 - low / 2 < max(1e-290, 1e-13 * max(abs(low / 2), abs(high / 2)))
    if max(abs(low), abs(high)) > MOST / 16:  # floats have no room for a margin
        low, high = sorted((low, low / 2)) if equal else (low, high)
        aside = margin * (end - start)
        return Scale(low, high, start + aside, end - aside)
    aside = (max(0.1 * abs(high), 1e-280) if high else 1.0) if equal else margin * (high - low)
    return Scale(low if low == 0 else low - aside, high + aside, start, end)


def ticks(
    scale: Scale, axis: Axis, whole: bool, fits: Callable[[list[tuple[float, str]]], bool]
) -> list[tuple[float, str]]:
    """Numbers and how they read: the most for which there is room.

    `whole` numbers have none between two of them.

    >>> ticks(Scale(0, 10, 0, 100), Axis(), True, lambda found: len(found) < 5)
    [(0.0, '0'), (5.0, '5'), (10.0, '10')]
    """
    candidates = list(_log_values(scale, axis) if scale.log else _values(*scale.ends, axis, whole))
    if scale.log and not any(len(each) > 1 for each in candidates):
        candidates += list(_values(*scale.ends, axis, whole))
    for values in candidates:
        found = [(value, axis.short(value)) for value in values]
        texts = {text for _, text in found}
        if len(found) > 1 and len(texts) == len(found) and fits(found):
            return found
    for values in candidates:  # one is better than none
        found = [(value, axis.short(value)) for value in values]
        if len(found) == 1 and fits(found):
            return found
    return []


def _power(exponent: float) -> float:
    if exponent > 308:
        return MOST if exponent >= 308.25 else math.pow(10, exponent)
    return math.pow(10, exponent)


def _values(low: float, high: float, axis: Axis, whole: bool) -> Iterator[list[float]]:
    """Multiples of 1, 2, 5 times a power of ten, or of a power of two; many first."""
    half = high / 2 - low / 2
    if half / TICKS < sys.float_info.min:
        return
    if axis.binary:
        first = math.floor(math.log2(half / TICKS)) + 1
        steps = [(1, e, math.ldexp(1.0, e)) for e in range(first, min(first + 8, 1024))]
    else:
        first = math.floor(math.log10(half / TICKS))
        steps = [(m, e, float(f"{m}e{e}")) for e in range(first, first + 4) for m in NICE]
    for factor, exponent, step in steps:
        if (whole and step < 1) or not sys.float_info.min < step < MOST:
            continue
        start, stop = math.ceil(low / step), math.floor(high / step)
        if not 0 <= stop - start <= TICKS or max(abs(start), abs(stop)) > 1e12:
            continue
        if axis.binary:
            yield [k * step for k in range(start, stop + 1)]
        else:
            yield [float(f"{k * factor}e{exponent}") for k in range(start, stop + 1)]


def _log_values(scale: Scale, axis: Axis) -> Iterator[list[float]]:
    """Powers of ten with their multiples, powers of ten, some of those; or powers of two."""
    low, high = scale.low - 1e-9, scale.high + 1e-9
    if axis.binary:
        base = math.log10(2)
        first, last = math.ceil(low / base), math.floor(high / base)
        for stride in STRIDES:
            chosen = [k for k in range(first, last + 1) if k % stride == 0 and -1074 <= k < 1024]
            if len(chosen) <= TICKS:
                yield [math.ldexp(1.0, k) for k in chosen]
        return
    first, last = math.floor(low), math.floor(high)
    if last - first <= TICKS // 3:
        every = [float(f"{m}e{e}") for e in range(first, last + 1) for m in NICE]
        yield [each for each in every if each > 0 and low <= math.log10(each) <= high]
    for stride in STRIDES:
        chosen = [e for e in range(math.ceil(low), last + 1) if e % stride == 0]
        if len(chosen) <= TICKS:
            found = [float(f"1e{e}") for e in chosen]
            yield [each for each in found if 0 < each <= MOST]
