"""`tncompile compile`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from tncompile.architecture import STAGES
from tncompile.cli.command import (
    FINE,
    Command,
    add_file,
    add_lock,
    add_planning,
    add_root,
    add_target,
)
from tncompile.cli.reading import (
    STANDARD_INPUT,
    batch_sizes,
    checked_machine,
    instantiate,
    memory_limit,
    plan_noted,
    same_file,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, write_file
from tncompile.language.diagnostics.spelling import closest

if TYPE_CHECKING:
    from tncompile.planning.request import PlanOptions


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    parser.add_argument(
        "-o", "--output", metavar="OUT", default=STANDARD_INPUT, help="the file to write (stdout)"
    )
    parser.add_argument(
        "--batch",
        metavar="1,64,4096",
        help="the batch sizes that matter most, separated by commas (64); the source takes any "
        "batch and chooses by its size, except under torch.compile: there it is planned for the "
        "middle one",
    )
    parser.add_argument(
        "--emit", metavar="STAGE", default=STAGES[-1], help=f"one of {', '.join(STAGES)} (torch)"
    )
    parser.add_argument(
        "--shard",
        metavar="LEG",
        help="a leg like o[0], of the output, of an input or a bond, that processes are to share: "
        "the source then also holds a ParallelStyle for parallelize_module",
    )
    add_planning(parser)
    add_lock(parser)
    add_root(parser)


def _run(arguments: Namespace) -> int:
    if arguments.emit not in STAGES:
        near = closest(arguments.emit, STAGES)
        meant = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"--emit takes {', '.join(STAGES)}, not {arguments.emit!r}{meant}")
    shard = arguments.shard and arguments.shard.strip()
    if shard is not None and arguments.emit != STAGES[-1]:
        raise UsageError(f"--shard is about {STAGES[-1]}, not about --emit {arguments.emit}")
    sizes = batch_sizes(arguments.batch)
    if same_file(arguments.output, arguments.file):
        raise UsageError(f"-o {arguments.output} is the file that is compiled; name another one")
    machine, limit = checked_machine(arguments.machine), memory_limit(arguments.memory_limit)
    architecture = instantiate(
        arguments.file, arguments.target, arguments.root, lock=arguments.lock
    )
    options: PlanOptions = {"search": arguments.search, "memory_limit": limit, "machine": machine}
    if sizes is not None:
        options["batch"] = sizes
    with waiting("searching for a contraction order") as progress:
        if arguments.emit not in STAGES[:2]:
            plan_noted(architecture, progress, options)
        text = architecture.describe(arguments.emit, shard=shard, **options)
    write_file(arguments.output, text)
    return FINE


COMPILE = Command(
    "compile",
    "Compile one block of a file to PyTorch source.",
    "The source imports torch alone and holds one nn.Module; --emit shows a stage on the way.",
    (
        "tncompile compile std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' -o mpo.py",
        "tncompile compile std/classifier.tn TreeClassifier --emit network",
    ),
    _configure,
    _run,
)
