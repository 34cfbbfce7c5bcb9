"""How a stack is taken apart for those who read it: in as few views as possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

Reader = tuple[int, int]
"""The unit that reads a member of a stack, and on which side."""

AT_MOST = 8
"""Readers that may take turns."""

MOST = 12
"""Segments that a stack is taken apart into; slices are read where there would be more."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Members `start` to `stop` of a stack, which `period` readers take by turns.

    With a period of 0 each of them is read by itself.
    """

    start: int
    stop: int
    period: int

    @property
    def length(self) -> int:
        """How many members it has."""
        return self.stop - self.start

    @property
    def lengths(self) -> tuple[int, ...]:
        """The same, where readers take turns: how many turns, and of how many."""
        if self.period <= 1:
            return (self.length,)
        return self.length // self.period, self.period


def split_stack(readers: Sequence[Reader], single: Sequence[bool]) -> tuple[Segment, ...] | None:
    """The segments that make up a stack; None where a reader's members lie in several of them.

    None also where they are more than `MOST`. `single` says of each member whether its reader reads
    no other.
    """
    segments: list[Segment] = []
    start = 0
    while start < len(readers):
        if single[start]:
            together = (k for k in range(start, len(single)) if not single[k])
            segments.append(Segment(start, next(together, len(single)), 0))
        else:
            segments.append(_turns(readers, single, start))
        start = segments[-1].stop
    counts = Counter(
        reader
        for segment in segments
        for reader in set(readers[segment.start : segment.stop])
        if not single[segment.start]
    )
    several = any(count > 1 for count in counts.values())
    return None if several or len(segments) > MOST else tuple(segments)


def _turns(readers: Sequence[Reader], single: Sequence[bool], start: int) -> Segment:
    """The longest segment from here in which readers take turns, or one member."""
    ahead = range(1, min(AT_MOST, len(readers) - start - 1) + 1)
    period = next((k for k in ahead if readers[start + k] == readers[start]), 1)
    cycle = list(readers[start : start + period])
    if len(set(cycle)) < period or any(single[start : start + period]):
        return Segment(start, start + 1, 1)
    stop = start + period
    while list(readers[stop : stop + period]) == cycle:
        stop += period
    if stop == start + period > start + 1:
        return Segment(start, start + 1, 1)
    return Segment(start, stop, period)
