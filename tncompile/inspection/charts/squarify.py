"""Rectangles as large as weights, as square as they can be.

Squarified tree maps (Bruls, Huizing and van Wijk, "Squarified Treemaps", 2000): the largest go into
a row along the shorter side, as long as that makes the worst of them more square.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from tncompile.inspection.drawing.scene import Box


def squarified(weights: Sequence[float], box: Box) -> list[Box]:
    """A box for each weight, with an area in proportion, that together fill a box.

    Weights are positive, in any order; the largest are at the upper left.

    >>> [round(each.width * each.height, 6) for each in squarified([1, 3], Box(50, 50, 100, 100))]
    [2500.0, 7500.0]
    """
    largest = max(weights, default=0.0)
    order = sorted(range(len(weights)), key=lambda k: (-weights[k], k))
    shares = [weights[k] / largest for k in order]  # sums of them are floats
    found: list[Box | None] = [None] * len(weights)
    left, top, right, bottom = box.left, box.top, box.right, box.bottom
    start = 0
    while start < len(order):
        rest = fsum(shares[start:])
        wide, tall = max(right - left, 0.0), max(bottom - top, 0.0)
        short = min(wide, tall)
        if not rest or not short:  # so small that no float is left for them
            for k in order[start:]:
                found[k] = Box(right - wide / 2, bottom - tall / 2, 0.0, 0.0)
            break
        stop = _row(shares, start, short, wide * tall / rest)
        part = fsum(shares[start:stop])
        last = stop == len(order)
        thick = (wide if wide >= tall else tall) * (1.0 if last else part / rest)
        at = top if wide >= tall else left
        for place in range(start, stop):
            long = short * shares[place] / part
            if wide >= tall:
                found[order[place]] = Box(left + thick / 2, at + long / 2, thick, long)
            else:
                found[order[place]] = Box(at + long / 2, top + thick / 2, long, thick)
            at += long
        if wide >= tall:
            left += thick
        else:
            top += thick
        start = stop
    return [each for each in found if each is not None]


def _row(shares: Sequence[float], start: int, short: float, scale: float) -> int:
    """Where the row that begins with a weight ends: its worst one gets no more square."""
    total, worst = 0.0, float("inf")
    for stop in range(start, len(shares)):
        longer = total + shares[stop]
        thick = longer * scale / short
        if thick <= 0:
            return len(shares)
        sides = [short * shares[k] / longer for k in (start, stop)]
        ratio = max(max(side / thick, thick / side) if side else float("inf") for side in sides)
        if ratio > worst:
            return stop
        total, worst = longer, ratio
    return len(shares)
