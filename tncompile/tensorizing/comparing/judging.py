"""The lines of a verdict put together, and what is required asked of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import called
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.comparing.distances import columns, statistics
from tncompile.tensorizing.comparing.lines import Line, failure, judged
from tncompile.tensorizing.comparing.requirements import SCORE, Kind, Requirement
from tncompile.tensorizing.comparing.resampling import interval, ordered, resampled_sums
from tncompile.tensorizing.comparing.running import Gathered, Pair, copied, gathered
from tncompile.tensorizing.comparing.scoring import Score, scored, shown_samples
from tncompile.tensorizing.comparing.sizes import SECONDS, flops_line, size_lines, time_line
from tncompile.tensorizing.comparing.verdict import Verdict
from tncompile.tensorizing.comparing.weights import weight_lines


def judgment(
    pair: Pair,
    sets: Sequence[tuple[str, Iterable[object]]],
    kind: Kind | None,
    scores: Mapping[str, Score],
    required: Sequence[Requirement],
    *,
    samples: Score | None,
    moments: Moments | None,
    networks: Mapping[str, str],
    strict: bool,
    seconds: float | None,
    step: Callable[[], None],
) -> Verdict:
    """What `compare` returns, all arguments checked."""
    with pair.undisturbed():
        found: list[Gathered] = []
        for name, data in sets:
            found.append(gathered(pair, data, kind, name, step))
            kind = found[0].kind
        assert kind is not None
        problems = [problem for each in found for problem in each.problems]
        lines: list[Line] = []
        for place, each in enumerate(found):
            lines += _distances(each, pair, "second" if place else "")
        lines += [scored(name, score, pair) for name, score in scores.items()]
        lines += size_lines(pair.original, pair.changed)
        runs = _runs(pair, found[0].first)
        counted, words = flops_line(runs)
        lines.append(counted)
        remarks = [*words]
        if seconds is not None:
            timed, words = time_line(runs, SECONDS if seconds is True else seconds, _device(pair))
            lines.append(timed)
            remarks += words
        layers, others = weight_lines(pair.original, pair.changed, moments, networks)
        shown = () if samples is None else shown_samples(samples, pair)
    problems += _without_numbers(lines)
    done = []
    for line in lines:
        wanted = next((each for each in required if each.measured == line.name), None)
        if wanted is not None:
            line = judged(line, wanted, strict=strict)
            if not line.passed:
                problems.append(failure(line, wanted, strict=strict))
        done.append(line)
    return Verdict(
        accepted=not problems,
        kind=kind,
        lines=tuple(done),
        layers=layers,
        problems=tuple(problems),
        remarks=(*others, *remarks),
        samples=shown,
        counts=tuple(len(each.table) for each in found),
        strict=strict,
    )


def _distances(found: Gathered, pair: Pair, data: str) -> Iterator[Line]:
    """A line for each statistic of a data set."""
    labeled = pair.labels is not None
    names = columns(found.kind, labeled=labeled)
    table = ordered(found.table)
    whole = dict(zip(names, table.sum(0), strict=True))
    drawn = None
    if len(table) > 1:
        drawn = dict(zip(names, resampled_sums(table, pair.seed).unbind(1), strict=True))
    for each in statistics(found.kind, labeled=labeled):
        within = None if drawn is None else interval(each.value(drawn))
        low, high = within or (None, None)
        before, after = (None if f is None else float(f(whole)) for f in each.of_each)
        yield Line(each.name, float(each.value(whole)), low, high, before, after, data)


def _without_numbers(lines: Iterable[Line]) -> Iterator[str]:
    """Scores that are no numbers, in words; outputs have theirs by batches."""
    for line in lines:
        pair = (("original", line.original), ("changed model", line.changed))
        for which, value in pair if line.name.startswith(SCORE) else ():
            if value is not None and not math.isfinite(value):
                yield f"{line.name} of the {which} is not finite"


def _runs(pair: Pair, batch: object) -> tuple[Callable[[], object], Callable[[], object]]:
    """A run of each model on a batch."""

    def run(model: nn.Module, own: object) -> object:
        return called(model, own) if pair.output is None else pair.output(model, own)

    found = [partial(run, model, copied(batch)) for _, model in pair.each()]
    return found[0], found[1]


def _device(pair: Pair) -> torch.device:
    """Where the changed model computes."""
    first = next(iter(pair.changed.parameters()), None)
    return torch.device("cpu") if first is None else first.device
