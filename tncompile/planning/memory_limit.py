"""Ways to run a network that take less memory: smaller parts of the batch, parts run again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tncompile.lowering.lower import loop_index
from tncompile.planning.evaluation import Evaluation, Evaluator, ScheduledTree
from tncompile.simulation.modes import Mode

SLOWER = 4 / 3
"""A step with a forward pass that is run again, against one without: it is as long as three."""

TREES = 6
"""How many trees are tried in smaller parts, half of them the fastest, half the leanest."""


def sparing(
    assessor: Evaluator, ways: Iterable[ScheduledTree], size: int, mode: Mode, limit: int
) -> tuple[ScheduledTree, ...]:
    """Ways in smaller parts, where of `ways` only much slower ones keep to the limit, or none do.

    Parts are halved down to one row, and in training run again by the backward pass as well,
    instead of having saved what they make. `limit` is in bytes, at the batch size `size`.
    """
    found = [assessor.assess(way, size, mode) for way in ways]
    least = min(one.seconds for one in found)
    fit = any(one.peak <= limit and one.seconds <= SLOWER * least for one in found)
    if fit or loop_index(assessor.network) is None:
        return ()
    made: dict[ScheduledTree, None] = {}
    fastest = math.inf
    for base in _bases(found):
        for recompute in (False, True) if mode == "training" else (False,):
            halved = replace(base.schedule, recompute=recompute)
            for one in _halved(assessor, replace(base, schedule=halved), size, mode, fastest):
                made.setdefault(one.way)
                if one.peak <= limit:
                    fastest = min(fastest, one.seconds)
    return tuple(made)


def _bases(found: list[Evaluation]) -> list[ScheduledTree]:
    """Of a few trees the layouts worth trying: the fastest at once, in parts, and the leanest."""
    by_time = sorted(found, key=lambda one: one.seconds)
    by_peak = sorted(found, key=lambda one: (one.peak, one.seconds))
    trees = [dict.fromkeys(one.way.number for one in order) for order in (by_time, by_peak)]
    numbers = {number for order in trees for number in list(order)[: TREES // 2]}
    kept: dict[tuple[int, str], ScheduledTree] = {}
    for kind, order in (("time", by_time), ("peak", by_peak)):
        for one in order:
            way = one.way
            if way.number in numbers:
                parts = "in parts" if way.schedule.rows and kind == "time" else kind
                kept.setdefault((way.number, parts), way)
    return list(dict.fromkeys(kept.values()))


def _halved(
    assessor: Evaluator, base: ScheduledTree, size: int, mode: Mode, fastest: float
) -> Iterator[Evaluation]:
    """A way in smaller and smaller parts, as long as one may keep to the limit in less time.

    `fastest` is the time of what keeps to it already. Halving a part mostly takes more time; at
    first it may take less, since what a smaller part makes stays in the cache.
    """
    before = math.inf
    rows = 1 << (size - 1).bit_length()
    while rows > 1:
        rows //= 2
        one = assessor.assess(replace(base, schedule=replace(base.schedule, rows=rows)), size, mode)
        yield one
        if one.seconds > before and one.seconds > fastest:
            return
        before = one.seconds
