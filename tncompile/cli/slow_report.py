"""What `tncompile explain-slow` measures and says; it loads torch."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from tncompile import Architecture, Spec
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.evaluating.factorization import factorize
from tncompile.language.resolved import Value, value_text
from tncompile.lowering import TensorProgram, lower
from tncompile.machine.host import cores, machine_text, thread_total, threads
from tncompile.machine.profile import CPU
from tncompile.network.model import TensorNetwork
from tncompile.planning import Variant
from tncompile.planning.request import PlanOptions, PlanRequest, plan_request, runtime_sizes
from tncompile.planning.wording import (
    MODE_TEXT,
    WIDTH,
    bytes_text,
    columns_text,
    count_text,
    digits_text,
    largest_rows,
    percent_text,
    plan_text,
    seconds_text,
)
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

MOST_CHANGES = 4
"""How many changes are planned: each takes about as long as planning the block itself."""

MOST_TENSORS = 100
"""Blocks of more tensors are not planned several times over."""


@dataclass(frozen=True)
class Case:
    """A block in one mode, planned with some options, to be measured for about `seconds`."""

    spec: Spec
    architecture: Architecture
    options: PlanOptions
    mode: Mode
    seconds: float

    @cached_property
    def request(self) -> PlanRequest:
        """What the options come to; its profile's device is where everything runs."""
        return plan_request(self.architecture.network, **self.options)

    def sizes(self, network: TensorNetwork, larger: int = 1) -> dict[str, int]:
        """All run-time sizes of a network at the batch size, or one so many times larger."""
        return network.with_window_sizes(self.named(network, larger))

    def named(self, network: TensorNetwork, larger: int = 1) -> dict[str, int]:
        """The same, with that of the input along a window by the name of the window."""
        return runtime_sizes(network, larger * self.request.asked[0], dict(self.request.named))

    def planned(self, architecture: Architecture) -> tuple[Variant, TensorProgram]:
        """What an architecture runs in this case."""
        network, plan = architecture.network, architecture.plan(**self.options)
        variant = plan.variant(self.request.middle, self.mode)
        return variant, lower(network, variant.tree, variant.schedule, sizes=plan.sizes)


def slow_report(case: Case, progress: Callable[[int, int], None]) -> str:
    """Measure where the time goes and what would change it, and say it."""
    network, mode, profile = case.architecture.network, case.mode, case.request.profile
    device, sizes = profile.device, case.sizes(network)
    variant, program = case.planned(case.architecture)
    module = case.architecture.module(device=device, seed=0, **case.options)
    inputs, weights = random_inputs(network, sizes, device), module.state_dict()
    progress(0, 4)
    steps = profile_steps(network, variant, program, weights, inputs, sizes, profile, mode)
    progress(1, 4)
    rate = product_rate(device)
    timings = _measured(case, module)
    progress(3, 4)
    texts = [
        f"a batch of {case.request.middle:,}" if name == network.leading else f"{name} = {size:,}"
        for name, size in case.named(network).items()
    ]
    at = f" at {', '.join(texts)}" if texts else ""
    return "\n\n".join(
        [
            f"{network.target}\n"
            + textwrap.fill(f"{MODE_TEXT[mode]}{at}, measured on {machine_text(device)}", WIDTH)
            + f"\nplan: {plan_text(variant.found_by, variant.schedule)}",
            _steps_text(steps, mode),
            "\n".join(_totals(case, timings, steps, rate)),
            _changes_text(case, timings),
        ]
    )


def _measured(case: Case, module: nn.Module) -> dict[str, Timing]:
    """The module, the dense layer and what can be changed without another module, in turn."""
    network, mode, device = case.architecture.network, case.mode, case.request.profile.device
    sizes = case.sizes(network)
    inputs = random_inputs(network, sizes, device)
    actions = {"module": running(module, inputs, mode)}
    twin = dense_twin(network, sizes)
    if not isinstance(twin, str) and twin.largest(training=mode == "training") <= LARGEST:
        actions["dense"] = dense_layer(twin, mode, device)
    if mode == "inference":
        actions["folded"] = running(folded(module), inputs, mode)
    if sizes:
        more = random_inputs(network, case.sizes(network, LARGER), device)
        actions["larger"] = running(module, more, mode)
    measured = time_in_turn(list(actions.values()), case.seconds / 2)
    timings = dict(zip(actions, measured, strict=True))
    for count in sorted({1, cores()} - {thread_total()}) if device == CPU else ():
        with threads(count):
            (timing,) = time_in_turn([actions["module"]], case.seconds / 8)
        timings[f"{count} thread{'s' * (count > 1)}"] = timing
    return timings


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def _steps_text(steps: Sequence[ProfiledStep], mode: Mode) -> str:
    """The contraction step by step, measured; the slowest ones of many."""
    backward = ["backward"] if mode == "training" else []
    head = ("step", "contraction", "forward", *backward)
    head = (*head, "share", "FLOPs", "moved", "copied", "GFLOP/s")
    whole = sum(step.seconds for step in steps) or 1.0
    cells = []
    for step in (steps[k] for k in largest_rows([step.seconds for step in steps])):
        rate = step.flops / step.seconds / 1e9 if step.seconds else 0.0
        cells.append(
            (
                step.result,
                step.label,
                seconds_text(step.forward),
                *(seconds_text(step.backward) for _ in backward),
                percent_text(step.seconds / whole),
                count_text(step.flops),
                bytes_text(step.moved),
                bytes_text(step.copied),
                digits_text(rate) if rate else "—",
            )
        )
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
    network = case.architecture.network
    twin = dense_twin(network, case.sizes(network))
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
            f" {SQUARE[case.request.profile.device]}³"
        )


def _changes_text(case: Case, timings: Mapping[str, Timing]) -> str:
    """What would change the time, and how much."""
    effects: dict[str, str] = {}
    for name, timing in timings.items():
        ratio = timing.seconds / timings["module"].seconds
        match name:
            case "module" | "dense":
                pass
            case "larger":
                words = f"a batch of {LARGER * case.request.asked[0]:,}"
                effects[words] = f"{_ratio(ratio / LARGER)} a sample"
            case "folded":
                effects["fold() it"] = _ratio(ratio)
            case _:
                effects[name] = _ratio(ratio)
    now = _predicted(case, case.architecture)
    for change in changes(case.spec, case.architecture):
        predicted = _ratio(_predicted(case, change.architecture) / now, "predicted")
        effects[change.words] = f"{predicted}, {digits_text(change.parameters)} × the parameters"
    width = max(map(len, effects), default=0)
    lines = (f"  {words:<{width}}   {effect}" for words, effect in effects.items())
    return "\n".join(["What would change it:", *lines])


def _ratio(ratio: float, how: str = "measured") -> str:
    return f"{how} {digits_text(ratio)} × the time"


def _predicted(case: Case, architecture: Architecture) -> float:
    """The predicted seconds of an architecture in this case."""
    network, (_, program) = architecture.network, case.planned(architecture)
    sizes, profile = case.sizes(network), case.request.profile
    return trace_in(network, program, sizes, profile, case.mode).total.seconds


# ── other arguments ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Change:
    """Other arguments, the block that they make, and its parameters against those of this one."""

    words: str  # `ranks = [8, 8]`
    architecture: Architecture
    parameters: float  # how many times as many as this one has


def changes(spec: Spec, architecture: Architecture) -> list[Change]:
    """Smaller ranks and other site shapes with the same input and output, where there are any."""
    network = architecture.network
    if len(network.tensors) > MOST_TENSORS:
        return []
    candidates = [(changed, True) for changed in _ranks(architecture)]
    candidates += [(changed, False) for changed in _shapes(architecture)]
    changes: list[Change] = []
    for changed, has_to_shrink in candidates:
        try:
            other = spec.instantiate(network.name, **{**architecture.arguments, **changed})
        except CompileError:
            continue
        assert isinstance(other, Architecture)
        parameters = other.network.parameter_count / max(1, network.parameter_count)
        if _features(other) == _features(architecture) and (parameters < 1 or not has_to_shrink):
            words = ", ".join(f"{name} = {value_text(value)}" for name, value in changed.items())
            changes.append(Change(words, other, parameters))
    return changes[:MOST_CHANGES]


def _ranks(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """One argument at a time, its numbers the next power of two down."""
    for name, value in architecture.arguments.items():
        match value:
            case bool() | float():
                continue
            case int() if value > 1:
                yield {name: _half(value)}
            case tuple() if max(value, default=0) > 1:
                yield {name: tuple(map(_half, value))}


def _half(number: int) -> int:
    """The next power of two below; 1 stays.

    >>> [_half(number) for number in (16, 12, 2, 1)]
    [8, 8, 1, 1]
    """
    return 1 if number < 2 else 2 ** (number - 1).bit_length() // 2


def _shapes(architecture: Architecture) -> Iterator[dict[str, Value]]:
    """The same sizes in two to four other factors, as even as can be."""
    sizes = set(map(math.prod, _features(architecture)))
    lists = {
        name: value
        for name, value in architecture.arguments.items()
        if isinstance(value, tuple) and value
    }
    # Arguments whose product is the size of an input or of the output are shapes of sites.
    shapes = {n: each for n, each in lists.items() if len(each) > 1 and math.prod(each) in sizes}
    others = {name: max(value) for name, value in lists.items() if name not in shapes}
    for count in (2, 3, 4):
        factors = {name: factorize(math.prod(value), count) for name, value in shapes.items()}
        fitting = {name: value for name, value in factors.items() if value is not None}
        if shapes and len(fitting) == len(factors) and fitting != shapes:
            yield {**fitting, **others}


def _features(architecture: Architecture) -> tuple[tuple[int, ...], ...]:
    """The lengths of the axes of every input and of the output."""
    network = architecture.network
    axes = *(declared.axes for declared in network.inputs), network.output.axes
    return tuple(tuple(axis.length or 0 for axis in each if axis.kind != "dots") for each in axes)
