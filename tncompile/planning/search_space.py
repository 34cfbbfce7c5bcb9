"""The scheduled trees that a plan is chosen from: trees, and schedules of the promising ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tncompile.lowering.lower import loop_index
from tncompile.lowering.stacking.grouping import LONG
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.evaluation import Evaluator, ScheduledTree
from tncompile.planning.layouts.schedules import schedules
from tncompile.planning.memory_limit import leaner_options
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.lookup_tables import table_candidates
from tncompile.planning.paths.optimizers import EFFORTS, Progress, ladder
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.paths.reordering import parameters_late
from tncompile.planning.request import SEARCHES, PlanRequest
from tncompile.simulation.modes import Mode

GRID = (1, 8, 64, 512, 4096)
"""Batch sizes that small networks are planned for beside the requested ones."""

ENDS = (1, 1024)
"""The same for larger networks."""

SMALL = 14
"""Networks of up to this many operands are small: planned for the whole grid, and searched for
small and large batches, too."""

LARGE = 128
"""Networks of more operands than this are planned for the requested sizes alone."""

PROMISING = 3
"""How many trees are tried with all schedules, for each size and mode; the easiest effort tries one
fewer of a network that is not small."""

SLOWEST = 4.0
"""A promising tree takes at most this many times the best time with its default schedule."""

CHUNK = 64
"""Rows whose time stands for a chunk of a larger batch, before chunks are really tried."""

SCHEDULES = 6
"""How many schedules of a promising tree are tried, the cheapest first."""


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


def build_search_space(
    network: TensorNetwork,
    request: PlanRequest,
    progress: Progress | None = None,
) -> SearchSpace:
    """Search trees, lower them, and find which schedules of which trees are worth comparing."""
    evaluator = Evaluator(network, dict(request.sizes), request.profile)
    grid = _grid(request, evaluator, len(operands(network)))
    trees = _trees(evaluator, request, grid, progress)
    space: SearchSpace | None = None
    for effort in ladder(EFFORTS[request.search]):
        search = next(name for name in SEARCHES if EFFORTS[name] == effort)
        defaults = [
            ScheduledTree(tree.names, number, tree.tree)
            for number, tree in enumerate(trees)
            if tree.level <= effort.level
        ]
        if defaults:
            space = _searched(evaluator, replace(request, search=search), defaults, space)
    assert space is not None  # the easiest effort finds a tree
    return space


def _searched(
    evaluator: Evaluator,
    request: PlanRequest,
    defaults: list[ScheduledTree],
    easier: SearchSpace | None,
) -> SearchSpace:
    """What an effort compares: trees with their default schedules, and more of the promising ones.

    The options of the easier effort are among them, so that no harder search leaves out what an
    easier one chooses.
    """
    count = len(defaults[0].tree.operands)
    grid = _grid(request, evaluator, count)
    searched = sorted({*request.batches, *([grid[0], grid[-1]] if count <= SMALL else [])})
    if count > SMALL and evaluator.leading is None:
        most = 1  # irregular networks, whose intermediates have many legs to put in order
    else:
        most = PROMISING - 1 if count > SMALL and easier is None else PROMISING
    tried: dict[Mode, list[ScheduledTree]] = {}
    for mode in request.modes:
        known = {} if easier is None else easier.options
        before = (option for (of, _), options in known.items() if of == mode for option in options)
        more = _scheduled(evaluator, defaults, searched, mode, request, most)
        tried[mode] = list(dict.fromkeys([*before, *more]))
    if count <= SMALL:  # what is proposed for one mode may be the best for another
        everything = dict.fromkeys(option for options in tried.values() for option in options)
        tried = {mode: list(dict.fromkeys([*tried[mode], *everything])) for mode in request.modes}
    options = {
        (mode, size): tuple(
            dict.fromkeys([*(defaults if size in request.batches else ()), *tried[mode]])
        )
        for mode in request.modes
        for size in grid
    }
    if request.memory_limit is not None:
        for mode, size in options:
            if size in request.batches and mode != "folded":
                options[mode, size] += leaner_options(
                    evaluator, options[mode, size], size, mode, request.memory_limit
                )
    return SearchSpace(request, evaluator, grid, options, easier)


def _scheduled(
    evaluator: Evaluator,
    defaults: list[ScheduledTree],
    sizes: list[int],
    mode: Mode,
    request: PlanRequest,
    most: int,
) -> list[ScheduledTree]:
    """The promising trees at some sizes in a mode, with the schedules proposed for them."""
    scheduled: dict[ScheduledTree, None] = {}
    for size in sizes:
        promising = _promising(evaluator, defaults, size, mode, request, most)
        if request.memory_limit is not None:
            lean = replace(request, minimize="memory")
            promising += _promising(evaluator, defaults, size, mode, lean, most)
        for option in dict.fromkeys(promising):
            scheduled.setdefault(option)
            if mode == "folded" and not evaluator.network.inputs:
                continue  # nothing is left to run
            proposed = schedules(
                evaluator.network, option.tree, evaluator.at(size), evaluator.profile, mode
            )
            for schedule in proposed[:SCHEDULES]:
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
    for place, size in enumerate(sizes):
        problem = contraction_problem(network, leaves, evaluator.at(size))
        report = _share(progress, place, len(sizes))
        for candidate in (
            *candidates(network, leaves, problem, effort, report),
            *table_candidates(network, leaves, evaluator.at(size), effort),
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


def _share(progress: Progress | None, place: int, count: int) -> Progress | None:
    """A callback that reports one of `count` parts of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(place * total + done, count * total)


def _promising(
    evaluator: Evaluator,
    options: list[ScheduledTree],
    size: int,
    mode: Mode,
    request: PlanRequest,
    most: int,
) -> list[ScheduledTree]:
    """The trees that some schedule may make the best; fewer at sizes that nobody requested."""

    def measure(option: ScheduledTree) -> float:
        """At once, or chunk by chunk: large intermediates alone say nothing against a tree."""
        whole = evaluator.evaluate(option, size, mode).minimized(request.minimize)
        if request.minimize != "time" or size <= CHUNK or loop_index(evaluator.network) is None:
            return whole
        return min(whole, evaluator.evaluate(option, CHUNK, mode).seconds * size / CHUNK)

    ranked = sorted((measure(option), place) for place, option in enumerate(options))
    limit = SLOWEST * ranked[0][0]
    count = most if size in request.batches else PROMISING - 1
    return [options[place] for price, place in ranked if price <= limit][:count]
