"""The choice of a plan by measurement: the most promising ways run on this machine, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

from tncompile.language.diagnostics.diagnostic import InternalError
from tncompile.lowering import TensorProgram
from tncompile.machine.host import machine_text
from tncompile.notebook import as_html
from tncompile.planning.batch_ranges import BRANCHES, Range, ranges
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.report.wording import percent_text, seconds_text, way_text
from tncompile.planning.search_space import SearchSpace
from tncompile.planning.selection import allowed, assemble, explained, predicted_ranges
from tncompile.simulation.modes import Mode
from tncompile.tuning.timing import (
    Timing,
    disagreeing,
    disturbance,
    folded,
    random_inputs,
    running,
    time_in_turn,
)

if TYPE_CHECKING:
    from torch import nn

CONTENDERS = 6
"""How many programs are measured for each mode and batch size, …"""

SLOWEST = 3.0
"""… of those that are predicted to take up to this many times the best."""

KIN = 3
"""How many of them may be of one tree."""

HOPELESS = 1.1
"""Whose every reading is so many times the median of the fastest is not run any further."""

FEW = 8
"""Rows that programs are compared on; where parts of a batch run in turn, two parts."""

ALIKE = 1.02
"""Times this near each other count as equal, where only one of them was measured or none."""

Build = Callable[[TensorProgram], "nn.Module"]
"""A module that runs one program in every mode; all have equal parameters."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, repr=False)
class Tried:
    """A way that was measured, and what was predicted."""

    way: ScheduledTree
    predicted: float
    timing: Timing

    def __repr__(self) -> str:
        took = f"{seconds_text(self.timing.seconds)} ± {percent_text(self.timing.spread / 2)}"
        return f"Tried({way_text(self.way.names, self.way.schedule)}: {took})"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured in one mode at one batch size, in the order of the predictions."""

    mode: Mode
    batch: int
    tried: tuple[Tried, ...]

    @property
    def fastest(self) -> Tried:
        """The one that took the least time."""
        return min(self.tried, key=lambda one: one.timing.seconds)

    @property
    def doubtful(self) -> str | None:
        """Why the times say little, where something else ran on the machine."""
        share = fmean(one.timing.share for one in self.tried)
        return disturbance(share, self.fastest.timing.spread)


@dataclass(frozen=True, slots=True, repr=False)
class Tuning:
    """A plan that was measured, and the measurements; it prints as a table.

    `busy` says why the times decide nothing, where something else ran on the machine.
    """

    plan: ContractionPlan
    trials: tuple[Trial, ...]
    busy: str | None = None

    def chosen(self, trial: Trial) -> Tried:
        """What the plan runs of what was measured in one trial."""
        held = self.plan.variant(trial.batch, trial.mode)
        return next(
            one
            for one in trial.tried
            if one.way.tree == held.tree and one.way.schedule == held.schedule
        )

    def to_dict(self) -> dict[str, object]:
        """All figures, ready for JSON; times are in seconds."""
        return {
            "target": self.plan.target,
            "tuned": self.plan.tuned,
            "busy": self.busy,
            "trials": [
                {
                    "mode": trial.mode,
                    "batch": trial.batch,
                    "tried": [
                        {
                            "way": way_text(one.way.names, one.way.schedule),
                            "predicted": one.predicted,
                            "measured": one.timing.seconds,
                            "quartiles": [one.timing.low, one.timing.high],
                            "spread": one.timing.spread,
                            "readings": one.timing.readings,
                            "share": one.timing.share,
                            "chosen": one is self.chosen(trial),
                        }
                        for one in trial.tried
                    ],
                }
                for trial in self.trials
            ],
        }

    def __repr__(self) -> str:
        from tncompile.tuning.table import tuning_table

        return tuning_table(self)

    def _repr_html_(self) -> str:
        return as_html(repr(self))


def tune(
    surveyed: SearchSpace,
    build: Build,
    modes: Sequence[Mode],
    seconds: float,
    progress: Progress | None = None,
) -> Tuning:
    """Measure the most promising ways of these modes at the wanted sizes, and plan by the results.

    Modes that are not measured are planned by prediction. `seconds` is about what the timing may
    take; what was held up is measured once more, and where that was held up as well, the result
    says that the machine is `busy`. Raises `InternalError` where two programs of one network
    compute different values.
    """
    surveyed = _without_twins(surveyed)
    goal = surveyed.goal
    asked = [(mode, size) for mode in modes for size in goal.batches]
    modules: dict[tuple[object, ...], nn.Module] = {}
    trials: list[Trial] = []
    for place, (mode, size) in enumerate(asked):
        report = _share(progress, place, len(asked))
        trials.append(_try(surveyed, modules, build, mode, size, seconds / len(asked), report))
    busy = next((trial.doubtful for trial in trials if trial.doubtful), None)
    return Tuning(_decide(surveyed, tuple(modes), trials), tuple(trials), busy)


def _without_twins(surveyed: SearchSpace) -> SearchSpace:
    """The same field, of ways that come to equal programs the first one alone, at all sizes.

    So what was measured for one of them counts wherever the program is considered.
    """
    first: dict[tuple[object, ...], ScheduledTree] = {}
    ways = {
        place: tuple(
            dict.fromkeys(
                first.setdefault(_key(surveyed.assessor.program(way)), way) for way in found
            )
        )
        for place, found in surveyed.ways.items()
    }
    return replace(surveyed, ways=ways)


def _share(progress: Progress | None, place: int, count: int) -> Progress:
    """A callback that reports one part of the whole."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(place * total + done, count * total)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _try(
    surveyed: SearchSpace,
    modules: dict[tuple[object, ...], nn.Module],
    build: Build,
    mode: Mode,
    size: int,
    budget: float,
    report: Progress,
) -> Trial:
    """Measure the contenders of one mode at one size."""
    assessor = surveyed.assessor
    contenders = _contenders(surveyed, mode, size)
    inputs = random_inputs(assessor.network, assessor.at(size), assessor.profile.device)
    found: list[nn.Module] = []
    for done, way in enumerate(contenders):
        report(done, 2 * len(contenders))
        program = assessor.program(way)
        key = _key(program)
        if key not in modules:
            modules[key] = build(program)
        found.append(modules[key])
    rows = max(way.schedule.rows for way in contenders)
    few = assessor.at(min(size, rows + 1 if rows else FEW))
    wrong = disagreeing(found, random_inputs(assessor.network, few, assessor.profile.device), mode)
    if wrong is not None:
        one, other = (way_text(k.names, k.schedule) for k in (contenders[0], contenders[wrong]))
        raise InternalError(f"{other} computes something else than {one}")
    if mode == "folded":
        found = [folded(module) for module in found]
    actions = [running(module, inputs, mode) for module in found]

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
    for module in found:
        module.zero_grad(set_to_none=True)
    return trial


def _contenders(surveyed: SearchSpace, mode: Mode, size: int) -> list[ScheduledTree]:
    """The ways worth measuring, the most promising first."""
    assessor = surveyed.assessor
    found = [assessor.assess(way, size, mode) for way in allowed(surveyed, size, mode)]
    found.sort(key=lambda one: one.seconds)
    chosen: list[ScheduledTree] = []
    for one in found:
        turns = size > one.way.schedule.rows or assessor.leading is None
        kin = sum(way.number == one.way.number for way in chosen)
        if one.seconds <= SLOWEST * found[0].seconds and turns and kin < KIN:
            chosen.append(one.way)
        if len(chosen) == CONTENDERS:
            break
    return chosen or [found[0].way]


def _key(program: TensorProgram) -> tuple[object, ...]:
    """Equal for programs that do the same."""
    operations = tuple(step.operation for step in program.steps)
    return operations, tuple(program.values.values()), program.loop


# ── deciding ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Clock:
    """What ways take in one mode: measured, or predicted and corrected by what was measured."""

    surveyed: SearchSpace
    mode: Mode
    measured: dict[tuple[object, int], Tried] = field(default_factory=dict)

    def price(self, way: ScheduledTree, size: int) -> float:
        """Seconds at a batch size."""
        found = self.measured.get((way.key, size))
        if found is not None:
            return found.timing.seconds
        goal = self.surveyed.goal
        assessed = self.surveyed.assessor.assess(way, size, self.mode)
        limit = goal.memory_limit
        if size in goal.batches and limit is not None and assessed.peak > limit:
            return math.inf
        return assessed.seconds * self._correction(way)

    def choosing(self, way: ScheduledTree, size: int) -> float:
        """The same for the choice: at sizes that were measured nothing counts that was slower."""
        if size in self.surveyed.goal.batches and not self.among_best(way, size):
            return math.inf
        return self.price(way, size)

    def among_best(self, way: ScheduledTree, size: int) -> bool:
        """Whether no way was measured to be faster there."""
        found = self.measured.get((way.key, size))
        here = (one.timing.seconds for (_, other), one in self.measured.items() if other == size)
        return found is not None and found.timing.seconds <= min(here)

    def how(self, way: ScheduledTree, size: int) -> str:
        """Where the seconds of `price` come from."""
        return "measured" if (way.key, size) in self.measured else "estimated"

    def _correction(self, way: ScheduledTree) -> float:
        """How much slower than predicted a way is, or all ways of the mode are, on average."""
        ours = [one for (key, _), one in self.measured.items() if key == way.key]
        return math.exp(
            fmean(
                math.log(max(one.timing.seconds, 1e-9) / max(one.predicted, 1e-9))
                for one in ours or self.measured.values()
            )
        )


def _decide(
    surveyed: SearchSpace, modes: tuple[Mode, ...], trials: Sequence[Trial]
) -> ContractionPlan:
    """The plan that the measurements speak for."""
    goal = surveyed.goal
    clocks = {mode: _Clock(surveyed, mode) for mode in modes}
    for trial in trials:
        for one in trial.tried:
            clocks[trial.mode].measured[one.way.key, trial.batch] = one
    held: dict[Mode, tuple[Range, ...]] = {}
    for mode in goal.modes:
        if mode in clocks:
            held[mode] = ranges(
                list(_winners(surveyed, clocks[mode])),
                frozenset(goal.batches),
                clocks[mode].choosing,
                max(BRANCHES, len(goal.batches)),
            )
        else:
            held[mode] = predicted_ranges(surveyed, mode)

    def reason(mode: Mode, one: Range, other: Range | None) -> str:
        def predicted(way: ScheduledTree, size: int) -> float:
            return surveyed.assessor.assess(way, size, mode).seconds

        if mode not in clocks:
            return explained(surveyed, one, other, predicted)
        return explained(surveyed, one, other, clocks[mode].price, clocks[mode].how)

    main = goal.modes[0]
    straight = [way for way in surveyed.ways[main, goal.middle] if not way.schedule.rows]
    if main in clocks:
        whole = min(straight, key=lambda way: clocks[main].price(way, goal.middle))
    else:
        whole = surveyed.assessor.best(straight, goal.middle, main, goal.minimize).way
    where = machine_text(surveyed.assessor.profile.device)
    return assemble(surveyed, held, whole, reason, where)


def _winners(surveyed: SearchSpace, clock: _Clock) -> Iterator[tuple[int, ScheduledTree]]:
    """The fastest way at each size of the grid; where nothing was measured, the leanest of them."""
    for size in surveyed.grid:
        ways = list(surveyed.ways[clock.mode, size])
        if size in surveyed.goal.batches:
            near = [way for way in ways if clock.among_best(way, size)]
        else:
            found = [(clock.price(way, size), way) for way in ways]
            least = min(price for price, _ in found)
            near = [way for price, way in found if price <= ALIKE * least]
        assess = surveyed.assessor.assess
        yield size, min(near, key=lambda way: assess(way, size, clock.mode).peak)
