"""`tncompile explain-slow`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tncompile.cli.command import (
    FINE,
    Command,
    add_file,
    add_machine,
    add_root,
    add_seconds,
    add_sizes,
    add_target,
    add_threads,
)
from tncompile.cli.reading import (
    check_sizes,
    checked_machine,
    instantiate_of,
    load_spec,
    named_sizes,
    plan_noted,
    positive,
    positive_seconds,
    thread_count,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import show

if TYPE_CHECKING:
    from tncompile.simulation.modes import Mode


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    add_sizes(parser)
    parser.add_argument(
        "--training", action="store_true", help="a training step: forward and backward"
    )
    add_threads(parser)
    add_seconds(parser, "10")
    add_machine(parser)
    add_root(parser)


def _run(arguments: Namespace) -> int:
    batch, sizes = positive("--batch", arguments.batch), named_sizes(arguments.size)
    machine = checked_machine(arguments.machine, measures=True)
    count, seconds = thread_count(arguments.threads), positive_seconds(arguments.seconds)
    spec = load_spec(arguments.file, arguments.root)
    architecture = instantiate_of(spec, arguments.file, arguments.target)
    check_sizes(architecture, sizes)
    with waiting("searching for a contraction order") as progress:
        plan = plan_noted(
            architecture, progress, {"batch": batch, "sizes": sizes, "machine": machine}
        )

    from tncompile.cli.slow_report import Case, slow_report  # loads torch
    from tncompile.machine.host import threads

    mode: Mode = "training" if arguments.training else "inference"
    case = Case(spec, architecture, batch, sizes, mode, machine, seconds)
    with threads(count), waiting("measuring") as progress:
        text = slow_report(case, plan, progress or (lambda done, total: None))
    show(text)
    return FINE


EXPLAIN_SLOW = Command(
    "explain-slow",
    "Measure where the time of a block goes, step by step, and what would change it.",
    "Everything is measured on this machine, but for other arguments of the block: what these\n"
    "would change is predicted.",
    ("tncompile explain-slow std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4])' --seconds 1",),
    _configure,
    _run,
)
