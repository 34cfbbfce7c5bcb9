"""What there is to choose from: trees searched, and the strategies of the promising ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tncompile.lowering.lower import loop_index
from tncompile.lowering.stacking.grouping import LONG
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning.evaluation import Evaluator, ScheduledTree, measure_of
from tncompile.planning.layouts.schedules import schedules
from tncompile.planning.memory_limit import sparing
from tncompile.planning.paths.candidates import Candidate, candidates
from tncompile.planning.paths.lookup_tables import merged_tables
from tncompile.planning.paths.optimizers import EFFORTS, Progress, ladder
from tncompile.planning.paths.problem import state
from tncompile.planning.paths.reordering import parameters_late
from tncompile.planning.request import SEARCHES, PlanRequest
from tncompile.simulation.modes import Mode

GRID = (1, 8, 64, 512, 4096)
"""Sizes that a module is planned for beside those that are asked for, …"""

ENDS = (1, 1024)
"""… those of larger networks, …"""

SMALL, LARGE = 14, 128
"""… which have more operands than this; of those beyond only the asked sizes are planned."""

SEARCHED = 14
"""Networks of up to this many operands are searched for small and large batches, too."""

PROMISING = 3
"""How many trees are tried with all strategies, for each size and mode, one fewer by the easiest
effort where networks are not small, …"""

SLOWEST = 4.0
"""… of those that take up to this many times the best time as they come, …"""

PART = 64
"""Rows whose time stands for a part of a larger batch, before parts are really tried."""

TRIED = 6
"""… and how many strategies of each, the cheapest first."""


@dataclass(frozen=True)
class SearchSpace:
    """All ways worth comparing, by mode and size in a fixed order."""

    goal: PlanRequest
    assessor: Evaluator
    grid: tuple[int, ...]
    ways: Mapping[tuple[Mode, int], tuple[ScheduledTree, ...]]
    easier: SearchSpace | None = None
    """What the next easier effort compares, all of it compared here, too."""


def build_search_space(
    network: TensorNetwork,
    goal: PlanRequest,
    progress: Progress | None = None,
) -> SearchSpace:
    """Search trees, lower them, and find which strategies of which trees are worth comparing."""
    assessor = Evaluator(network, dict(goal.sizes), goal.profile)
    trees = _trees(assessor, goal, _grid(goal, assessor, len(operands(network))), progress)
    straight = [
        ScheduledTree(found.names, number, found.tree) for number, found in enumerate(trees)
    ]
    levels = [found.level for found in trees]
    field: SearchSpace | None = None
    for effort in ladder(EFFORTS[goal.search]):
        name = next(name for name in SEARCHES if EFFORTS[name] == effort)
        among = [way for way, level in zip(straight, levels, strict=True) if level <= effort.level]
        if among:
            field = _compared(assessor, replace(goal, search=name), among, field)
    assert field is not None  # the easiest effort finds a tree
    return field


def _compared(
    assessor: Evaluator,
    goal: PlanRequest,
    straight: list[ScheduledTree],
    easier: SearchSpace | None,
) -> SearchSpace:
    """Which strategies of some trees an effort compares, beside all that the easier one does.

    What is promising among fewer trees is tried with all strategies, too: so no harder search
    leaves out what an easier one chooses.
    """
    count = len(straight[0].tree.operands)
    grid = _grid(goal, assessor, count)
    looked_at = sorted({*goal.batches, *([grid[0], grid[-1]] if count <= SMALL else [])})
    if count > SMALL and assessor.leading is None:
        most = 1  # irregular networks, whose intermediates have many legs to put in order
    else:
        most = PROMISING - 1 if count > SMALL and easier is None else PROMISING
    tried: dict[Mode, list[ScheduledTree]] = {}
    for mode in goal.modes:
        known = {} if easier is None else easier.ways
        before = (way for (other, _), ways in known.items() if other == mode for way in ways)
        more = _tried(assessor, straight, looked_at, mode, goal, most)
        tried[mode] = list(dict.fromkeys([*before, *more]))
    if count <= SMALL:  # what is proposed for one mode may be the best for another
        everything = dict.fromkeys(way for found in tried.values() for way in found)
        tried = {mode: list(dict.fromkeys([*tried[mode], *everything])) for mode in goal.modes}
    ways = {
        (mode, size): tuple(
            dict.fromkeys([*(straight if size in goal.batches else ()), *tried[mode]])
        )
        for mode in goal.modes
        for size in grid
    }
    if goal.memory_limit is not None:
        for mode, size in ways:
            if size in goal.batches and mode != "folded":
                leaner = sparing(assessor, ways[mode, size], size, mode, goal.memory_limit)
                ways[mode, size] = (*ways[mode, size], *leaner)
    return SearchSpace(goal, assessor, grid, ways, easier)


def _tried(
    assessor: Evaluator,
    straight: list[ScheduledTree],
    sizes: list[int],
    mode: Mode,
    goal: PlanRequest,
    most: int,
) -> list[ScheduledTree]:
    """The promising trees at some sizes in a mode, with the strategies proposed for them."""
    found: dict[ScheduledTree, None] = {}
    for size in sizes:
        promising = _promising(assessor, straight, size, mode, goal, most)
        if goal.memory_limit is not None:
            lean = replace(goal, minimize="memory")
            promising += _promising(assessor, straight, size, mode, lean, most)
        for way in dict.fromkeys(promising):
            found.setdefault(way)
            if mode == "folded" and not assessor.network.inputs:
                continue  # nothing is left to run
            proposed = schedules(
                assessor.network, way.tree, assessor.at(size), assessor.profile, mode
            )
            found.update(dict.fromkeys(replace(way, schedule=one) for one in proposed[:TRIED]))
    return list(found)


def _grid(goal: PlanRequest, assessor: Evaluator, count: int) -> tuple[int, ...]:
    """The sizes to plan for: those wanted, and some around them where that is affordable."""
    if assessor.leading is None:
        return (goal.middle,)
    if goal.minimize != "time" or goal.search == "fast" or count > LARGE:
        return goal.batches
    return tuple(sorted({*goal.batches, *(GRID if count <= SMALL else ENDS)}))


def _trees(
    assessor: Evaluator, goal: PlanRequest, grid: tuple[int, ...], progress: Progress | None
) -> tuple[Candidate, ...]:
    """Distinct trees: those for the middle size, and for small and large ones what they add."""
    network = assessor.network
    given = operands(network)
    few = len(given) <= SEARCHED and goal.search != "fast"
    around = sorted({*goal.batches, grid[0], grid[-1]} - {goal.middle}) if few else []
    searched = (goal.middle, *around)
    found: list[Candidate] = []
    for place, size in enumerate(searched):
        problem = state(network, given, assessor.at(size))
        report = _share(progress, place, len(searched))
        more = [
            *candidates(network, given, problem, EFFORTS[goal.search], report),
            *merged_tables(network, given, assessor.at(size), EFFORTS[goal.search]),
        ]
        # The easiest effort searches for the middle size alone.
        found += more if place == 0 else [replace(one, level=max(1, one.level)) for one in more]
    known: dict[ContractionTree, Candidate] = {}
    for one in found:
        tree = one.tree
        if len(tree.steps) <= LONG:  # those of longer ones run level by level
            tree = parameters_late(network, tree)
        level = min(one.level, known[tree].level) if tree in known else one.level
        known[tree] = replace(known.get(tree, one), tree=tree, level=level)
    return tuple(known.values())


def _share(progress: Progress | None, place: int, count: int) -> Progress | None:
    """A callback that reports one part of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(place * total + done, count * total)


def _promising(
    assessor: Evaluator,
    ways: list[ScheduledTree],
    size: int,
    mode: Mode,
    goal: PlanRequest,
    most: int,
) -> list[ScheduledTree]:
    """The trees that some strategy may make the best; fewer at sizes that nobody asked for."""

    def measure(way: ScheduledTree) -> float:
        """As it comes, or part by part: large temporaries alone say nothing against a tree."""
        whole = measure_of(assessor.assess(way, size, mode), goal.minimize)
        if goal.minimize != "time" or size <= PART or loop_index(assessor.network) is None:
            return whole
        part = measure_of(assessor.assess(way, PART, mode), goal.minimize)
        return min(whole, part * size / PART)

    found = sorted(((measure(way), place) for place, way in enumerate(ways)))
    limit = SLOWEST * found[0][0]
    count = most if size in goal.batches else PROMISING - 1
    return [ways[place] for price, place in found if price <= limit][:count]
