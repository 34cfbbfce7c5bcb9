"""Schedules that take less memory: smaller chunks of the batch, chunks recomputed in backward."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from tncompile.lowering.lower import loop_index
from tncompile.planning.evaluation import Evaluation, Evaluator, ScheduledTree
from tncompile.simulation.modes import Mode

SLOWER = 4 / 3
"""What recomputing the forward pass costs: a training step is three forward passes long."""

TREES = 6
"""How many trees are tried in smaller chunks, half of them the fastest, half the leanest."""


def leaner_options(
    evaluator: Evaluator, options: Iterable[ScheduledTree], size: int, mode: Mode, limit: int
) -> tuple[ScheduledTree, ...]:
    """Options in smaller chunks, unless one of `options` keeps to the limit and is not much slower.

    Chunks are halved down to one row; in training they are tried with recomputation, too. `limit`
    is in bytes, at the batch size `size`.
    """
    evaluations = [evaluator.evaluate(option, size, mode) for option in options]
    least = min(e.seconds for e in evaluations)
    fits = any(e.peak <= limit and e.seconds <= SLOWER * least for e in evaluations)
    if fits or loop_index(evaluator.network) is None:
        return ()
    leaner: dict[ScheduledTree, None] = {}
    fastest = math.inf
    for base in _bases(evaluations):
        for recompute in (False, True) if mode == "training" else (False,):
            option = replace(base, schedule=replace(base.schedule, recompute=recompute))
            for evaluation in _halved(evaluator, option, size, mode, fastest):
                leaner.setdefault(evaluation.option)
                if evaluation.peak <= limit:
                    fastest = min(fastest, evaluation.seconds)
    return tuple(leaner)


def _bases(evaluations: Sequence[Evaluation]) -> list[ScheduledTree]:
    """Of a few trees the layouts worth trying: the fastest at once, in chunks, and the leanest."""
    by_time = sorted(evaluations, key=lambda e: e.seconds)
    by_peak = sorted(evaluations, key=lambda e: (e.peak, e.seconds))
    numbers: set[int] = set()
    for order in (by_time, by_peak):
        numbers.update(list(dict.fromkeys(e.option.number for e in order))[: TREES // 2])
    bases: dict[tuple[int, str], ScheduledTree] = {}
    for kind, order in (("time", by_time), ("peak", by_peak)):
        for option in (e.option for e in order if e.option.number in numbers):
            chunked = option.schedule.rows and kind == "time"
            bases.setdefault((option.number, "chunks" if chunked else kind), option)
    return list(dict.fromkeys(bases.values()))


def _halved(
    evaluator: Evaluator, base: ScheduledTree, size: int, mode: Mode, fastest: float
) -> Iterator[Evaluation]:
    """An option in smaller and smaller chunks, until they only get slower than `fastest`.

    `fastest` is the time of what keeps to the limit already. Halving a chunk mostly takes more
    time; at first it may take less, since the intermediates of a smaller one stay in the cache.
    """
    before = math.inf
    rows = 1 << (size - 1).bit_length()
    while rows > 1:
        rows //= 2
        option = replace(base, schedule=replace(base.schedule, rows=rows))
        evaluation = evaluator.evaluate(option, size, mode)
        yield evaluation
        if evaluation.seconds > before and evaluation.seconds > fastest:
            return
        before = evaluation.seconds
