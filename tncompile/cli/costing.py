"""`tncompile cost`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tncompile.cli.command import (
    FINE,
    Command,
    add_file,
    add_lock,
    add_planning,
    add_root,
    add_sizes,
    add_target,
)
from tncompile.cli.reading import (
    check_sizes,
    checked_machine,
    instantiate,
    memory_limit,
    named_sizes,
    plan_noted,
    positive,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import columns, show

if TYPE_CHECKING:
    from tncompile.planning.request import SearchOptions


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    add_sizes(parser)
    parser.add_argument(
        "--training",
        action="store_true",
        help="the contraction and the alternatives of a training step, not of a forward pass",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON, for tools")
    add_planning(parser)
    add_lock(parser)
    add_root(parser)


def _run(arguments: Namespace) -> int:
    batch, sizes = positive("--batch", arguments.batch), named_sizes(arguments.size)
    machine, limit = checked_machine(arguments.machine), memory_limit(arguments.memory_limit)
    architecture = instantiate(
        arguments.file, arguments.target, arguments.root, lock=arguments.lock
    )
    check_sizes(architecture, sizes)
    options: SearchOptions = {
        "sizes": sizes,
        "search": arguments.search,
        "memory_limit": limit,
        "machine": machine,
    }
    with waiting("searching for a contraction order") as progress:
        plan_noted(architecture, progress, {"batch": batch, "minimize": "time", **options})
        cost = architecture.cost(batch, training=arguments.training, **options)
    if arguments.json:
        import json

        show(json.dumps(cost.to_dict(), indent=2))
    else:
        show(cost.table(width=columns()))
    return FINE


COST = Command(
    "cost",
    "Show what a block costs: the contraction step by step, totals and alternatives.",
    "Times are predicted: by the built-in machine profile, so that they are equal everywhere, or\n"
    "by another one (--machine). `tncompile explain-slow` measures instead.",
    (
        "tncompile cost std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 64",
        "tncompile cost std/classifier.tn TreeClassifier --batch 100 --training",
    ),
    _configure,
    _run,
)
