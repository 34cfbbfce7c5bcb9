"""The choice of a plan by measurement: the most promising programs run on this machine, in turn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING

from tncompile.language.diagnostics.errors import InternalError
from tncompile.lowering import TensorProgram
from tncompile.machine.host import machine_text
from tncompile.planning.batch_ranges import BRANCHES, BatchRange, batch_ranges
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.search_space import SearchSpace
from tncompile.planning.selection import assemble, explained, predicted_ranges, within_limit
from tncompile.planning.tolerances import ALIKE, HOPELESS
from tncompile.simulation.modes import Mode
from tncompile.tuning.results import Trial, Tried, Tuning
from tncompile.tuning.timing import disagreeing, folded, random_inputs, running, time_in_turn

if TYPE_CHECKING:
    from torch import nn

CONTENDERS = 6
"""The most programs that are measured for one mode and batch size."""

SLOWEST = 3.0
"""Programs predicted to take longer than this multiple of the best are not measured."""

PER_TREE = 3
"""The most programs of one contraction tree that are measured for one mode and batch size."""

FEW = 8
"""The rows that results are compared on; a program in chunks runs two chunks instead."""


def tune(
    space: SearchSpace,
    build: Callable[[TensorProgram], nn.Module],
    modes: Sequence[Mode],
    seconds: float,
    progress: Progress | None = None,
) -> Tuning:
    """Measure the most promising programs in these modes, and plan by the results.

    Modes that are not measured are planned by prediction. `seconds` is about what the timing may
    take; a disturbed measurement is repeated once, and where that was disturbed as well, the result
    says that the machine is `busy`. `build` makes a module that runs one program in every mode; all
    have equal parameters. Raises `InternalError` where two programs of one network compute
    different values.
    """
    # The same space with the first of all scheduled trees that come to equal programs, so that what
    # was measured for a program counts wherever it is considered.
    evaluator = space.evaluator
    first: dict[tuple[object, ...], ScheduledTree] = {}

    def distinct(options: Sequence[ScheduledTree]) -> tuple[ScheduledTree, ...]:
        representatives = []
        for option in options:
            program = evaluator.program(option)
            operations = tuple(step.operation for step in program.steps)
            key = operations, tuple(program.values.values()), program.loop
            representatives.append(first.setdefault(key, option))
        return tuple(dict.fromkeys(representatives))

    modules: dict[object, nn.Module] = {}

    def module_of(option: ScheduledTree) -> nn.Module:
        if option.key not in modules:
            modules[option.key] = build(evaluator.program(option))
        return modules[option.key]

    space = replace(space, options={at: distinct(equal) for at, equal in space.options.items()})
    trial_list = [(mode, size) for mode in modes for size in space.request.batches]
    budget = seconds / len(trial_list)
    trials: list[Trial] = []
    for place, (mode, size) in enumerate(trial_list):
        report = _share(progress, place, len(trial_list))
        trials.append(_measure(space, module_of, mode, size, budget, report))
    busy = next((trial.doubtful for trial in trials if trial.doubtful), None)
    return Tuning(_decide(space, modes, trials), tuple(trials), busy)


def _share(progress: Progress | None, place: int, count: int) -> Progress:
    """A callback that reports one part of the whole."""
    if progress is None:
        return lambda done, total: None
    return lambda done, total: progress(place * total + done, count * total)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _measure(
    space: SearchSpace,
    module_of: Callable[[ScheduledTree], nn.Module],
    mode: Mode,
    size: int,
    budget: float,
    report: Progress,
) -> Trial:
    """Measure the contenders in one mode at one batch size."""
    evaluator = space.evaluator
    network, device = evaluator.network, evaluator.profile.device
    contenders = _contenders(space, mode, size)
    contending: list[nn.Module] = []
    for done, option in enumerate(contenders):
        report(done, 2 * len(contenders))
        contending.append(module_of(option))
    rows = max(option.schedule.chunk_rows for option in contenders)
    few = evaluator.at(min(size, rows + 1 if rows else FEW))
    wrong = disagreeing(contending, random_inputs(network, few, device), mode)
    if wrong is not None:
        raise InternalError(f"{contenders[wrong]} computes something else than {contenders[0]}")
    if mode == "folded":
        contending = [folded(module) for module in contending]
    inputs = random_inputs(network, evaluator.at(size), device)
    actions = [running(module, inputs, mode) for module in contending]
    for _ in range(2):  # once more where something else ran on the machine
        timings = time_in_turn(actions, budget, hopeless=HOPELESS)
        tried = (
            Tried(option, evaluator.evaluate(option, size, mode).seconds, timing)
            for option, timing in zip(contenders, timings, strict=True)
        )
        trial = Trial(mode, size, tuple(tried))
        if not trial.doubtful:
            break
    report(1, 1)
    for module in contending:
        module.zero_grad(set_to_none=True)
    return trial


def _contenders(space: SearchSpace, mode: Mode, size: int) -> list[ScheduledTree]:
    """What is worth measuring, the most promising first."""
    evaluator = space.evaluator
    fitting = within_limit(space, size, mode)
    predicted = [evaluator.evaluate(option, size, mode) for option in fitting]
    predicted.sort(key=lambda prediction: prediction.seconds)
    chosen: list[ScheduledTree] = []
    for prediction in predicted:
        option = prediction.option
        several_chunks = size > option.schedule.chunk_rows or evaluator.leading is None
        of_tree = sum(option.number == other.number for other in chosen)
        near = prediction.seconds <= SLOWEST * predicted[0].seconds
        if near and several_chunks and of_tree < PER_TREE:
            chosen.append(option)
        if len(chosen) == CONTENDERS:
            break
    return chosen or [predicted[0].option]


# ── deciding ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Clock:
    """Seconds in one mode: measured, or predicted and corrected by what was measured."""

    space: SearchSpace
    mode: Mode
    measured: dict[tuple[object, int], Tried] = field(default_factory=dict)

    def price(self, option: ScheduledTree, size: int) -> float:
        """Seconds at a batch size; infinite beyond the memory limit."""
        if (tried := self.measured.get((option.key, size))) is not None:
            return tried.timing.seconds
        request = self.space.request
        predicted = self.space.evaluator.evaluate(option, size, self.mode)
        limit = request.memory_limit
        if size in request.batches and limit is not None and predicted.peak > limit:
            return math.inf
        # Corrected by the mean of measured over predicted, of `option` or, unmeasured, of the mode.
        mine = [tried for (key, _), tried in self.measured.items() if key == option.key]
        ratios = (
            max(tried.timing.seconds, 1e-9) / max(tried.predicted, 1e-9)
            for tried in mine or self.measured.values()
        )
        return predicted.seconds * math.exp(fmean(map(math.log, ratios)))

    def choosing(self, option: ScheduledTree, size: int) -> float:
        """The same for the choice: at a measured size only the fastest counts."""
        if size in self.space.request.batches and not self.is_fastest(option, size):
            return math.inf
        return self.price(option, size)

    def is_fastest(self, option: ScheduledTree, size: int) -> bool:
        """Whether it was measured at a size, and nothing was measured to be faster."""
        mine = self.measured.get((option.key, size))
        here = (tried.timing.seconds for (_, at), tried in self.measured.items() if at == size)
        return mine is not None and mine.timing.seconds <= min(here)

    def source(self, option: ScheduledTree, size: int) -> str:
        """Where the seconds of `price` come from."""
        return "measured" if (option.key, size) in self.measured else "estimated"


def _decide(space: SearchSpace, modes: Sequence[Mode], trials: Sequence[Trial]) -> ContractionPlan:
    """The plan that the measurements speak for."""
    request, evaluator = space.request, space.evaluator
    clocks = {mode: _Clock(space, mode) for mode in modes}
    for trial in trials:
        for tried in trial.tried:
            clocks[trial.mode].measured[tried.option.key, trial.batch] = tried
    by_mode: dict[Mode, tuple[BatchRange, ...]] = {}
    for mode in request.modes:
        if (clock := clocks.get(mode)) is None:
            by_mode[mode] = predicted_ranges(space, mode)
        else:
            winners, most = list(_winners(space, clock)), max(BRANCHES, len(request.batches))
            batches = frozenset(request.batches)
            by_mode[mode] = batch_ranges(winners, batches, clock.choosing, most)

    def reason(mode: Mode, here: BatchRange, neighbor: BatchRange | None) -> str:
        def predicted(option: ScheduledTree, size: int) -> float:
            return evaluator.evaluate(option, size, mode).seconds

        if mode not in clocks:
            return explained(space, here, neighbor, predicted)
        return explained(space, here, neighbor, clocks[mode].price, clocks[mode].source)

    main, middle = request.modes[0], request.middle
    unchunked = [option for option in space.options[main, middle] if not option.schedule.chunk_rows]
    if main in clocks:
        whole = min(unchunked, key=lambda option: clocks[main].price(option, middle))
    else:
        whole = evaluator.best(unchunked, middle, main, request.minimize).option
    return assemble(space, by_mode, whole, reason, machine_text(evaluator.profile.device))


def _winners(space: SearchSpace, clock: _Clock) -> Iterator[tuple[int, ScheduledTree]]:
    """The fastest at each size of the grid; where nothing was measured, the leanest of these."""
    for size in space.grid:
        options = space.options[clock.mode, size]
        if size in space.request.batches:
            fastest = [option for option in options if clock.is_fastest(option, size)]
        else:
            prices = [(option, clock.price(option, size)) for option in options]
            limit = ALIKE * min(price for _, price in prices)
            fastest = [option for option, price in prices if price <= limit]
        evaluate = space.evaluator.evaluate
        yield size, min(fastest, key=lambda option: evaluate(option, size, clock.mode).peak)
