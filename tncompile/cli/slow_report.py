"""What `tncompile explain-slow` measures and says; it loads torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from tncompile import Architecture, Spec
from tncompile.cli.changing import changes
from tncompile.lowering import TensorProgram, lower
from tncompile.machine.host import cores, machine_text, thread_total, threads
from tncompile.machine.profile import CPU, MachineProfile
from tncompile.machine.registry import find_profile
from tncompile.planning import ContractionPlan, Variant
from tncompile.planning.report.table import STEPS, WIDTH, columns_text
from tncompile.planning.report.wording import (
    bytes_text,
    count_text,
    digits_text,
    percent_text,
    seconds_text,
    way_text,
)
from tncompile.planning.request import leading_size, runtime_sizes
from tncompile.simulation.dense_layer import dense_twin
from tncompile.simulation.modes import Mode, trace_in
from tncompile.tuning.profiler import ProfiledStep, profile_steps
from tncompile.tuning.timing import (
    SQUARE,
    Timing,
    dense_layer,
    disturbance,
    folded,
    product_rate,
    random_inputs,
    running,
    time_in_turn,
)

LARGER = 4
"""How many times larger a batch is tried."""

LARGEST = 2**28
"""The most elements in a tensor of a dense layer that is measured."""

LONGEST = 24
"""The most contractions that are shown: the slowest ones."""


@dataclass(frozen=True)
class Case:
    """A block at one batch size in one mode, to be measured for about `seconds`."""

    spec: Spec
    architecture: Architecture
    batch: int
    named: Mapping[str, int]
    mode: Mode
    machine: str
    seconds: float

    @cached_property
    def profile(self) -> MachineProfile:
        """The machine profile; its device is where everything runs."""
        return find_profile(self.machine)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """All run-time sizes at the batch size."""
        return runtime_sizes(self.architecture.network, self.batch, self.named)

    @property
    def size(self) -> int:
        """The size that decides between the variants of a plan."""
        leading = leading_size(self.sizes)
        return self.batch if leading is None else self.sizes[leading]

    def planned(self, architecture: Architecture) -> tuple[Variant, TensorProgram]:
        """What an architecture runs in this case."""
        plan = architecture.plan(self.batch, sizes=self.named, machine=self.machine)
        variant = plan.variant(self.size, self.mode)
        network = architecture.network
        return variant, lower(network, variant.tree, variant.schedule, sizes=plan.sizes)


def slow_report(case: Case, plan: ContractionPlan, progress: Callable[[int, int], None]) -> str:
    """Measure where the time goes and what would change it, and say it."""
    network, mode, device = case.architecture.network, case.mode, case.profile.device
    variant, program = case.planned(case.architecture)
    module = case.architecture.module(device=device, seed=0, plan=plan)
    inputs = random_inputs(network, case.sizes, device)
    progress(0, 4)
    way = variant.tree, variant.schedule
    weights = module.state_dict()
    steps = profile_steps(network, *way, program, weights, inputs, case.sizes, case.profile, mode)
    progress(1, 4)
    rate = product_rate(device=device)
    timings = _measured(case, module)
    progress(3, 4)
    at = f" at a batch of {case.size:,}" if case.sizes else ""
    return "\n\n".join(
        [
            f"{network.target}\n{STEPS[mode]}{at}, measured on {machine_text(device)}\n"
            f"plan: {way_text(variant.found_by, variant.schedule)}",
            _steps_text(steps, mode),
            "\n".join(_totals(case, timings, steps, rate)),
            "\n".join(_changes_text(case, timings)),
        ]
    )


def _measured(case: Case, module: nn.Module) -> dict[str, Timing]:
    """The module, the dense layer and what can be changed without another module, in turn."""
    network, mode, device = case.architecture.network, case.mode, case.profile.device
    inputs = random_inputs(network, case.sizes, device)
    actions = {"module": running(module, inputs, mode)}
    twin = dense_twin(network, case.sizes)
    if not isinstance(twin, str) and twin.largest(training=mode == "training") <= LARGEST:
        actions["dense"] = dense_layer(twin, mode, device)
    if mode == "inference":
        actions["folded"] = running(folded(module), inputs, mode)
    if case.sizes:
        sizes = runtime_sizes(network, LARGER * case.batch, case.named)
        actions["larger"] = running(module, random_inputs(network, sizes, device), mode)
    measured = time_in_turn(list(actions.values()), case.seconds / 2)
    timings = dict(zip(actions, measured, strict=True))
    counts = {1, cores()} - {thread_total()} if device == CPU else set()
    for count in sorted(counts):
        with threads(count):
            (timing,) = time_in_turn([actions["module"]], case.seconds / 8)
        timings[f"{count} thread{'s' * (count > 1)}"] = timing
    return timings


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def _steps_text(steps: Sequence[ProfiledStep], mode: Mode) -> str:
    """The contraction step by step, measured; the slowest ones of many."""
    backward = mode == "training"
    head = ("step", "contraction", "forward", *(("backward",) if backward else ()))
    head = (*head, "share", "FLOPs", "moved", "copied", "GFLOP/s")
    whole = sum(step.seconds for step in steps) or 1.0
    slowest = sorted(range(len(steps)), key=lambda k: -steps[k].seconds)[:LONGEST]
    cells = [
        (
            step.result,
            step.label,
            seconds_text(step.forward),
            *((seconds_text(step.backward),) if backward else ()),
            percent_text(step.seconds / whole),
            count_text(step.flops),
            bytes_text(step.moved),
            bytes_text(step.copied),
            digits_text(step.flops / step.seconds / 1e9) if step.flops and step.seconds else "—",
        )
        for step in (steps[k] for k in sorted(slowest))
    ]
    text = columns_text(head, cells, WIDTH, 2)
    more = len(steps) - len(cells)
    return text if not more else f"{text}\nand {more:,} steps that take less time each"


def _totals(
    case: Case, timings: Mapping[str, Timing], steps: Sequence[ProfiledStep], rate: float
) -> Iterator[str]:
    """The module beside its steps, the dense layer and a large product."""
    module = timings["module"]
    yield (
        f"{'the module':<24}{seconds_text(module.seconds):>10}   half of {module.readings} readings"
        f" within {seconds_text(module.low)} to {seconds_text(module.high)}"
    )
    if (why := disturbance(module.share, module.spread)) is not None:
        yield f"The machine was busy: {why}; these times say little."
    yield f"{'its operations alone':<24}{seconds_text(sum(step.seconds for step in steps)):>10}"
    twin = dense_twin(case.architecture.network, case.sizes)
    if isinstance(twin, str):
        yield f"There is no dense layer to compare it with: {twin}."
    elif (dense := timings.get("dense")) is not None:
        yield (
            f"{'dense ' + twin.kind:<24}{seconds_text(dense.seconds):>10}   the module takes"
            f" {digits_text(module.seconds / dense.seconds)} × the time"
        )
    else:
        yield f"An {twin.kind} of {count_text(twin.weight)} numbers is too large to measure."
    if flops := sum(step.flops for step in steps):
        ours = flops / module.seconds
        yield (
            f"{'GFLOP/s of the module':<24}{digits_text(ours / 1e9):>10}   "
            f"{percent_text(ours / rate)} of the {digits_text(rate / 1e9)} of a product of"
            f" {SQUARE[case.profile.device]}³"
        )


def _changes_text(case: Case, timings: Mapping[str, Timing]) -> Iterator[str]:
    """What would change the time, and how much."""
    effects = dict(_effects(case, timings))
    width = max(map(len, effects), default=0)
    yield "What would change it:"
    yield from (f"  {words:<{width}}   {effect}" for words, effect in effects.items())


def _effects(case: Case, timings: Mapping[str, Timing]) -> Iterator[tuple[str, str]]:
    whole = timings["module"].seconds
    for name, timing in timings.items():
        ratio = timing.seconds / whole
        match name:
            case "module" | "dense":
                pass
            case "larger":
                yield f"a batch of {LARGER * case.batch:,}", f"{_ratio(ratio / LARGER)} a sample"
            case "folded":
                yield "fold() it", _ratio(ratio)
            case _:
                yield name, _ratio(ratio)
    now = _predicted(case, case.architecture)
    for change in changes(case.spec, case.architecture):
        ratio = _predicted(case, change.architecture) / now
        more = f"{digits_text(change.parameters)} × the parameters"
        yield change.words, f"{_ratio(ratio, 'predicted')}, {more}"


def _ratio(ratio: float, how: str = "measured") -> str:
    return f"{how} {digits_text(ratio)} × the time"


def _predicted(case: Case, architecture: Architecture) -> float:
    """The predicted seconds of an architecture in this case."""
    _, program = case.planned(architecture)
    sizes = runtime_sizes(architecture.network, case.batch, case.named)
    traced = trace_in(architecture.network, program, sizes, case.profile, case.mode)
    return traced.total.seconds
