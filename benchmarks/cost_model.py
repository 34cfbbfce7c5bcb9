"""How well predicted times agree with measured ones, over networks, batch sizes, modes and plans.

Every triple (network, batch, plan) is one emitted module with a single plan, timed at inference and
in a training step in shuffled rounds beside the other plans of its network and batch, and predicted
on a machine profile: the built-in one, or with `--machine measured` that of this machine.

    python benchmarks/cost_model.py --only MPO --only CP -o results.json --page docs/cost_model.md
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

import tncompile
from tncompile.compiler import norm_program
from tncompile.emission import emit
from tncompile.emission.loading import instantiate
from tncompile.initialization.draws import Initialization, initialize
from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.machine.host import machine_text
from tncompile.machine.profile import MachineProfile
from tncompile.machine.registry import find_profile
from tncompile.network.contraction import ContractionTree, operands
from tncompile.network.model import TensorNetwork
from tncompile.planning import ContractionPlan, plan
from tncompile.planning.layouts.schedules import Scheduler
from tncompile.planning.paths.candidates import candidates
from tncompile.planning.paths.optimizers import EFFORTS
from tncompile.planning.paths.problem import contraction_problem
from tncompile.planning.request import runtime_sizes
from tncompile.program.printer import describe_program
from tncompile.program.variants import Branches
from tncompile.simulation.modes import Mode
from tncompile.simulation.trace import Trace, passed_on, trace

MODES: tuple[Mode, ...] = ("inference", "training")

TREES = 5
"""Contraction trees of a network and batch that are measured, the quickest by prediction first."""

ARRANGED = 2
"""Of so many of them the best strategy is measured too."""

SLOWEST = 0.4
"""Seconds beyond which a prediction is not put to the test: rounds would take too long."""

LARGEST = 2 * 2**30
"""Bytes of a predicted peak beyond which it is not, either: the worst of all trees may take any."""

ROUNDS, SHORT_ROUNDS = 9, 31
"""Readings of a plan, and of one that takes up to `SHORT` seconds."""

SHORT = 4e-3
LEAST_SECONDS = 1e-3


@dataclass(frozen=True, slots=True)
class Workload:
    """A block of the standard library with its sizes, and the batch sizes to try."""

    file: str
    target: str
    batches: tuple[int, ...]


WORKLOADS = (
    Workload("linear", "MPO(ins = [8, 8, 12], outs = [12, 16, 16], ranks = 16)", (1, 128, 1024)),
    Workload("linear", "MPO(ins = [8, 8, 8, 8], outs = [8, 8, 8, 8], ranks = 8)", (1, 32, 256)),
    Workload("linear", "MPO(ins = [4, 8, 8, 4], outs = [4, 8, 8, 4], ranks = 8)", (1, 64, 1024)),
    Workload("linear", "MPO(ins = [64, 64], outs = [64, 64], ranks = 16)", (8, 256)),
    Workload("linear", "MPO(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4], ranks = 6)", (16, 512)),
    Workload("linear", "MPO(ins = [16, 16], outs = [32, 16], ranks = 4)", (1, 2048)),
    Workload(
        "linear", "TensorRing(ins = [4, 4, 4, 4, 4], outs = [4, 4, 4, 4, 4], ranks = 8)", (1, 256)
    ),
    Workload("linear", "TensorRing(ins = [16, 16], outs = [16, 16], ranks = 8)", (64,)),
    Workload("linear", "CP(ins = [32, 32], outs = [32, 32], rank = 64)", (1, 256)),
    Workload("linear", "CP(ins = [8, 8, 8], outs = [8, 8, 8], rank = 128)", (32, 1024)),
    Workload(
        "linear",
        "Tucker(ins = [8, 8, 16], outs = [16, 8, 8], in_ranks = 6, out_ranks = 6)",
        (1, 512),
    ),
    Workload("linear", "BlockTerm(ins = [8, 8, 8], outs = [8, 8, 8], terms = 4, ranks = 8)", (64,)),
    Workload("linear", "Monarch(ins = [64, 64], outs = [64, 64])", (1, 256)),
    Workload("linear", "Monarch(ins = [32, 16], outs = [16, 32])", (32, 2048)),
    Workload("linear", "BTT(ins = [32, 32], outs = [32, 32], rank = 4)", (1, 256)),
    Workload("linear", "LowRank(in_features = 768, out_features = 3072, rank = 16)", (1, 64, 1024)),
    Workload("linear", "LowRank(in_features = 256, out_features = 256, rank = 64)", (16, 2048)),
    Workload("linear", "HierarchicalTucker(ins = [8, 8, 8, 8], outs = [8, 8, 8, 8])", (4, 128)),
    Workload("classifier", "MPSClassifier(sites = 16, rank = 8)", (1, 128)),
    Workload("classifier", "MPSClassifier(sites = 100, rank = 10)", (1, 100)),
    Workload("classifier", "MPSClassifier(sites = 392, rank = 10)", (32,)),
    Workload("classifier", "TreeClassifier(sites = 16, features = 4, rank = 12)", (1, 256)),
    Workload("classifier", "TreeClassifier(sites = 64, features = 3, rank = 8)", (64,)),
    Workload("classifier", "PEPSClassifier(rows = 3, columns = 4)", (1, 128)),
    Workload("classifier", "PEPSClassifier(rows = 4, columns = 4, rank = 3)", (16,)),
    Workload("embedding", "TTEmbedding(rows = [20, 40, 40], columns = [8, 8, 16])", (1, 64, 1024)),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One plan of a network at a batch size."""

    workload: str
    batch: int
    plan: str
    network: TensorNetwork
    program: TensorProgram
    sizes: dict[str, int]

    def predicted(self, profile: MachineProfile, mode: str) -> float:
        """Predicted seconds."""
        return self._trace(profile, mode).total.seconds

    def measurable(self, profile: MachineProfile, mode: str) -> bool:
        """Whether its time and its memory allow many rounds."""
        held = self._trace(profile, mode)
        return held.total.seconds <= SLOWEST and held.peak <= LARGEST

    def _trace(self, profile: MachineProfile, mode: str) -> Trace:
        training = mode == "training"
        return trace(self.network, self.program, self.sizes, profile, training=training)


@dataclass(frozen=True, slots=True)
class Triple:
    """A plan of a network at a batch size in a mode: measured and predicted seconds."""

    workload: str
    batch: int
    plan: str
    mode: str
    measured: float
    predicted: float

    @property
    def error(self) -> float:
        """The relative error of the prediction."""
        return abs(self.predicted - self.measured) / self.measured


# ── what is measured ────────────────────────────────────────────────────────────────────────────


def cases(
    workload: Workload, batch: int, network: TensorNetwork, profile: MachineProfile
) -> list[Case]:
    """Plans of a network that differ: trees lowered as they come, the best ones arranged too."""
    sizes = runtime_sizes(network, batch, {})
    given = operands(network)
    found = candidates(
        network, given, contraction_problem(network, given, sizes), EFFORTS["normal"]
    )
    made: dict[TensorProgram | str, Case] = {}

    def add(label: str, tree: ContractionTree, schedule: Schedule) -> Case:
        program = lower(network, tree, schedule, sizes=sizes)
        case = Case(workload.target, batch, label, network, program, sizes)
        return made.setdefault(describe_program(program), case)

    straight = [(add(one.names[0], one.tree, STRAIGHT), one) for one in found]
    straight.sort(key=lambda pair: pair[0].predicted(profile, "training"))
    kept = straight[: TREES - 1] + straight[TREES - 1 :][-1:]  # the worst one as well
    for _, one in kept[:ARRANGED]:
        for mode in MODES:
            cheapest = islice(Scheduler(network, profile).proposals(one.tree, sizes, mode), 2)
            for number, schedule in enumerate(cheapest):
                rows = f", {schedule.chunk_rows} rows at a time" if schedule.chunk_rows else ""
                add(f"{one.names[0]}, {mode} {number + 1}{rows}", one.tree, schedule)
    dropped = {id(case) for case, _ in straight} - {id(case) for case, _ in kept}
    return [case for case in made.values() if id(case) not in dropped]


def emitted(case: Case, planned: ContractionPlan, start: Initialization) -> nn.Module:
    """The module that runs this plan and no other."""
    branches = Branches.single(case.program, case.plan)
    return instantiate(emit(case.network, planned, branches, start), seed=2026)


def inputs(network: TensorNetwork, batch: int) -> Tensor:
    """Random features, or ids, for a network with one input."""
    (given,) = network.inputs
    generator = torch.Generator().manual_seed(2026)
    if given.integer:
        digits = [axis.length or 1 for axis in given.axes if axis.kind == "onehot"]
        return torch.randint(0, digits[0], (batch,), generator=generator)
    shape = [axis.size or axis.length or 1 for axis in given.axes if axis.kind != "dots"]
    drawn = torch.rand(batch, *shape, generator=generator)
    return drawn.requires_grad_(given.name in passed_on(network))


def runners(module: nn.Module, x: Tensor) -> dict[str, Callable[[], object]]:
    """A forward pass without gradients, and a training step, by mode."""
    held = list(module.parameters())
    with torch.no_grad():
        gradient = torch.ones_like(module(x), memory_format=torch.contiguous_format)

    def forward() -> Tensor:
        with torch.no_grad():
            result: Tensor = module(x)
        return result

    def step() -> None:
        for leaf in (*held, x):
            leaf.grad = None
        torch.autograd.backward([module(x)], [gradient])

    return {"inference": forward, "training": step}


# ── timing ──────────────────────────────────────────────────────────────────────────────────────


def timed(actions: Sequence[Callable[[], object]], shuffle: random.Random) -> list[float]:
    """Seconds of each: of shuffled rounds the one that a fifth are faster than.

    Whatever else runs makes readings longer, never shorter, so that the median says more of it.
    """
    repeats: list[int] = []
    short: list[bool] = []
    for action in actions:
        action()
        start = time.perf_counter()
        action()
        once = time.perf_counter() - start
        repeats.append(max(1, int(LEAST_SECONDS / max(once, 1e-7))))
        short.append(once <= SHORT)
    taken: list[list[float]] = [[] for _ in actions]
    order = list(range(len(actions)))
    for done in range(SHORT_ROUNDS):
        if done == ROUNDS:
            order = [k for k in order if short[k]]
        shuffle.shuffle(order)
        for k in order:
            start = time.perf_counter()
            for _ in range(repeats[k]):
                actions[k]()
            taken[k].append((time.perf_counter() - start) / repeats[k])
    return [sorted(each)[len(each) // 5] for each in taken]


def measured(
    workloads: Iterable[Workload], profile: MachineProfile
) -> Iterator[tuple[Case, str, float]]:
    """Every case in every mode with its measured seconds."""
    torch.empty(31 * 2**20, dtype=torch.uint8)  # freed at once: raises the allocator's thresholds
    shuffle = random.Random(2026)
    for workload in workloads:
        print(workload.target, file=sys.stderr, flush=True)
        spec = tncompile.load(f"std/{workload.file}.tn")
        network = spec.instantiate(workload.target).network
        start = initialize(network, norm_program)
        made: list[tuple[Case, str, Callable[[], object]]] = []
        for batch in workload.batches:
            x, planned = inputs(network, batch), plan(network, batch=batch, search="fast")
            for case in cases(workload, batch, network, profile):
                modes = [mode for mode in MODES if case.measurable(profile, mode)]
                if not modes:
                    continue
                runs = runners(emitted(case, planned, start), x)
                made += [(case, mode, runs[mode]) for mode in modes]
        seconds = timed([action for _, _, action in made], shuffle)
        yield from ((case, mode, s) for (case, mode, _), s in zip(made, seconds, strict=True))


# ── what it says ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well predictions agree with measurements.

    `loss` are, for each network, batch and mode, how much longer the plan predicted to be fastest
    takes than the fastest one measured.
    """

    triples: int
    correlation: float
    median_error: float
    median_loss: float
    worst_loss: float
    within: float  # share of choices within 15 % of the best


def agreement(triples: Sequence[Triple]) -> Agreement:
    """The figures of all triples together."""
    losses = [loss for _, loss in choices(triples)]
    return Agreement(
        len(triples),
        rank_correlation([one.measured for one in triples], [one.predicted for one in triples]),
        statistics.median(one.error for one in triples),
        statistics.median(losses),
        max(losses),
        sum(loss <= 0.15 for loss in losses) / len(losses),
    )


def choices(triples: Sequence[Triple]) -> list[tuple[tuple[str, int, str], float]]:
    """What the predicted choice loses, by network, batch and mode."""
    groups: dict[tuple[str, int, str], list[Triple]] = {}
    for one in triples:
        groups.setdefault((one.workload, one.batch, one.mode), []).append(one)
    found: list[tuple[tuple[str, int, str], float]] = []
    for key, held in groups.items():
        picked = min(held, key=lambda one: one.predicted)
        best = min(one.measured for one in held)
        found.append((key, picked.measured / best - 1))
    return found


def rank_correlation(left: Sequence[float], right: Sequence[float]) -> float:
    """Spearman's coefficient, for numbers that all differ."""

    def ranks(held: Sequence[float]) -> list[float]:
        place = {k: rank for rank, k in enumerate(sorted(range(len(held)), key=held.__getitem__))}
        return [float(place[k]) for k in range(len(held))]

    return statistics.correlation(ranks(left), ranks(right))


def markdown(triples: Sequence[Triple], profile: MachineProfile) -> str:
    """The report."""
    whole = agreement(triples)
    lines = [
        "# Predicted and measured times",
        "",
        "Generated by `benchmarks/cost_model.py`: every plan is a module of its own, timed in",
        "shuffled rounds beside the other plans of its network. The choice is the plan with the",
        "least predicted time; what it loses is held against the best of all that were measured.",
        "",
        f"{whole.triples} triples of network, batch and plan, measured on {machine_text()};",
        f"predicted by the profile {profile.name}, fitted on {profile.fitted_on}.",
        "",
        "| | triples | rank correlation | median error | choice within 15 % of the best | worst |",
        "|---|---|---|---|---|---|",
    ]
    parts: list[tuple[str, Sequence[Triple]]] = [("all", triples)]
    parts += [(mode, [one for one in triples if one.mode == mode]) for mode in MODES]
    for name, held in parts:
        if len(held) > 1:
            one = agreement(held)
            lines.append(
                f"| {name} | {one.triples} | {one.correlation:.3f} | {one.median_error:.0%} |"
                f" {one.within:.0%} | {one.worst_loss:+.0%} |"
            )
    lines += [
        "",
        "| network, batch, mode | plans | fastest ms | chosen ms | lost | median error |",
        "|---|---|---|---|---|---|",
    ]
    for (workload, batch, mode), loss in choices(triples):
        held = [o for o in triples if (o.workload, o.batch, o.mode) == (workload, batch, mode)]
        best = min(one.measured for one in held)
        error = statistics.median(one.error for one in held)
        lines.append(
            f"| {workload}, {batch}, {mode} | {len(held)} | {best * 1e3:.3f} |"
            f" {best * (1 + loss) * 1e3:.3f} | {loss:.0%} | {error:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print the report, and store every triple."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--machine", default="builtin", help="builtin, measured or a profile")
    parser.add_argument("--only", action="append", help="networks whose target begins so")
    parser.add_argument("-o", "--output", metavar="FILE", help="JSON with every triple")
    parser.add_argument("--page", metavar="FILE", help="Markdown, as it is printed")
    given = parser.parse_args()
    profile = find_profile(given.machine)
    if profile.overlaps:
        parser.error("plans are measured on the processor; take a profile of one")
    asked = tuple(given.only or ("",))
    wanted = [one for one in WORKLOADS if one.target.startswith(asked)]
    triples = [
        Triple(case.workload, case.batch, case.plan, mode, taken, case.predicted(profile, mode))
        for case, mode, taken in measured(wanted, profile)
    ]
    page = markdown(triples, profile)
    print(page)
    if given.page:
        Path(given.page).write_text(page, encoding="utf-8")
    if given.output:
        stored = {"machine": machine_text(), "triples": [asdict(one) for one in triples]}
        Path(given.output).write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
