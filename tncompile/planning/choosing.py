"""The choice of a plan: candidates are lowered, run on ghosts, and compared by predicted time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from tncompile.lowering import TensorProgram, lower
from tncompile.network.contraction import operands
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.candidates import MATERIALIZE, Candidate, candidates
from tncompile.planning.costing import Cost, Crossing, Figures, cost_steps, dense_figures, figures
from tncompile.planning.dense import dense_map
from tncompile.planning.machine import BUILTIN, MachineProfile
from tncompile.planning.plans import ContractionPlan, Variant
from tncompile.planning.problem import runtime_sizes, state
from tncompile.planning.search import EFFORTS, Progress
from tncompile.planning.tracing import Trace, trace

Minimize = Literal["time", "flops", "memory"]

FLOP_OPTIMAL = "FLOP-optimal"
MEMORY_OPTIMAL = "memory-optimal"

LARGEST_BATCH = 2**20
"""Crossings are looked for up to this batch size …"""

CROSSING_TENSORS = 100
"""… in networks of at most this many tensors: it takes some forty traces."""


class NoPlanError(Exception):
    """No plan keeps to the memory limit; the message says what the smallest one needs."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """A candidate, its program, and what it does in the mode that it is judged by."""

    candidate: Candidate
    program: TensorProgram
    trace: Trace
    seconds: float
    flops: int


def plan(
    network: TensorNetwork,
    *,
    batch: int | tuple[int, ...] = 64,
    sizes: Mapping[str, int] | None = None,
    minimize: str = "time",
    training: bool = True,
    search: str = "normal",
    profile: MachineProfile = BUILTIN,
    memory_limit: int | None = None,
    progress: Progress | None = None,
) -> ContractionPlan:
    """The best contraction tree for each batch size.

    `batch` is the size of `...` (or of the first `batch` axis), `sizes` those of others by name.
    `minimize` is the predicted `time`, the `flops` or the peak `memory` of a training step (of a
    forward pass without `training`). Raises `NoPlanError` where nothing keeps to the memory limit,
    and ValueError for options that do not exist.
    """
    if search not in EFFORTS:
        raise ValueError(f"search is one of {', '.join(EFFORTS)}, not {search!r}")
    if minimize not in ("time", "flops", "memory"):
        raise ValueError(f"minimize is one of time, flops, memory, not {minimize!r}")
    wanted = (batch,) if isinstance(batch, int) else tuple(batch)
    if not wanted:
        raise ValueError("a plan needs at least one batch size")
    judge = _Judge(network, dict(sizes or {}), minimize, training, search, profile, memory_limit)
    reports = _shared_progress(progress, len(wanted))
    variants = [judge.variant(one, report) for one, report in zip(wanted, reports, strict=True)]
    middle = wanted[len(wanted) // 2]
    return ContractionPlan(
        network.target,
        profile.name,
        minimize,
        training,
        search,
        _collapsed(variants, middle),
        middle,
    )


def cost(
    network: TensorNetwork,
    planned: ContractionPlan,
    *,
    batch: int,
    sizes: Mapping[str, int] | None = None,
    profile: MachineProfile = BUILTIN,
) -> Cost:
    """What a plan costs at a batch size; alternatives only where it was planned for that."""
    runtime = runtime_sizes(network, batch, sizes or {})
    for variant in planned.variants:
        if dict(variant.sizes) == runtime and profile.name == variant.cost.machine:
            return variant.cost
    variant = planned.main
    program = lower(network, variant.tree, sizes=runtime)
    judge = _Judge(network, {}, planned.minimize, planned.training, "fast", profile, None)
    return judge.cost(Candidate(variant.found_by, variant.tree, 0), program, runtime)


def _shared_progress(progress: Progress | None, count: int) -> list[Progress | None]:
    """One progress callback a variant, each reporting its part of the whole."""
    if progress is None:
        return [None] * count

    def part(number: int) -> Progress:
        return lambda done, total: progress(number * total + done, count * total)

    return [part(number) for number in range(count)]


def _collapsed(variants: list[Variant], middle: int) -> tuple[Variant, ...]:
    """Neighboring batch sizes with the same tree as one variant; the middle one's figures win."""
    kept: list[Variant] = []
    for variant in sorted(variants, key=lambda variant: variant.batch):
        if kept and kept[-1].tree == variant.tree:
            first = kept.pop()
            stays = variant if middle == variant.batch else first
            kept.append(stays.over((*first.batches, *variant.batches)))
        else:
            kept.append(variant)
    return tuple(kept)


@dataclass(frozen=True, slots=True)
class _Judge:
    """The network and what its plans are judged by."""

    network: TensorNetwork
    sizes: Mapping[str, int]
    minimize: str
    training: bool
    search: str
    profile: MachineProfile
    memory_limit: int | None

    def variant(self, batch: int, progress: Progress | None) -> Variant:
        """The best tree for one batch size, with its cost and alternatives."""
        runtime = runtime_sizes(self.network, batch, self.sizes)
        given = operands(self.network)
        problem = state(self.network, given, runtime)
        found = candidates(self.network, given, problem, EFFORTS[self.search], progress)
        assessed = [self.assess(candidate, runtime) for candidate in found]
        best = min(self._affordable(assessed), key=self._order)
        priced = self.cost(best.candidate, best.program, runtime, assessed)
        names = best.candidate.names
        return Variant((batch,), batch, runtime, best.candidate.tree, names, priced)

    def assess(self, candidate: Candidate, runtime: Mapping[str, int]) -> Assessed:
        """Lower a candidate and run it on ghosts."""
        program = lower(self.network, candidate.tree, sizes=runtime)
        traced = self._trace(program, runtime, self.training)
        total = traced.total
        return Assessed(candidate, program, traced, total.seconds, total.flops)

    def cost(
        self,
        candidate: Candidate,
        program: TensorProgram,
        runtime: Mapping[str, int],
        others: list[Assessed] | None = None,
    ) -> Cost:
        """The cost of a program, and of the alternatives beside it."""
        inference = self._trace(program, runtime, False)
        training = self._trace(program, runtime, True)
        dense = dense_map(self.network, runtime)
        alternatives = self._alternatives(others) if others else {}
        shown = {
            name: dense_figures(self.network, dense, training=self.training)
            if one is None
            else figures(self.network, dense, one.trace, training=self.training)
            for name, one in alternatives.items()
        }
        return Cost(
            name=self.network.target,
            sizes=dict(runtime),
            machine=self.profile.name,
            mode="training" if self.training else "inference",
            found_by=candidate.names,
            inference=figures(self.network, dense, inference, training=False),
            training=figures(self.network, dense, training, training=True),
            steps=cost_steps(self.network, candidate.tree, program, runtime, inference, training),
            alternatives=shown,
            crossings=self._crossings(program, runtime, alternatives),
        )

    def _trace(self, program: TensorProgram, runtime: Mapping[str, int], training: bool) -> Trace:
        return trace(self.network, program, runtime, self.profile, training=training)

    def _order(self, one: Assessed) -> tuple[float, ...]:
        """What is compared, and what breaks ties."""
        match self.minimize:
            case "flops":
                return one.flops, one.seconds, one.trace.peak
            case "memory":
                return one.trace.peak, one.seconds, one.flops
            case _:
                return one.seconds, one.flops, one.trace.peak

    def _affordable(self, assessed: list[Assessed]) -> list[Assessed]:
        """Those that keep to the memory limit."""
        limit = self.memory_limit
        kept = [one for one in assessed if limit is None or one.trace.peak <= limit]
        if not kept:
            least = min(one.trace.peak for one in assessed)
            mode = "a training step" if self.training else "a forward pass"
            raise NoPlanError(
                f"{mode} of `{self.network.target}` takes at least {least:,} bytes,"
                f" the memory limit is {limit:,}"
            )
        return kept

    def _alternatives(self, assessed: list[Assessed]) -> dict[str, Assessed | None]:
        """The dense weight (None where it is out of reach) and the extremes."""
        dense = next((one for one in assessed if MATERIALIZE in one.candidate.names), None)
        least_flops = min(assessed, key=lambda one: (one.flops, one.seconds))
        least_memory = min(assessed, key=lambda one: (one.trace.peak, one.seconds))
        extremes = {FLOP_OPTIMAL: least_flops, MEMORY_OPTIMAL: least_memory}
        return {MATERIALIZE: dense, **extremes} if self.network.inputs else {**extremes}

    def _crossings(
        self,
        program: TensorProgram,
        runtime: Mapping[str, int],
        alternatives: Mapping[str, Assessed | None],
    ) -> dict[str, Crossing]:
        """Where along the batch size each alternative overtakes the plan."""
        leading = DOTS if DOTS in runtime else next(iter(runtime), None)
        large = len(self.network.tensors) > CROSSING_TENSORS
        if leading is None or large or self.search == "fast":
            return {}
        known: dict[tuple[int, int], float] = {}

        def seconds(number: int, one: TensorProgram, size: int) -> float:
            if (number, size) not in known:
                traced = self._trace(one, {**runtime, leading: size}, self.training)
                known[number, size] = traced.total.seconds
            return known[number, size]

        found: dict[str, Crossing] = {}
        for number, (name, one) in enumerate(alternatives.items(), start=1):
            if one is None or one.program is program:
                continue

            def faster(size: int, number: int = number, other: Assessed = one) -> bool:
                return seconds(number, other.program, size) < seconds(0, program, size)

            crossing = _crossing(faster, runtime[leading])
            if crossing != Crossing():
                found[name] = crossing
        return found


def _crossing(faster: Callable[[int], bool], here: int) -> Crossing:
    """The batch sizes above and below `here` from which on something is faster, to the unit."""
    above = here
    while above < LARGEST_BATCH and not faster(above * 2):
        above *= 2
    faster_from = None
    if above < LARGEST_BATCH:
        low, high = above, above * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if faster(middle) else (middle, high)
        faster_from = high
    below = here
    while below > 1 and not faster(below // 2):
        below //= 2
    faster_up_to = None
    if below > 1:
        low, high = below // 2, below
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if faster(middle) else (low, middle)
        faster_up_to = low
    return Crossing(faster_from, faster_up_to)


__all__ = ["Figures", "Minimize", "NoPlanError", "cost", "plan"]
