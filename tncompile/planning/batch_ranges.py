"""Which way runs in which range of batch sizes: winners merged, the slight ones dropped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from tncompile.planning.evaluation import CLEARLY, ScheduledTree

SLIGHT = 1.1
"""A way that is less than this much faster than its neighbor on all its sizes is not worth it;
at sizes that were asked for it is enough if it is clearly faster."""

BRANCHES = 4
"""The most ways of one mode."""

FINE = 16
"""Thresholds are found to one part in this many: predictions are no better."""

Price = Callable[[ScheduledTree, int], float]
"""What a way takes at a batch size; infinite where it must not be taken."""


@dataclass(frozen=True, slots=True)
class Range:
    """A way, the planned batch sizes it is for, and the largest size of all (None: no end)."""

    way: ScheduledTree
    batches: tuple[int, ...]
    up_to: int | None = None


def ranges(
    winners: Sequence[tuple[int, ScheduledTree]],
    asked: frozenset[int],
    price: Price,
    most: int = BRANCHES,
) -> tuple[Range, ...]:
    """Few ranges, `most` at most, from the best way at each size, by ascending size.

    At the sizes that were `asked` for only ways of nearly the best price are taken, if there is
    room for them; one of infinite price never is while there is a range for each of these sizes.
    """
    held = _merged([Range(way, (size,)) for size, way in winners])
    limits = {
        size: price(way, size) * (CLEARLY if size in asked else SLIGHT) for size, way in winners
    }
    while len(held) > 1:
        losses = [
            (_loss(held[place], held[other].way, limits, price), place, other)
            for place in range(len(held))
            for other in (place - 1, place + 1)
            if 0 <= other < len(held)
        ]
        loss, place, other = min(losses)
        if loss > 1 and len(held) <= most:
            break
        held[place] = replace(held[place], way=held[other].way)
        held = _merged(held)
    return tuple(
        replace(one, up_to=_threshold(one, following, price) if following else None)
        for one, following in zip(held, [*held[1:], None], strict=True)
    )


def _merged(held: Sequence[Range]) -> list[Range]:
    """Neighbors of one way as one."""
    kept: list[Range] = []
    for one in held:
        if kept and kept[-1].way.key == one.way.key:
            kept[-1] = replace(kept[-1], batches=(*kept[-1].batches, *one.batches))
        else:
            kept.append(one)
    return kept


def _loss(held: Range, way: ScheduledTree, limits: Mapping[int, float], price: Price) -> float:
    """How far beyond its limits a range would be, run another way; up to 1: not at all."""
    return max(price(way, size) / (limits[size] or 1.0) for size in held.batches)


def _threshold(left: Range, right: Range, price: Price) -> int:
    """The last size at which the left of two neighboring ways is not the slower one."""
    low, high = left.batches[-1], right.batches[0]
    while high - low > max(1, low // FINE):
        middle = (low + high) // 2
        if price(right.way, middle) < price(left.way, middle):
            high = middle
        else:
            low = middle
    return low
