"""The scheduled trees that a plan is chosen from: trees, and schedules of the promising ones."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice, product

from tncompile.lowering.lower import loop_index
from tncompile.lowering.stacking.grouping import LONG
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.evaluation import Evaluation, Evaluator, ScheduledTree
from tncompile.planning.layouts.schedules import Scheduler
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.lookup_tables import TableSearch
from tncompile.planning.paths.optimizers import EFFORTS, Progress
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.paths.reordering import parameters_late
from tncompile.planning.request import SEARCHES, PlanRequest
from tncompile.simulation.modes import Mode

GRID = (1, 8, 64, 512, 4096)  # batch sizes for small networks beside the requested ones
ENDS = (1, 1024)  # the same for larger networks
SMALL = 14  # operands of networks planned for the whole grid, searched for its ends
LARGE = 128  # networks of more operands than this are planned for the requested sizes alone
PROMISING = 3  # trees tried with all schedules; one fewer by the easiest effort, if not small
SLOWEST = 4.0  # a promising tree takes at most so many times the best time, at once
CHUNK = 64  # rows whose time stands for a chunk of a larger batch, before chunks are really tried
SCHEDULES = 6  # how many schedules of a promising tree are tried, the cheapest first
RECOMPUTING = 4 / 3  # recomputing the forward pass: a training step is three of them long
HALVED = 6  # how many trees are tried in smaller chunks, half of them the fastest, half the leanest


@dataclass(frozen=True)
class SearchSpace:
    """All scheduled trees worth comparing, by mode and batch size in a fixed order.

    `easier` is what the next easier effort compares, all of which is here, too.
    """

    request: PlanRequest
    evaluator: Evaluator
    grid: tuple[int, ...]
    options: Mapping[tuple[Mode, int], tuple[ScheduledTree, ...]]
    easier: SearchSpace | None = None

    def price(self, option: ScheduledTree, size: int, mode: Mode) -> float:
        """The number that is minimized."""
        return self.evaluator.evaluate(option, size, mode).minimized(self.request.minimize)


def build_search_space(
    network: TensorNetwork, request: PlanRequest, progress: Progress | None = None
) -> SearchSpace:
    """Search trees, lower them, and find which schedules of which trees are worth comparing."""
    evaluator = Evaluator(network, dict(request.sizes), request.profile)
    grid = _grid(request, evaluator, len(operands(network)))
    trees = _trees(evaluator, request, grid, progress)
    scheduler = Scheduler(network, request.profile)
    space: SearchSpace | None = None
    for level, search in enumerate(SEARCHES[: EFFORTS[request.search].level + 1]):
        defaults = [
            ScheduledTree(tree.names, number, tree.tree)
            for number, tree in enumerate(trees)
            if tree.level <= level
        ]
        if defaults:
            easier = replace(request, search=search)
            space = _searched(evaluator, scheduler, easier, defaults, space)
    assert space is not None  # the easiest effort finds a tree
    return space


_latest: dict[tuple[TensorNetwork, PlanRequest], SearchSpace] = {}


def latest_search_space(
    network: TensorNetwork, request: PlanRequest, progress: Progress | None = None
) -> SearchSpace:
    """The same, the latest one remembered: who asks for a plan may ask what it was chosen from."""
    space = _latest.get((network, request))
    if space is None:
        space = build_search_space(network, request, progress)
        _latest.clear()
        _latest[network, request] = space
    return space


def _searched(
    evaluator: Evaluator,
    scheduler: Scheduler,
    request: PlanRequest,
    defaults: list[ScheduledTree],
    easier: SearchSpace | None,
) -> SearchSpace:
    """What an effort compares: all that the easier one does, and more of the promising trees."""
    count = len(defaults[0].tree.operands)
    grid = _grid(request, evaluator, count)
    searched = sorted({*request.batches, *([grid[0], grid[-1]] if count <= SMALL else [])})
    if count > SMALL and evaluator.leading is None:
        most = 1  # irregular networks, whose intermediates have many legs to put in order
    else:
        most = PROMISING - 1 if count > SMALL and easier is None else PROMISING
    tried: dict[Mode, list[ScheduledTree]] = {}
    for mode in request.modes:
        before = [easier.options[mode, size] for size in easier.grid] if easier else []
        more = _scheduled(evaluator, scheduler, request, defaults, searched, mode, most)
        tried[mode] = list(dict.fromkeys([*chain.from_iterable(before), *more]))
    if count <= SMALL:  # what is proposed for one mode may be the best for another
        everything = dict.fromkeys(option for options in tried.values() for option in options)
        tried = {mode: list(dict.fromkeys([*tried[mode], *everything])) for mode in request.modes}
    compared: dict[tuple[Mode, int], tuple[ScheduledTree, ...]] = {}
    for mode, size in product(request.modes, grid):
        requested, limit = size in request.batches, request.memory_limit
        options = tuple(dict.fromkeys([*(defaults if requested else ()), *tried[mode]]))
        if limit is not None and requested and mode != "folded":
            options += _leaner_options(evaluator, options, size, mode, limit)
        compared[mode, size] = options
    return SearchSpace(request, evaluator, grid, compared, easier)


def _scheduled(
    evaluator: Evaluator,
    scheduler: Scheduler,
    request: PlanRequest,
    defaults: list[ScheduledTree],
    sizes: list[int],
    mode: Mode,
    most: int,
) -> list[ScheduledTree]:
    """The trees that some schedule may make the best at some sizes, with schedules for them.

    They are fewer at sizes that nobody requested.
    """
    network = evaluator.network
    chunked = loop_index(network) is not None

    def price(option: ScheduledTree, size: int, minimize: str) -> float:
        """At once, or chunk by chunk: large intermediates alone say nothing against a tree.

        With windows it is that of the best layouts: images cost more to copy than to convolve.
        """
        whole = evaluator.evaluate(option, size, mode).minimized(minimize)
        if network.windows and option.tree.steps:
            layouts = scheduler.arranged(option.tree, evaluator.at(size), mode)
            best = replace(option, schedule=layouts)
            whole = min(whole, evaluator.evaluate(best, size, mode).minimized(minimize))
        if minimize != "time" or size <= CHUNK or not chunked:
            return whole
        return min(whole, evaluator.evaluate(option, CHUNK, mode).seconds * size / CHUNK)

    def least(option: ScheduledTree, size: int, minimize: str) -> float:
        """What the price is not below; it is looked up where layouts would be searched for it."""
        if minimize != "time" or not network.windows:
            return 0.0
        whole = scheduler.least_seconds(option.tree, evaluator.at(size), mode)
        if size <= CHUNK or not chunked:
            return whole
        chunk = scheduler.least_seconds(option.tree, evaluator.at(CHUNK), mode)
        return min(whole, chunk * size / CHUNK)

    def cheapest(size: int, minimize: str, count: int) -> list[tuple[float, int]]:
        """The prices of the cheapest trees and their numbers, ascending."""
        ranked: list[tuple[float, int]] = []
        few = len(defaults) <= count
        bounds = [0.0 if few else least(tree, size, minimize) for tree in defaults]
        for k in sorted(range(len(defaults)), key=bounds.__getitem__):
            if len(ranked) < count or bounds[k] <= ranked[-1][0]:
                insort(ranked, (price(defaults[k], size, minimize), k))
                del ranked[count:]
        return ranked

    scheduled: dict[ScheduledTree, None] = {}
    for size in sizes:
        promising: dict[ScheduledTree, None] = {}
        count = most if size in request.batches else PROMISING - 1
        for minimize in (request.minimize, *(["memory"] if request.memory_limit else [])):
            ranked = cheapest(size, minimize, count)
            limit = SLOWEST * ranked[0][0]
            promising.update((defaults[k], None) for tried, k in ranked if tried <= limit)
        for option in promising:
            scheduled.setdefault(option)
            if mode != "folded" or network.inputs:  # else nothing is left to run
                proposed = scheduler.proposals(option.tree, evaluator.at(size), mode)
                for schedule in islice(proposed, SCHEDULES):
                    scheduled.setdefault(replace(option, schedule=schedule))
    return list(scheduled)


def _grid(request: PlanRequest, evaluator: Evaluator, count: int) -> tuple[int, ...]:
    """The sizes to plan for: those requested, and some around them where that is affordable."""
    if evaluator.leading is None:
        return (request.middle,)
    if request.minimize != "time" or request.search == "fast" or count > LARGE:
        return request.batches
    return tuple(sorted({*request.batches, *(GRID if count <= SMALL else ENDS)}))


def _trees(
    evaluator: Evaluator, request: PlanRequest, grid: tuple[int, ...], progress: Progress | None
) -> tuple[Candidate, ...]:
    """Distinct trees: those for the middle size, and what small and large sizes add."""
    network, effort = evaluator.network, EFFORTS[request.search]
    leaves = operands(network)
    few = len(leaves) <= SMALL and request.search != "fast"
    around = sorted({*request.batches, grid[0], grid[-1]} - {request.middle}) if few else []
    sizes = (request.middle, *around)
    distinct: dict[ContractionTree, Candidate] = {}

    def report(done: int, total: int) -> None:
        if progress is not None:
            progress(place * total + done, len(sizes) * total)

    for place, size in enumerate(sizes):
        problem = contraction_problem(network, leaves, evaluator.at(size))
        for candidate in (
            *candidates(network, leaves, problem, effort, report),
            *TableSearch(network, leaves, evaluator.at(size)).candidates(effort),
        ):
            tree = candidate.tree
            if len(tree.steps) <= LONG:  # longer ones run level by level
                tree = parameters_late(network, tree)
            # The easiest effort searches for the middle size alone.
            level = candidate.level if place == 0 else max(1, candidate.level)
            first = distinct.get(tree, candidate)
            level = min(level, first.level) if tree in distinct else level
            distinct[tree] = replace(first, tree=tree, level=level)
    return tuple(distinct.values())


# ── less memory ─────────────────────────────────────────────────────────────────────────────────


def _leaner_options(
    evaluator: Evaluator, options: Iterable[ScheduledTree], size: int, mode: Mode, limit: int
) -> tuple[ScheduledTree, ...]:
    """Options in smaller chunks, unless one of `options` keeps to the limit and is not much slower.

    In training they are tried with recomputation, too. `limit` is in bytes.
    """
    evaluations = [evaluator.evaluate(option, size, mode) for option in options]
    least = min(e.seconds for e in evaluations)
    fits = any(e.peak <= limit and e.seconds <= RECOMPUTING * least for e in evaluations)
    if fits or loop_index(evaluator.network) is None:
        return ()
    leaner: dict[ScheduledTree, None] = {}
    fastest = math.inf
    modes = (False, True) if mode == "training" else (False,)
    for base, recompute in product(_bases(evaluations), modes):
        option = replace(base, schedule=replace(base.schedule, recompute=recompute))
        for evaluation in _halved(evaluator, option, size, mode, fastest):
            leaner.setdefault(evaluation.option)
            if evaluation.peak <= limit:
                fastest = min(fastest, evaluation.seconds)
    return tuple(leaner)


def _bases(evaluations: list[Evaluation]) -> list[ScheduledTree]:
    """Of a few trees the layouts worth trying: the fastest at once, in chunks, and the leanest."""
    by_time = sorted(evaluations, key=lambda e: e.seconds)
    by_peak = sorted(evaluations, key=lambda e: (e.peak, e.seconds))
    numbers: set[int] = set()
    for order in (by_time, by_peak):
        numbers.update(list(dict.fromkeys(e.option.number for e in order))[: HALVED // 2])
    bases: dict[tuple[int, str], ScheduledTree] = {}
    for kind, order in (("time", by_time), ("peak", by_peak)):
        for option in (e.option for e in order if e.option.number in numbers):
            chunked = option.schedule.chunk_rows and kind == "time"
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
    for power in reversed(range((size - 1).bit_length())):
        option = replace(base, schedule=replace(base.schedule, chunk_rows=2**power))
        evaluation = evaluator.evaluate(option, size, mode)
        yield evaluation
        if evaluation.seconds > before and evaluation.seconds > fastest:
            return
        before = evaluation.seconds
