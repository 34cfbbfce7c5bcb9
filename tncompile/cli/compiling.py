"""What a block becomes, and what that costs: `tncompile compile` and `tncompile cost`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.architecture import STAGES
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, columns, show, waiting, write_file
from tncompile.language.diagnostics.spelling import closest

if TYPE_CHECKING:
    from tncompile.architecture import Architecture
    from tncompile.planning.request import PlanOptions, SearchOptions

PLANNING = (opt.SEARCH, opt.MACHINE, opt.MEMORY_LIMIT, opt.LOCK, opt.CHANNELS_LAST, opt.ROOT)


def _stage(name: str) -> str:
    if name not in STAGES:
        near = closest(name, STAGES)
        meant = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"--emit takes {', '.join(STAGES)}, not {name!r}{meant}")
    return name


@command(
    "compile",
    "Compile one block of a file to PyTorch source.",
    "The source imports torch alone and holds one nn.Module; --emit shows a stage on the way.",
    [
        "tncompile compile std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' -o mpo.py",
        "tncompile compile std/classifier.tn TreeClassifier --emit network",
    ],
    [
        opt.FILE,
        opt.TARGET,
        option("-o --output OUT", "the file to write (stdout)", default=reading.STANDARD_INPUT),
        option(
            "--batch 1,64,4096",
            "the batch sizes that matter most, separated by commas (the usual size, else 64); the "
            "source takes any batch and chooses by its size, except under torch.compile: there it "
            "is planned for the middle one",
            opt.batch_sizes,
        ),
        opt.SIZE,
        option("--emit STAGE", f"one of {', '.join(STAGES)} (torch)", _stage, default=STAGES[-1]),
        option(
            "--shard LEG",
            "a leg like o[0], of the output, of an input or a bond, that processes are to "
            "share: the source then also holds a ParallelStyle for parallelize_module",
            str.strip,
        ),
        *PLANNING,
    ],
)
def compile(arguments: Namespace) -> None:
    """Write the source of a block, or another stage."""
    if arguments.shard is not None and arguments.emit != STAGES[-1]:
        raise UsageError(f"--shard is about {STAGES[-1]}, not about --emit {arguments.emit}")
    if reading.same_file(arguments.output, arguments.file):
        raise UsageError(f"-o {arguments.output} is the file that is compiled; name another one")
    architecture = _architecture(arguments)
    options: PlanOptions = {
        "batch": arguments.batch,
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "memory_limit": arguments.memory_limit,
        "machine": arguments.machine,
    }
    with waiting("searching for a contraction order") as progress:
        if arguments.emit not in STAGES[:2]:
            reading.plan_noted(architecture, progress, options)
        text = architecture.describe(arguments.emit, shard=arguments.shard, **options)
    write_file(arguments.output, text)


@command(
    "cost",
    "Show what a block costs: the contraction step by step, totals and alternatives.",
    "Times are predicted: by the built-in machine profile, so that they are equal everywhere, or\n"
    "by another one (--machine). `tncompile explain-slow` measures instead.",
    [
        "tncompile cost std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 64",
        "tncompile cost std/classifier.tn TreeClassifier --batch 100 --training",
    ],
    [
        opt.FILE,
        opt.TARGET,
        opt.BATCH,
        opt.SIZE,
        option(
            "--training",
            "the contraction and the alternatives of a training step, not of a forward pass",
        ),
        option("--json", "print all figures as JSON, for tools"),
        *PLANNING,
    ],
)
def cost(arguments: Namespace) -> None:
    """Show the cost of a block, as a table or as JSON."""
    architecture = _architecture(arguments)
    options: SearchOptions = {
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "memory_limit": arguments.memory_limit,
        "machine": arguments.machine,
    }
    with waiting("searching for a contraction order") as progress:
        reading.plan_noted(
            architecture, progress, {"minimize": "time", **options, "batch": arguments.batch}
        )
        figures = architecture.cost(arguments.batch, training=arguments.training, **options)
    if arguments.json:
        import json

        show(json.dumps(figures.to_dict(), indent=2))
    else:
        show(figures.table(width=columns()))


def _architecture(arguments: Namespace) -> Architecture:
    """The block that is compiled; the sizes given with it are its own."""
    architecture = reading.instantiate(
        reading.load_spec(arguments.file, arguments.root),
        arguments.file,
        arguments.target,
        lock=arguments.lock,
        channels_last=arguments.channels_last,
    )
    reading.check_sizes(architecture, dict(arguments.size))
    return architecture
