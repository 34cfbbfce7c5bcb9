"""`tncompile explain-slow`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from tncompile.cli.changing import changes
from tncompile.cli.command import FINE, Command, add_file, add_machine, add_root, add_target
from tncompile.cli.costing import named_sizes, positive
from tncompile.cli.reading import (
    check_sizes,
    checked_machine,
    instantiate_of,
    load_spec,
    plan_noted,
)
from tncompile.cli.tuning import add_threads, budget, thread_count
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import show

if TYPE_CHECKING:
    from torch import nn

    from tncompile import Architecture, Spec
    from tncompile.machine.profile import MachineProfile
    from tncompile.planning import ContractionPlan
    from tncompile.simulation.modes import Mode
    from tncompile.tuning.profiler import Row
    from tncompile.tuning.timing import Timing

Progress = Callable[[int, int], None]

LARGER = 4
"""How many times larger a batch is tried."""

LARGEST = 2**28
"""Numbers in the largest tensor of a dense layer that is measured."""

LONGEST = 24
"""Contractions shown: the slowest ones."""


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    parser.add_argument(
        "--batch", metavar="B", default="64", help="the product of the leading batch axes (64)"
    )
    parser.add_argument(
        "--size",
        metavar="NAME=N",
        action="append",
        default=[],
        help="the size of an axis declared with `batch`; may be given several times",
    )
    parser.add_argument(
        "--training", action="store_true", help="a training step: forward and backward"
    )
    add_threads(parser)
    parser.add_argument(
        "--seconds", metavar="S", default="10", help="about how long to measure in all (10)"
    )
    add_machine(parser)
    add_root(parser)


def _run(given: Namespace) -> int:
    batch, sizes = positive("--batch", given.batch), named_sizes(given.size)
    machine = checked_machine(given.machine, measures=True)
    count = thread_count(given.threads)
    seconds = budget(given.seconds)
    spec = load_spec(given.file, given.root)
    architecture = instantiate_of(spec, given.file, given.target)
    check_sizes(architecture, sizes)
    mode: Mode = "training" if given.training else "inference"

    from tncompile.machine.host import threads

    with waiting("searching for a contraction order") as progress:
        plan = plan_noted(
            architecture, progress, {"batch": batch, "sizes": sizes, "machine": machine}
        )
    with threads(count), waiting("measuring") as progress:
        asked = _Asked(spec, architecture, plan, batch, sizes, mode, machine, seconds)
        text = _report(asked, progress or _silent)
    show(text)
    return FINE


def _silent(done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class _Asked:
    """One block at one size in one mode, to be measured here."""

    spec: Spec
    architecture: Architecture
    plan: ContractionPlan
    batch: int
    named: Mapping[str, int]
    mode: Mode
    machine: str
    seconds: float

    @cached_property
    def profile(self) -> MachineProfile:
        """The machine profile; its device is where everything runs."""
        from tncompile.machine.registry import find_profile

        return find_profile(self.machine)

    def sizes(self, batch: int) -> dict[str, int]:
        """All run-time sizes at a batch size."""
        from tncompile.planning.request import runtime_sizes

        return runtime_sizes(self.architecture.network, batch, self.named)


def _report(asked: _Asked, progress: Progress) -> str:
    """Measure everything, and say it."""
    from tncompile.compiler import lower_network
    from tncompile.machine.host import machine_text
    from tncompile.planning.report.table import STEPS
    from tncompile.planning.report.wording import way_text
    from tncompile.planning.request import leading_size
    from tncompile.tuning.profiler import dissect
    from tncompile.tuning.timing import product_rate, random_inputs

    network, mode = asked.architecture.network, asked.mode
    sizes = asked.sizes(asked.batch)
    leading = leading_size(sizes)
    size = asked.batch if leading is None else sizes[leading]
    variant = asked.plan.variant(size, mode)
    branches = lower_network(network, asked.plan)
    held = branches.training if mode == "training" else branches.inference
    program = held[asked.plan.of(mode).index(variant)].program
    device = asked.profile.device
    module = asked.architecture.module(device=device, seed=0, plan=asked.plan)
    inputs = random_inputs(network, sizes, device)
    progress(0, 4)
    weights = module.state_dict()
    way = variant.tree, variant.schedule
    rows = dissect(network, *way, program, weights, inputs, sizes, asked.profile, mode)
    progress(1, 4)
    rate = product_rate(device=device)
    timings = _measured(asked, module)
    progress(3, 4)
    whole = timings["module"].seconds
    flops = sum(row.flops for row in rows)
    at = f" at a batch of {size:,}" if leading is not None else ""
    parts = [
        f"{network.target}\n{STEPS[mode]}{at}, measured on {machine_text(device)}\n"
        f"plan: {way_text(variant.found_by, variant.schedule)}",
        _contractions(rows, mode),
        "\n".join(_totals(asked, timings, rows, flops, rate)),
        "\n".join(_changed(asked, timings, whole)),
    ]
    return "\n\n".join(part for part in parts if part)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def _measured(asked: _Asked, module: nn.Module) -> dict[str, Timing]:
    """The module, the dense layer and what can be changed without another module, in turn."""
    from tncompile.machine.host import cores, thread_total, threads
    from tncompile.machine.profile import CPU
    from tncompile.simulation.dense_layer import dense_twin
    from tncompile.tuning.timing import dense_layer, folded, random_inputs, running, time_in_turn

    network, mode = asked.architecture.network, asked.mode
    sizes = asked.sizes(asked.batch)
    device = asked.profile.device
    inputs = random_inputs(network, sizes, device)
    actions = {"module": running(module, inputs, mode)}
    twin = dense_twin(network, sizes)
    if not isinstance(twin, str) and twin.largest(training=mode == "training") <= LARGEST:
        actions["dense"] = dense_layer(twin, mode, device)
    if mode == "inference":
        actions["folded"] = running(folded(module), inputs, mode)
    if sizes:
        larger = random_inputs(network, asked.sizes(LARGER * asked.batch), device)
        actions["larger"] = running(module, larger, mode)
    found = dict(zip(actions, time_in_turn(list(actions.values()), asked.seconds / 2), strict=True))
    counts = {1, cores()} - {thread_total()} if device == CPU else set()
    for count in sorted(counts):
        with threads(count):
            (found[f"threads {count}"],) = time_in_turn([actions["module"]], asked.seconds / 8)
    return found


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def _contractions(rows: Sequence[Row], mode: Mode) -> str:
    """The contraction step by step, measured."""
    from tncompile.planning.report.table import WIDTH, columns_text
    from tncompile.planning.report.wording import (
        bytes_text,
        count_text,
        digits_text,
        percent_text,
        seconds_text,
    )

    both = mode == "training"
    head = ("step", "contraction", "forward", *(("backward",) if both else ()), "share")
    head = (*head, "FLOPs", "moved", "copied", "GFLOP/s")
    whole = sum(row.seconds for row in rows) or 1.0
    shown = rows
    if len(rows) > LONGEST:
        kept = sorted(range(len(rows)), key=lambda k: -rows[k].seconds)[:LONGEST]
        shown = [rows[k] for k in sorted(kept)]
    cells = [
        (
            row.result,
            row.label,
            seconds_text(row.forward),
            *((seconds_text(row.backward),) if both else ()),
            percent_text(row.seconds / whole),
            count_text(row.flops),
            bytes_text(row.moved),
            bytes_text(row.copied),
            digits_text(row.flops / row.seconds / 1e9) if row.flops and row.seconds else "—",
        )
        for row in shown
    ]
    text = columns_text(head, cells, WIDTH, 2)
    more = len(rows) - len(shown)
    return text if not more else f"{text}\nand {more:,} steps that take less time each"


def _totals(
    asked: _Asked, timings: Mapping[str, Timing], rows: Sequence[Row], flops: int, rate: float
) -> Iterator[str]:
    """The module beside its steps, the dense layer and a large product."""
    from tncompile.planning.report.wording import (
        count_text,
        digits_text,
        percent_text,
        seconds_text,
    )
    from tncompile.simulation.dense_layer import dense_twin
    from tncompile.tuning.timing import SQUARE, disturbance

    side = SQUARE[asked.profile.device]
    network, module = asked.architecture.network, timings["module"]
    spread = f"half of {module.readings} readings within {seconds_text(module.low)}"
    yield (
        f"{'the module':<24}{seconds_text(module.seconds):>10}   {spread} to"
        f" {seconds_text(module.high)}"
    )
    if (why := disturbance(module.share, module.spread)) is not None:
        yield f"The machine was busy: {why}; these times say little."
    yield f"{'its operations alone':<24}{seconds_text(sum(row.seconds for row in rows)):>10}"
    dense = timings.get("dense")
    twin = dense_twin(network, asked.sizes(asked.batch))
    if isinstance(twin, str):
        yield f"There is no dense layer to compare it with: {twin}."
    elif dense is not None:
        yield (
            f"{'dense ' + twin.kind:<24}{seconds_text(dense.seconds):>10}   the module takes"
            f" {digits_text(module.seconds / dense.seconds)} × the time"
        )
    else:
        yield f"An {twin.kind} of {count_text(twin.weight)} numbers is too large to measure."
    if flops:
        ours = flops / module.seconds
        yield (
            f"{'GFLOP/s of the module':<24}{digits_text(ours / 1e9):>10}   "
            f"{percent_text(ours / rate)} of the {digits_text(rate / 1e9)} of a product of {side}³"
        )


def _changed(asked: _Asked, timings: Mapping[str, Timing], whole: float) -> Iterator[str]:
    """What would change the time, and how much."""
    effects = dict(_effects(asked, timings, whole))
    width = max(map(len, effects), default=0)
    yield "What would change it:"
    yield from (f"  {words:<{width}}   {effect}" for words, effect in effects.items())


def _effects(
    asked: _Asked, timings: Mapping[str, Timing], whole: float
) -> Iterator[tuple[str, str]]:
    from tncompile.planning.report.wording import digits_text

    if (larger := timings.get("larger")) is not None:
        times = larger.seconds / LARGER / whole
        yield f"a batch of {LARGER * asked.batch:,}", f"{_ratio(times)} a sample"
    if (folded := timings.get("folded")) is not None:
        yield "fold() it", _ratio(folded.seconds / whole)
    for name, timing in timings.items():
        if name.startswith("threads "):
            count = int(name.split()[1])
            yield f"{count} thread{'s' * (count > 1)}", _ratio(timing.seconds / whole)
    now = _predicted(asked, asked.architecture)
    for change in changes(asked.spec, asked.architecture):
        times = _predicted(asked, change.architecture) / now
        more = f"{digits_text(change.parameters)} × the parameters"
        yield change.words, f"{_ratio(times, 'predicted')}, {more}"


def _ratio(times: float, how: str = "measured") -> str:
    from tncompile.planning.report.wording import digits_text

    return f"{how} {digits_text(times)} × the time"


def _predicted(asked: _Asked, architecture: Architecture) -> float:
    """Seconds at the size and in the mode that are asked for."""
    from tncompile.lowering import lower
    from tncompile.planning.request import leading_size, runtime_sizes
    from tncompile.simulation.modes import trace_in

    plan = architecture.plan(asked.batch, sizes=asked.named, machine=asked.machine)
    sizes = runtime_sizes(architecture.network, asked.batch, asked.named)
    leading = leading_size(sizes)
    variant = plan.variant(asked.batch if leading is None else sizes[leading], asked.mode)
    program = lower(architecture.network, variant.tree, variant.schedule, sizes=plan.sizes)
    traced = trace_in(architecture.network, program, sizes, asked.profile, asked.mode)
    return traced.total.seconds


EXPLAIN_SLOW = Command(
    "explain-slow",
    "Measure where the time of a block goes, step by step, and what would change it.",
    "Everything is measured on this machine, but for other arguments of the block: what these\n"
    "would change is predicted.",
    ("tncompile explain-slow std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4])' --seconds 1",),
    _configure,
    _run,
)
