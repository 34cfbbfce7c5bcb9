"""The choice of a plan: ways to run a network, compared by predicted time for each mode and size.

A way is a contraction tree and a strategy to lower it with. Trees are searched once a network; each
is lowered as it comes and run on ghosts at every size of a grid; the promising ones are tried with
all their strategies. What wins at neighboring sizes is merged into few variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Unpack

from tncompile.network.model import TensorNetwork
from tncompile.planning.batch_ranges import Price, Range, ranges
from tncompile.planning.evaluation import CLEARLY, NEAR, Evaluator, ScheduledTree, measure_of
from tncompile.planning.paths.candidates import MATERIALIZE
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.plan import Alternative, ContractionPlan, Variant
from tncompile.planning.report.steps import mode_cost
from tncompile.planning.report.wording import seconds_text, way_text
from tncompile.planning.request import PlanOptions, PlanRequest, plan_request
from tncompile.planning.search_space import SearchSpace, build_search_space
from tncompile.simulation.modes import Mode

FLOP_OPTIMAL = "FLOP-optimal"
MEMORY_OPTIMAL = "memory-optimal"


TIED = NEAR * CLEARLY
"""How far from the best time a way may be at a size that was asked for: as fast as what is chosen
there for other reasons than time, and that as fast as the best."""


class NoPlanError(Exception):
    """No plan keeps to the memory limit; the message says what the smallest one needs."""


def plan(
    network: TensorNetwork,
    *,
    training: bool = True,
    progress: Progress | None = None,
    **options: Unpack[PlanOptions],
) -> ContractionPlan:
    """The plan of the request that these options make: see `plan_request` and `plan_for`."""
    return plan_for(network, plan_request(network, training=training, **options), progress)


def plan_for(
    network: TensorNetwork, request: PlanRequest, progress: Progress | None = None
) -> ContractionPlan:
    """The best trees and schedules for each mode and batch size.

    Raises `NoPlanError` where nothing keeps to the memory limit.
    """
    return select(build_search_space(network, request, progress))


Explained = Callable[[Mode, Range, Range | None], str]
"""Why a range is run its way, given the neighboring one."""


def select(field: SearchSpace) -> ContractionPlan:
    """The plan by predicted time: few variants a mode, and what runs everywhere."""
    goal, assessor = field.goal, field.assessor
    main = goal.modes[0]
    straight = [way for way in allowed(field, goal.middle, main) if not way.schedule.rows]
    if straight:
        whole = assessor.best(straight, goal.middle, main, goal.minimize).way
    else:  # only a loop keeps to the memory limit
        straight = [way for way in field.ways[main, goal.middle] if not way.schedule.rows]
        whole = assessor.best(straight, goal.middle, main, "memory").way
    held = _decided(field)
    if straight:
        whole = _alike(assessor, whole, held[main], goal)
    return assemble(field, held, whole, lambda *given: _reason(field, *given))


def _decided(field: SearchSpace) -> dict[Mode, tuple[Range, ...]]:
    """Which way runs at which sizes, by mode; nowhere worse than what an easier search decides."""
    goal, assessor = field.goal, field.assessor
    easier: dict[Mode, tuple[Range, ...]] = {}
    if field.easier is not None:
        with suppress(NoPlanError):  # what keeps to a memory limit may take a harder search to find
            easier = _decided(field.easier)
    held: dict[Mode, tuple[Range, ...]] = {}
    for mode in goal.modes:
        # One method serves both modes of a module; its folded twin has methods of its own.
        known = tuple(one.way for found in held.values() for one in found if mode != "folded")
        bounds = {
            size: measure_of(assessor.assess(one.way, size, mode), goal.minimize)
            for one in easier.get(mode, ())
            for size in one.batches
            if size in goal.batches
        }
        held[mode] = predicted_ranges(field, mode, known, bounds)
    return held


def _alike(
    assessor: Evaluator, whole: ScheduledTree, held: tuple[Range, ...], goal: PlanRequest
) -> ScheduledTree:
    """What runs in parts, all at once instead, where that is about as fast as `whole`."""
    chosen = next(one.way for one in held if goal.middle in one.batches)
    other = replace(chosen, schedule=chosen.schedule.at_once)
    best = assessor.assess(whole, goal.middle, goal.modes[0])
    one = assessor.assess(other, goal.middle, goal.modes[0])
    near = measure_of(one, goal.minimize) <= CLEARLY * measure_of(best, goal.minimize)
    fits = goal.memory_limit is None or one.peak <= goal.memory_limit
    return other if near and fits else whole


def assemble(
    field: SearchSpace,
    held: Mapping[Mode, tuple[Range, ...]],
    whole: ScheduledTree,
    reason: Explained,
    tuned: str | None = None,
) -> ContractionPlan:
    """The plan of ranges that are decided, with what they cost and why they are there."""
    goal, assessor = field.goal, field.assessor
    main = goal.modes[0]
    # Hooks on gradients have no place in a graph that is compiled or exported.
    bare = replace(whole, schedule=replace(whole.schedule, settled=()))
    everywhere = Range(bare, (goal.middle,))
    return ContractionPlan(
        target=assessor.network.target,
        machine=assessor.profile.name,
        minimize=goal.minimize,
        training=goal.training,
        search=goal.search,
        batch=goal.middle,
        sizes=dict(assessor.sizes),
        variants=tuple(
            _variant(field, mode, one, reason(mode, one, other))
            for mode, found in held.items()
            for one, other in _neighbors(_without_loops_of_one(found, bare))
        ),
        whole=_variant(field, main, everywhere, "everything at once"),
        tuned=tuned,
        alternatives=tuple(
            one
            for mode in goal.modes
            for size in goal.batches
            for one in _extremes(field, mode, size)
        ),
    )


def _without_loops_of_one(held: tuple[Range, ...], bare: ScheduledTree) -> tuple[Range, ...]:
    """Batches that fit into one part run all at once where that is in the source in any case."""
    found: list[Range] = []
    above = 0
    for one in held:
        rows = one.way.schedule.rows
        small = tuple(size for size in one.batches if size <= rows)
        large = tuple(size for size in one.batches if size > rows)
        at_once = replace(one.way, schedule=one.way.schedule.at_once)
        if rows > above and small and large and at_once.key == bare.key:
            found.append(Range(bare, small, rows))
            one = replace(one, batches=large)
        found.append(one)
        above = one.up_to or 0
    return tuple(found)


def _neighbors(held: tuple[Range, ...]) -> list[tuple[Range, Range | None]]:
    """Each range with the one that is run another way next to it: the following one, if any."""
    return [
        (one, held[place + 1] if place + 1 < len(held) else held[place - 1] if place else None)
        for place, one in enumerate(held)
    ]


def predicted_ranges(
    field: SearchSpace,
    mode: Mode,
    known: tuple[ScheduledTree, ...] = (),
    bounds: Mapping[int, float] | None = None,
) -> tuple[Range, ...]:
    """Which way runs at which sizes in a mode, by prediction.

    A way that is `known` from another mode serves again wherever nothing is clearly faster. At a
    size that was asked for nothing is taken that is beyond `TIED` of the best, or beyond `bounds`:
    what an easier search takes there.
    """
    goal, assessor = field.goal, field.assessor
    most = {
        size: min(
            (bounds or {}).get(size, math.inf),
            TIED
            * min(
                measure_of(assessor.assess(way, size, mode), goal.minimize)
                for way in allowed(field, size, mode)
            ),
        )
        for size in goal.batches
    }

    def price(way: ScheduledTree, size: int) -> float:
        one = assessor.assess(way, size, mode)
        if size in goal.batches:
            if goal.memory_limit is not None and one.peak > goal.memory_limit:
                return math.inf
            if measure_of(one, goal.minimize) > most[size]:
                return math.inf
        return assessor.cautious(one) if goal.minimize == "time" else measure_of(one, goal.minimize)

    winners: list[tuple[int, ScheduledTree]] = []
    for size in field.grid:
        ways = allowed(field, size, mode)
        kept = [way for way in ways if price(way, size) < math.inf]
        best = assessor.best(kept or ways, size, mode, goal.minimize).way
        familiar = min(known, key=lambda way: price(way, size), default=best)
        near = price(familiar, size) <= CLEARLY * price(best, size)
        winners.append((size, familiar if near else best))
    return ranges(winners, frozenset(goal.batches), price)


def allowed(field: SearchSpace, size: int, mode: Mode) -> tuple[ScheduledTree, ...]:
    """The ways that keep to the memory limit; at sizes that nobody asked for, else the leanest.

    A strategy that recomputes what others save is a way like any other here. Raises `NoPlanError`
    where none keeps to the limit at a size that was asked for.
    """
    goal, assessor = field.goal, field.assessor
    ways = field.ways[mode, size]
    if goal.memory_limit is None:
        return ways
    found = [assessor.assess(way, size, mode) for way in ways]
    kept = tuple(one.way for one in found if one.peak <= goal.memory_limit)
    if kept:
        return kept
    leanest = min(found, key=lambda one: (one.peak, one.seconds))
    if size not in goal.batches or mode == "folded":
        return (leanest.way,)
    what = "a training step" if mode == "training" else "a forward pass"
    raise NoPlanError(
        f"{what} of `{assessor.network.target}` takes at least {leanest.peak:,} bytes,"
        f" the memory limit is {goal.memory_limit:,}"
    )


def _variant(field: SearchSpace, mode: Mode, held: Range, reason: str) -> Variant:
    assessor, way = field.assessor, held.way
    batch = _planned(field.goal, held.batches)
    sizes = assessor.at(batch)
    program = assessor.program(way)
    return Variant(
        mode=mode,
        up_to=held.up_to,
        batches=held.batches,
        batch=batch,
        sizes=sizes,
        tree=way.tree,
        schedule=way.schedule,
        found_by=way.names,
        cost=mode_cost(
            assessor.network, way.tree, way.schedule, program, sizes, assessor.profile, mode
        ),
        reason=reason,
    )


def _planned(goal: PlanRequest, batches: tuple[int, ...]) -> int:
    """The size of a range that its cost is given for: the one that was asked for, if any was."""
    asked = [size for size in batches if size in goal.batches]
    return goal.middle if goal.middle in batches else (asked or batches)[0]


def _reason(field: SearchSpace, mode: Mode, held: Range, other: Range | None) -> str:
    """What is minimized and how far, by prediction."""
    goal, assessor = field.goal, field.assessor
    if goal.minimize != "time":
        return f"{way_text(held.way.names, held.way.schedule)}: the least {goal.minimize}"
    return explained(field, held, other, lambda way, size: assessor.assess(way, size, mode).seconds)


def explained(
    field: SearchSpace,
    held: Range,
    other: Range | None,
    price: Price,
    how: Callable[[ScheduledTree, int], str] = lambda way, size: "predicted",
) -> str:
    """`halves at 2, 16 rows at a time: predicted 1.9 ms at 64, where another layout takes 2.6`."""
    size = _planned(field.goal, held.batches)
    if size not in field.goal.batches and other is not None and other.batches < held.batches:
        size = held.batches[-1]  # what sets it apart from smaller batches shows at the largest
    words = way_text(held.way.names, held.way.schedule)
    at = f" at {size:,}" if field.assessor.leading is not None else ""
    text = f"{words}: {how(held.way, size)} {seconds_text(price(held.way, size))}{at}"
    if other is None:
        return text
    second = way_text(other.way.names, other.way.schedule)
    second = "another layout" if second == words else second
    return f"{text}, where {second} takes {seconds_text(price(other.way, size))}"


def _extremes(field: SearchSpace, mode: Mode, size: int) -> list[Alternative]:
    """The dense weight, where it was tried, the fewest operations and the least memory."""
    assessor, ways = field.assessor, field.ways[mode, size]
    found: list[Alternative] = []
    dense = [way for way in ways if MATERIALIZE in way.names or _is_dense(field, way)]
    for name, among, minimize in (
        (MATERIALIZE, dense, "time"),
        (FLOP_OPTIMAL, ways, "flops"),
        (MEMORY_OPTIMAL, ways, "memory"),
    ):
        if among:
            best = assessor.best(among, size, mode, minimize).way
            found.append(Alternative(name, mode, size, best.tree, best.schedule))
    return found


def _is_dense(field: SearchSpace, way: ScheduledTree) -> bool:
    """Whether one input meets one weight: nothing has to be contracted to make it dense."""
    given, tensors = way.tree.operands, field.assessor.network.tensors
    roles = sorted(tensors[operand.tensor].role == "input" for operand in given)
    return roles == [False, True] and not any(operand.lookups for operand in given)
