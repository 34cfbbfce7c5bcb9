"""The choice of a plan: scheduled trees, compared by prediction for each mode and batch size.

Trees are searched once a network. Each is lowered with its default schedule and simulated at every
size of a grid, the promising ones with other schedules, too. What wins at neighboring sizes is
merged into few variants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Unpack

from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.batch_ranges import BatchRange, Price, batch_ranges
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.paths.candidates import MATERIALIZE
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.plan import Alternative, ContractionPlan, Variant
from tncompile.planning.repetition import repeats
from tncompile.planning.request import PlanOptions, PlanRequest, plan_request
from tncompile.planning.search_space import SearchSpace, latest_search_space
from tncompile.planning.tolerances import CLEARLY, TIED
from tncompile.planning.wording import MODE_TEXT, schedule_text, seconds_text
from tncompile.simulation.costs import mode_cost
from tncompile.simulation.modes import Mode

FLOP_OPTIMAL = "FLOP-optimal"
MEMORY_OPTIMAL = "memory-optimal"


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

    Raises `NoPlanError` where nothing keeps to the memory limit, `NoOrderError` where no order of
    contraction runs as convolutions.
    """
    return select(latest_search_space(network, request, progress))


Ranges = tuple[BatchRange, ...]

Reason = Callable[[Mode, BatchRange, BatchRange | None], str]
"""Why a range runs its scheduled tree, given the neighboring range."""


def select(space: SearchSpace) -> ContractionPlan:
    """The plan by predicted time: few variants a mode, and one program for every size."""
    request, evaluator = space.request, space.evaluator
    main = request.modes[0]

    fitting = [it for it in within_limit(space, request.middle, main) if not it.schedule.chunk_rows]
    # Where only a loop keeps to the memory limit, the leanest program stands in for it.
    options = [it for it in space.options[main, request.middle] if not it.schedule.chunk_rows]
    minimize = request.minimize if fitting else "memory"
    whole = evaluator.best(fitting or options, request.middle, main, minimize).option
    ranges = _decided(space)
    if fitting:
        # What runs at the middle size, in one chunk, where that is about as fast.
        chosen = next(each.option for each in ranges[main] if request.middle in each.batches)
        other = replace(chosen, schedule=chosen.schedule.at_once)
        peak, limit = evaluator.evaluate(other, request.middle, main).peak, request.memory_limit
        most = CLEARLY * space.price(whole, request.middle, main)
        if space.price(other, request.middle, main) <= most and (limit is None or peak <= limit):
            whole = other

    def reason(mode: Mode, batches: BatchRange, other: BatchRange | None) -> str:
        """What is minimized and how far, by prediction."""
        if request.minimize == "time":
            return explained(space, batches, other, partial(space.price, mode=mode))
        return f"{batches.option}: the least {request.minimize}"

    return assemble(space, ranges, whole, reason)


def _decided(space: SearchSpace) -> dict[Mode, Ranges]:
    """What runs at which sizes, by mode; nowhere worse than what an easier search decides."""
    request = space.request
    easier: dict[Mode, Ranges] = {}
    if space.easier is not None:
        with suppress(NoPlanError):  # keeping to a memory limit may take the harder search
            easier = _decided(space.easier)
    decided: dict[Mode, Ranges] = {}
    for mode in request.modes:
        # One method serves both modes of a module; its folded twin has methods of its own.
        others = () if mode == "folded" else decided.values()
        known = tuple(batches.option for ranges in others for batches in ranges)
        bounds = {
            size: space.price(batches.option, size, mode)
            for batches in easier.get(mode, ())
            for size in batches.batches
            if size in request.batches
        }
        decided[mode] = predicted_ranges(space, mode, known, bounds)
    return decided


def assemble(
    space: SearchSpace,
    ranges: Mapping[Mode, Ranges],
    whole: ScheduledTree,
    reason: Reason,
    tuned: str | None = None,
) -> ContractionPlan:
    """The plan of ranges that are decided, with their costs and reasons."""
    request, evaluator = space.request, space.evaluator
    # Hooks on gradients have no place in a graph that is compiled or exported.
    bare = replace(whole, schedule=replace(whole.schedule, contiguous_grads=()))
    everywhere = BatchRange(bare, (request.middle,))
    variants: list[Variant] = []
    for mode, of_mode in ranges.items():
        split = _without_loops_of_one(of_mode, bare)
        following: list[BatchRange | None] = [*split[1:], *split[-2:-1]]  # at last the one before
        for batches, other in zip(split, following or [None], strict=True):
            variants.append(_variant(space, mode, batches, reason(mode, batches, other)))
    return ContractionPlan(
        target=evaluator.network.target,
        machine=evaluator.profile.name,
        minimize=request.minimize,
        training=request.training,
        search=request.search,
        batch=request.middle,
        sizes=dict(evaluator.sizes),
        variants=tuple(variants),
        whole=_variant(space, request.modes[0], everywhere, "the whole batch at once"),
        tuned=tuned,
        repeats=tuple(filter(None, (repeats(space, mode, of) for mode, of in ranges.items()))),
        alternatives=tuple(
            alternative
            for mode in request.modes
            for size in request.batches
            for alternative in _extremes(space, mode, size)
        ),
    )


def _without_loops_of_one(ranges: Ranges, bare: ScheduledTree) -> Ranges:
    """Batches of at most one chunk run at once where that program is in the source in any case."""
    split: list[BatchRange] = []
    above = 0
    for batches in ranges:
        rows = batches.option.schedule.chunk_rows
        small = tuple(size for size in batches.batches if size <= rows)
        large = tuple(size for size in batches.batches if size > rows)
        at_once = replace(batches.option, schedule=batches.option.schedule.at_once)
        if rows > above and small and large and at_once.key == bare.key:
            split.append(BatchRange(bare, small, rows))
            batches = replace(batches, batches=large)
        split.append(batches)
        above = batches.up_to or 0
    return tuple(split)


def predicted_ranges(
    space: SearchSpace,
    mode: Mode,
    known: tuple[ScheduledTree, ...] = (),
    bounds: Mapping[int, float] | None = None,
) -> Ranges:
    """What runs at which sizes in a mode, by prediction.

    An option `known` from another mode serves again wherever nothing is clearly faster. At a
    requested size nothing runs that is beyond `TIED` of the best, or beyond `bounds`: what an
    easier search runs there.
    """
    request, evaluator = space.request, space.evaluator
    most: dict[int, float] = {}
    for size in request.batches:
        least = min(space.price(option, size, mode) for option in within_limit(space, size, mode))
        most[size] = min((bounds or {}).get(size, math.inf), TIED * least)

    def price(option: ScheduledTree, size: int) -> float:
        evaluation = evaluator.evaluate(option, size, mode)
        value, limit = evaluation.minimized(request.minimize), request.memory_limit
        too_much = limit is not None and evaluation.peak > limit
        if size in request.batches and (too_much or value > most[size]):
            return math.inf
        if request.minimize == "time" and evaluation.copied:
            # A search favors programs whose time is underestimated, and copies are predicted least
            # surely. Priced twice, as transpositions, they let neighboring sizes share a program.
            value += evaluator.profile.copy_seconds(evaluation.copied, 4)
        return value

    winners: list[tuple[int, ScheduledTree]] = []
    for size in space.grid:
        options = within_limit(space, size, mode)
        finite = [option for option in options if price(option, size) < math.inf]
        best = evaluator.best(finite or options, size, mode, request.minimize).option
        familiar = min(known, key=lambda option: price(option, size), default=best)
        near = price(familiar, size) <= CLEARLY * price(best, size)
        winners.append((size, familiar if near else best))
    return batch_ranges(winners, frozenset(request.batches), price)


def within_limit(space: SearchSpace, size: int, mode: Mode) -> tuple[ScheduledTree, ...]:
    """The options that keep to the memory limit; the leanest one where none does.

    Raises `NoPlanError` where none does at a requested size, of the module as it is trained.
    """
    request, evaluator = space.request, space.evaluator
    options = space.options[mode, size]
    if request.memory_limit is None:
        return options
    evaluations = [evaluator.evaluate(option, size, mode) for option in options]
    fitting = tuple(e.option for e in evaluations if e.peak <= request.memory_limit)
    if fitting:
        return fitting
    leanest = min(evaluations, key=lambda e: (e.peak, e.seconds))
    if size not in request.batches or mode == "folded":
        return (leanest.option,)
    raise NoPlanError(
        f"{MODE_TEXT[mode]} of `{evaluator.network.target}` takes at least {leanest.peak:,} bytes,"
        f" the memory limit is {request.memory_limit:,}"
    )


def _variant(space: SearchSpace, mode: Mode, batches: BatchRange, reason: str) -> Variant:
    evaluator, option = space.evaluator, batches.option
    batch = _cost_size(space.request, batches.batches)
    sizes, how = evaluator.at(batch), (option.tree, option.schedule)
    program, profile = evaluator.program(option), evaluator.profile
    cost = mode_cost(evaluator.network, *how, program, sizes, profile, mode)
    here = batches.up_to, batches.batches, batch, evaluator.named(batch)
    return Variant(mode, *here, *how, option.names, cost, reason)


def _cost_size(request: PlanRequest, batches: tuple[int, ...]) -> int:
    """The size of a range that its cost is given for: the middle one, or else a requested one."""
    requested = [size for size in batches if size in request.batches]
    return request.middle if request.middle in batches else (requested or batches)[0]


def explained(
    space: SearchSpace,
    batches: BatchRange,
    other: BatchRange | None,
    price: Price,
    source: Callable[[ScheduledTree, int], str] = lambda option, size: "predicted",
) -> str:
    """`sweep forward, chunks of 16: predicted 1.9 ms at B = 64 (another layout: 2.6 ms)`."""
    option, leading = batches.option, space.evaluator.leading
    size = _cost_size(space.request, batches.batches)
    if size not in space.request.batches and other is not None and other.batches < batches.batches:
        size = batches.batches[-1]  # what sets it apart from smaller batches shows at the largest
    at = "" if leading is None else f" at {'B' if leading == DOTS else leading} = {size:,}"
    text = f"{option}: {source(option, size)} {seconds_text(price(option, size))}{at}"
    if other is None:
        return text
    name = str(other.option)
    if name == str(option):
        name = "another layout"
    elif other.option.tree == option.tree:
        name = schedule_text(other.option.schedule) or "all at once"
    return f"{text} ({name}: {seconds_text(price(other.option, size))})"


def _extremes(space: SearchSpace, mode: Mode, size: int) -> list[Alternative]:
    """The dense weight, where it was tried, the fewest operations and the least memory."""
    options = space.options[mode, size]
    tensors = space.evaluator.network.tensors

    def is_dense(option: ScheduledTree) -> bool:
        """Whether a dense weight is made, or one input meets one weight."""
        leaves = option.tree.operands
        roles = sorted(tensors[leaf.tensor].role == "input" for leaf in leaves)
        dense = roles == [False, True] and not any(leaf.lookups for leaf in leaves)
        return MATERIALIZE in option.names or dense

    extremes: list[Alternative] = []
    for name, among, minimize in (
        (MATERIALIZE, tuple(filter(is_dense, options)), "time"),
        (FLOP_OPTIMAL, options, "flops"),
        (MEMORY_OPTIMAL, options, "memory"),
    ):
        if among:
            best = space.evaluator.best(among, size, mode, minimize).option
            extremes.append(Alternative(name, mode, size, best.tree, best.schedule))
    return extremes
