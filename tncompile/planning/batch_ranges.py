"""Which scheduled tree runs in which range of batch sizes: winners merged, slight gains dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.tolerances import CLEARLY, SLIGHT

BRANCHES = 4  # the most ranges of one mode
FINE = 16  # thresholds are located to one part in this many: predictions are no better

Price = Callable[[ScheduledTree, int], float]
"""What a scheduled tree takes at a batch size; infinite where it must not run."""


@dataclass(frozen=True, slots=True)
class BatchRange:
    """A scheduled tree, the planned batch sizes it is for, and the largest of all (None: any)."""

    option: ScheduledTree
    batches: tuple[int, ...]
    up_to: int | None = None


def batch_ranges(
    winners: Sequence[tuple[int, ScheduledTree]],
    requested: frozenset[int],
    price: Price,
    most: int = BRANCHES,
) -> tuple[BatchRange, ...]:
    """Few ranges, `most` at most, from the best scheduled tree at each size, by ascending size.

    A range is given to a neighbor whose price is within `SLIGHT` at all its sizes, `CLEARLY` at
    `requested` ones, and beyond that while there are too many ranges. What has an infinite price
    at a requested size only runs there if there are more requested sizes than ranges.
    """
    limits = {
        size: price(option, size) * (CLEARLY if size in requested else SLIGHT)
        for size, option in winners
    }
    ranges = _merged([BatchRange(option, (size,)) for size, option in winners])

    def loss(place: int, other: int) -> float:
        """How far the program of another range exceeds the limits of one; above 1 it does."""
        option = ranges[other].option
        return max(price(option, size) / (limits[size] or 1.0) for size in ranges[place].batches)

    while len(ranges) > 1:
        pairs = [(k, k + step) for k in range(len(ranges)) for step in (-1, 1)]
        inside = [(place, other) for place, other in pairs if 0 <= other < len(ranges)]
        least, place, other = min((loss(*pair), *pair) for pair in inside)
        if least > 1 and len(ranges) <= most:
            break
        ranges[place] = replace(ranges[place], option=ranges[other].option)
        ranges = _merged(ranges)
    return tuple(
        replace(batches, up_to=_threshold(batches, following, price) if following else None)
        for batches, following in zip(ranges, [*ranges[1:], None], strict=True)
    )


def _merged(ranges: Sequence[BatchRange]) -> list[BatchRange]:
    """Neighbors that run the same scheduled tree become one range."""
    alike = [list(group) for _, group in groupby(ranges, key=lambda each: each.option.key)]
    return [
        BatchRange(group[0].option, tuple(size for each in group for size in each.batches))
        for group in alike
    ]


def _threshold(left: BatchRange, right: BatchRange, price: Price) -> int:
    """The last size at which the left of two neighboring ranges is not slower."""
    low, high = left.batches[-1], right.batches[0]
    while high - low > max(1, low // FINE):
        middle = (low + high) // 2
        if price(right.option, middle) < price(left.option, middle):
            high = middle
        else:
            low = middle
    return low
