"""The choice of a plan: candidates are lowered, run on ghosts, and compared by predicted time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tncompile.lowering import TensorProgram, lower
from tncompile.network.contraction import operands
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.candidates import DENSE_LIMIT, MATERIALIZE, STRAIGHT, Candidate, candidates
from tncompile.planning.costing import Cost, Crossing, Figures, Mode, cost_steps, figures
from tncompile.planning.crossing import Clock, crossing
from tncompile.planning.dense import dense_map, dense_run
from tncompile.planning.machine import BUILTIN, MachineProfile
from tncompile.planning.plans import ContractionPlan, Variant
from tncompile.planning.problem import batch_sizes, runtime_sizes, state
from tncompile.planning.search import EFFORTS, Progress
from tncompile.planning.table import count_text
from tncompile.planning.tracing import Trace, trace

Minimize = Literal["time", "flops", "memory"]

FLOP_OPTIMAL = "FLOP-optimal"
MEMORY_OPTIMAL = "memory-optimal"
DENSE = "dense layer"
"""The dense map as one layer of torch: no order of contraction, but what it competes with."""

MODES: tuple[Mode, ...] = ("inference", "training")

CROSSING_TENSORS = 100
"""Crossings are looked for in networks of at most this many tensors: it takes some forty traces.
In larger ones the extremes of one mode stand for those of the other."""


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
    wanted = batch_sizes(batch)
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
        by_mode = {mode: self._alternatives(others, mode, runtime) for mode in MODES if others}
        return Cost(
            name=self.network.target,
            sizes=dict(runtime),
            machine=self.profile.name,
            mode=_mode(self.training),
            found_by=candidate.names,
            inference=self._figures(inference, "inference", runtime),
            training=self._figures(training, "training", runtime),
            steps=cost_steps(self.network, candidate.tree, program, runtime, inference, training),
            compared={
                mode: {name: self._figures(one.trace, mode, runtime) for name, one in found.items()}
                for mode, found in by_mode.items()
            },
            crossed=self._crossings(program, runtime, by_mode),
            reasons=dict(self._reasons(by_mode, runtime)),
        )

    def _figures(self, traced: Trace, mode: Mode, runtime: Mapping[str, int]) -> Figures:
        """The totals of a trace in its mode, and the dense map's beside them."""
        training = mode == "training"
        dense = dense_map(self.network, runtime)
        run = dense_run(self.network, runtime, self.profile, training=training)
        return figures(self.network, dense, run, traced, training=training)

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

    @property
    def _small(self) -> bool:
        """Whether everything may be traced many times over."""
        return len(self.network.tensors) <= CROSSING_TENSORS and self.search != "fast"

    def _alternatives(
        self, assessed: list[Assessed], mode: Mode, runtime: Mapping[str, int]
    ) -> dict[str, Assessed]:
        """The dense weight, where it is within reach, and the extremes, in a mode."""
        found = _extremes(self.network, assessed)
        if mode == _mode(self.training):
            return found
        seen = assessed if self._small else list({id(one): one for one in found.values()}.values())
        return _extremes(self.network, [self._turned(one, mode, runtime) for one in seen])

    def _turned(self, one: Assessed, mode: Mode, runtime: Mapping[str, int]) -> Assessed:
        """A candidate assessed in a mode that the plan was not chosen for."""
        traced = self._trace(one.program, runtime, mode == "training")
        total = traced.total
        return replace(one, trace=traced, seconds=total.seconds, flops=total.flops)

    def _reasons(
        self, by_mode: Mapping[Mode, Mapping[str, Assessed]], runtime: Mapping[str, int]
    ) -> Iterable[tuple[str, str]]:
        """Why the dense weight or the dense layer is not among what is compared."""
        inputs = self.network.inputs
        if not by_mode or not inputs:
            return
        numbers = dense_map(self.network, runtime).parameters
        large = f"a dense weight of {count_text(numbers)} numbers is more than {DENSE_LIMIT:,}"
        looked_up = all(one.integer for one in inputs)
        if not looked_up and not all(MATERIALIZE in found for found in by_mode.values()):
            if any(one.integer for one in inputs):
                reason = "ids pick from the parameters before anything is contracted"
            elif numbers > DENSE_LIMIT:
                reason = large
            elif len(self.network.tensors) > STRAIGHT:
                reason = f"not tried with {len(self.network.tensors):,} tensors"
            else:
                reason = "a value on the way is too large"
            yield MATERIALIZE, reason
        if dense_run(self.network, runtime, self.profile, training=False) is None:
            if numbers > DENSE_LIMIT:
                yield DENSE, large
            elif looked_up or not any(one.integer for one in inputs):
                yield DENSE, f"a value on the way has more than {DENSE_LIMIT:,} numbers"
            else:
                yield DENSE, "torch has no layer of ids and numbers at once"

    def _crossings(
        self,
        program: TensorProgram,
        runtime: Mapping[str, int],
        by_mode: Mapping[Mode, Mapping[str, Assessed]],
    ) -> dict[Mode, dict[str, Crossing]]:
        """Where along the batch size each alternative overtakes the plan, by mode."""
        leading = DOTS if DOTS in runtime else next(iter(runtime), None)
        if leading is None or not self._small:
            return {}
        clock = Clock(self.network, self.profile, program, leading, runtime, {})
        here = runtime[leading]
        crossed: dict[Mode, dict[str, Crossing]] = {}
        for mode, found in by_mode.items():
            known: dict[int, Crossing] = {id(program): Crossing()}
            for one in found.values():
                if id(one.program) not in known:
                    known[id(one.program)] = crossing(clock.compare(one.program, mode), here)
            crossings = {name: known[id(one.program)] for name, one in found.items()}
            if clock.dense(here, mode) is not None:
                crossings[DENSE] = crossing(clock.compare(None, mode), here)
            crossed[mode] = {name: one for name, one in crossings.items() if one != Crossing()}
        return crossed


def _mode(training: bool) -> Mode:
    return "training" if training else "inference"


def _extremes(network: TensorNetwork, assessed: list[Assessed]) -> dict[str, Assessed]:
    """The dense weight, where it was tried, the fewest operations and the least memory."""
    found: dict[str, Assessed] = {}
    for one in assessed:
        if MATERIALIZE in one.candidate.names or _is_dense(network, one.candidate):
            found.setdefault(MATERIALIZE, one)
    found[FLOP_OPTIMAL] = min(assessed, key=lambda one: (one.flops, one.seconds))
    found[MEMORY_OPTIMAL] = min(assessed, key=lambda one: (one.trace.peak, one.seconds))
    return found


def _is_dense(network: TensorNetwork, candidate: Candidate) -> bool:
    """Whether one input meets one weight: nothing has to be contracted to make it dense."""
    given = candidate.tree.operands
    roles = sorted(network.tensors[operand.tensor].role == "input" for operand in given)
    return roles == [False, True] and not any(operand.lookups for operand in given)


__all__ = ["Figures", "Minimize", "NoPlanError", "cost", "plan"]
