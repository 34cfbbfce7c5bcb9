"""Equal ids of a batch, contracted once: where that is predicted to pay.

How many ids of a batch differ is known when it comes, so a plan says from which share on it pays,
and for which sizes finding out costs next to nothing. So no distribution of ids is assumed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tncompile.lowering.stacking.grouping import LONG
from tncompile.machine.profile import CPU
from tncompile.network.features import is_table
from tncompile.planning.batch_ranges import BatchRange
from tncompile.planning.search_space import SearchSpace
from tncompile.planning.wording import MODE_TEXT, seconds_text
from tncompile.program.variants import Repeats
from tncompile.simulation.lookups import lookup_seconds
from tncompile.simulation.modes import Mode

SORTING = 4e-8
"""Seconds an id of `torch.unique(ids, return_inverse=True)`: 15 to 40 ns from 1,024 ids on."""

TRIED = 0.08
"""The part of a run that sorting the ids may take: what is lost where all of them differ."""

WORTH = 0.85
"""The part of the time that is left where contracting equal ids once pays."""

PARTS = 8
"""Shares of distinct ids are tried in such parts, …"""

LEAST = 4
"""… so many at least: where it pays for fewer different ones alone, sorting is mostly in vain."""

WIDE = 4
"""It pays in a range of sizes whose largest is so many times the smallest, or nowhere."""


Seconds = Callable[[int], float]
"""What a plan takes at a batch size."""


def repeats(space: SearchSpace, mode: Mode, ranges: Sequence[BatchRange]) -> Repeats | None:
    """At which sizes of a mode equal ids are contracted once, given what runs at which; or None.

    Not on other devices than CPUs: there the host would wait for how many ids there are, and the
    kernels of a sort take as long as a contraction. Nor where memory is limited, as the rows of
    distinct ids and all rows are held at once.
    """
    request, evaluator = space.request, space.evaluator
    wanted = request.minimize == "time" and request.memory_limit is None
    if mode == "folded" or not wanted or request.profile.device != CPU:
        return None
    if not is_table(evaluator.network) or len(ranges[0].option.tree.steps) > LONG:
        return None

    def seconds(size: int) -> float:
        """What the plan takes at a batch size."""
        fitting = (r.option for r in ranges if r.up_to is None or size <= r.up_to)
        return evaluator.evaluate(next(fitting), size, mode).seconds

    largest = max(space.grid)
    sizes = [2**power for power in range(6, largest.bit_length())]
    sizes += [] if sizes and sizes[-1] == largest else [largest]
    found: list[tuple[int, int]] = []  # a size and its share, of neighboring sizes up to some
    for size in sizes:
        if share := _share(space, mode, size, seconds):
            found.append((size, share))
        elif found:
            break
    if not found or found[-1][0] < WIDE * found[0][0]:
        return None
    (first, _), (last, _) = found[0], found[-1]
    share = min(parts for _, parts in found)
    distinct = last * share // PARTS
    once = _once(space, mode, last, distinct, seconds)
    reason = (
        f"equal ids once, {MODE_TEXT[mode]}: predicted {seconds_text(once)} at B = {last:,} where"
        f" {distinct:,} differ (all of them: {seconds_text(seconds(last))})"
    )
    up_to = None if last == sizes[-1] else last
    return Repeats(mode == "training", first - 1, up_to, share / PARTS, reason)


def _once(space: SearchSpace, mode: Mode, size: int, distinct: int, seconds: Seconds) -> float:
    """Seconds of finding the distinct ids of a batch, contracting these, and looking rows up."""
    evaluator = space.evaluator
    row = tuple(axis.length or 1 for axis in evaluator.network.output.axes[1:])
    training = mode == "training"
    rows = lookup_seconds(evaluator.profile, size, (distinct, *row), training=training)
    return SORTING * size + seconds(distinct) + rows


def _share(space: SearchSpace, mode: Mode, size: int, seconds: Seconds) -> int:
    """The largest part of distinct ids, in `PARTS`, with which it pays at a batch size; or 0."""
    whole = seconds(size)
    if SORTING * size > TRIED * whole:
        return 0
    for parts in reversed(range(LEAST, PARTS)):
        distinct = size * parts // PARTS
        if _once(space, mode, size, distinct, seconds) <= WORTH * whole:
            return parts
    return 0
