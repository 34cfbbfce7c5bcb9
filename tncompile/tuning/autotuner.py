"""The choice of a plan by measurement: the most promising programs run on this machine, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

from tncompile.language.diagnostics.diagnostic import InternalError
from tncompile.lowering import TensorProgram
from tncompile.machine.host import machine_text
from tncompile.planning.batch_ranges import BRANCHES, Range, ranges
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.report.wording import way_text
from tncompile.planning.search_space import SearchSpace
from tncompile.planning.selection import allowed, assemble, explained, predicted_ranges
from tncompile.simulation.modes import Mode
from tncompile.tuning.results import Trial, Tried, Tuning
from tncompile.tuning.timing import (
    disagreeing,
    folded,
    random_inputs,
    running,
    time_in_turn,
)

if TYPE_CHECKING:
    from torch import nn

CONTENDERS = 6
"""The most programs that are measured for one mode and batch size."""

SLOWEST = 3.0
"""Programs predicted to take longer than this multiple of the best are not measured."""

PER_TREE = 3
"""The most programs of one contraction tree that are measured for one mode and batch size."""

HOPELESS = 1.1
"""Stop timing a program once its best reading exceeds this multiple of the fastest median."""

FEW = 8
"""The rows that results are compared on; a program in chunks runs two chunks instead."""

ALIKE = 1.02
"""Times within this factor count as equal where at most one of them was measured."""

Build = Callable[[TensorProgram], "nn.Module"]
"""A module that runs one program in every mode; all have equal parameters."""


def tune(
    space: SearchSpace,
    build: Build,
    modes: Sequence[Mode],
    seconds: float,
    progress: Progress | None = None,
) -> Tuning:
    """Measure the most promising programs in these modes, and plan by the results.

    Modes that are not measured are planned by prediction. `seconds` is about what the timing may
    take; a disturbed measurement is repeated once, and where that was disturbed as well, the result
    says that the machine is `busy`. Raises `InternalError` where two programs of one network
    compute different values.
    """
    space = _without_equal_programs(space)
    trial_list = [(mode, size) for mode in modes for size in space.goal.batches]
    modules: dict[tuple[object, ...], nn.Module] = {}
    trials: list[Trial] = []
    for place, (mode, size) in enumerate(trial_list):
        report = _share(progress, place, len(trial_list))
        budget = seconds / len(trial_list)
        trials.append(_measure(space, modules, build, mode, size, budget, report))
    busy = next((trial.doubtful for trial in trials if trial.doubtful), None)
    return Tuning(_decide(space, tuple(modes), trials), tuple(trials), busy)


def _without_equal_programs(space: SearchSpace) -> SearchSpace:
    """The same space with the first of all scheduled trees that come to equal programs.

    So what was measured for a program counts wherever it is considered.
    """
    first: dict[tuple[object, ...], ScheduledTree] = {}
    ways = {
        place: tuple(
            dict.fromkeys(first.setdefault(_key(space.assessor.program(way)), way) for way in equal)
        )
        for place, equal in space.ways.items()
    }
    return replace(space, ways=ways)


def _share(progress: Progress | None, place: int, count: int) -> Progress:
    """A callback that reports one part of the whole."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(place * total + done, count * total)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _measure(
    space: SearchSpace,
    modules: dict[tuple[object, ...], nn.Module],
    build: Build,
    mode: Mode,
    size: int,
    budget: float,
    report: Progress,
) -> Trial:
    """Measure the contenders in one mode at one batch size."""
    assessor = space.assessor
    network, device = assessor.network, assessor.profile.device
    contenders = _contenders(space, mode, size)
    contending: list[nn.Module] = []
    for done, way in enumerate(contenders):
        report(done, 2 * len(contenders))
        program = assessor.program(way)
        key = _key(program)
        if key not in modules:
            modules[key] = build(program)
        contending.append(modules[key])
    rows = max(way.schedule.rows for way in contenders)
    few = assessor.at(min(size, rows + 1 if rows else FEW))
    wrong = disagreeing(contending, random_inputs(network, few, device), mode)
    if wrong is not None:
        first, other = (way_text(k.names, k.schedule) for k in (contenders[0], contenders[wrong]))
        raise InternalError(f"{other} computes something else than {first}")
    if mode == "folded":
        contending = [folded(module) for module in contending]
    inputs = random_inputs(network, assessor.at(size), device)
    actions = [running(module, inputs, mode) for module in contending]

    def measured() -> Trial:
        timings = time_in_turn(actions, budget, hopeless=HOPELESS)
        tried = (
            Tried(way, assessor.assess(way, size, mode).seconds, timing)
            for way, timing in zip(contenders, timings, strict=True)
        )
        return Trial(mode, size, tuple(tried))

    trial = measured()
    if trial.doubtful:
        trial = measured()
    report(1, 1)
    for module in contending:
        module.zero_grad(set_to_none=True)
    return trial


def _contenders(space: SearchSpace, mode: Mode, size: int) -> list[ScheduledTree]:
    """What is worth measuring, the most promising first."""
    assessor = space.assessor
    predicted = [assessor.assess(way, size, mode) for way in allowed(space, size, mode)]
    predicted.sort(key=lambda prediction: prediction.seconds)
    chosen: list[ScheduledTree] = []
    for prediction in predicted:
        way = prediction.way
        several_chunks = size > way.schedule.rows or assessor.leading is None
        of_tree = sum(way.number == other.number for other in chosen)
        near = prediction.seconds <= SLOWEST * predicted[0].seconds
        if near and several_chunks and of_tree < PER_TREE:
            chosen.append(way)
        if len(chosen) == CONTENDERS:
            break
    return chosen or [predicted[0].way]


def _key(program: TensorProgram) -> tuple[object, ...]:
    """Equal for programs that do the same."""
    operations = tuple(step.operation for step in program.steps)
    return operations, tuple(program.values.values()), program.loop


# ── deciding ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Clock:
    """Seconds in one mode: measured, or predicted and corrected by what was measured."""

    space: SearchSpace
    mode: Mode
    measured: dict[tuple[object, int], Tried] = field(default_factory=dict)

    def price(self, way: ScheduledTree, size: int) -> float:
        """Seconds at a batch size; infinite beyond the memory limit."""
        if (tried := self.measured.get((way.key, size))) is not None:
            return tried.timing.seconds
        goal = self.space.goal
        predicted = self.space.assessor.assess(way, size, self.mode)
        limit = goal.memory_limit
        if size in goal.batches and limit is not None and predicted.peak > limit:
            return math.inf
        return predicted.seconds * self._correction(way)

    def choosing(self, way: ScheduledTree, size: int) -> float:
        """The same for the choice: at a measured size only the fastest counts."""
        if size in self.space.goal.batches and not self.is_fastest(way, size):
            return math.inf
        return self.price(way, size)

    def is_fastest(self, way: ScheduledTree, size: int) -> bool:
        """Whether it was measured at a size, and nothing was measured to be faster."""
        mine = self.measured.get((way.key, size))
        here = (tried.timing.seconds for (_, at), tried in self.measured.items() if at == size)
        return mine is not None and mine.timing.seconds <= min(here)

    def source(self, way: ScheduledTree, size: int) -> str:
        """Where the seconds of `price` come from."""
        return "measured" if (way.key, size) in self.measured else "estimated"

    def _correction(self, way: ScheduledTree) -> float:
        """The mean of measured over predicted seconds, of `way` or, unmeasured, of the mode."""
        mine = [tried for (key, _), tried in self.measured.items() if key == way.key]
        return math.exp(
            fmean(
                math.log(max(tried.timing.seconds, 1e-9) / max(tried.predicted, 1e-9))
                for tried in mine or self.measured.values()
            )
        )


def _decide(
    space: SearchSpace, modes: tuple[Mode, ...], trials: Sequence[Trial]
) -> ContractionPlan:
    """The plan that the measurements speak for."""
    goal, assessor = space.goal, space.assessor
    clocks = {mode: _Clock(space, mode) for mode in modes}
    for trial in trials:
        for tried in trial.tried:
            clocks[trial.mode].measured[tried.way.key, trial.batch] = tried
    by_mode: dict[Mode, tuple[Range, ...]] = {}
    for mode in goal.modes:
        if mode in clocks:
            by_mode[mode] = ranges(
                list(_winners(space, clocks[mode])),
                frozenset(goal.batches),
                clocks[mode].choosing,
                max(BRANCHES, len(goal.batches)),
            )
        else:
            by_mode[mode] = predicted_ranges(space, mode)

    def reason(mode: Mode, here: Range, neighbor: Range | None) -> str:
        def predicted(way: ScheduledTree, size: int) -> float:
            return assessor.assess(way, size, mode).seconds

        if mode not in clocks:
            return explained(space, here, neighbor, predicted)
        return explained(space, here, neighbor, clocks[mode].price, clocks[mode].source)

    main = goal.modes[0]
    unchunked = [way for way in space.ways[main, goal.middle] if not way.schedule.rows]
    if main in clocks:
        whole = min(unchunked, key=lambda way: clocks[main].price(way, goal.middle))
    else:
        whole = assessor.best(unchunked, goal.middle, main, goal.minimize).way
    return assemble(space, by_mode, whole, reason, machine_text(assessor.profile.device))


def _winners(space: SearchSpace, clock: _Clock) -> Iterator[tuple[int, ScheduledTree]]:
    """The fastest at each size of the grid; where nothing was measured, the leanest of these."""
    for size in space.grid:
        ways = space.ways[clock.mode, size]
        if size in space.goal.batches:
            fastest = [way for way in ways if clock.is_fastest(way, size)]
        else:
            prices = [clock.price(way, size) for way in ways]
            limit = ALIKE * min(prices)
            fastest = [way for way, price in zip(ways, prices, strict=True) if price <= limit]
        assess = space.assessor.assess
        yield size, min(fastest, key=lambda way: assess(way, size, clock.mode).peak)
