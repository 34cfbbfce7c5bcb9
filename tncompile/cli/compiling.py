"""What a block becomes: `tncompile compile`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.architecture import STAGES
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, waiting, write_file
from tncompile.language.diagnostics.spelling import closest
from tncompile.model import STAGES as MODEL_STAGES
from tncompile.model import Model

if TYPE_CHECKING:
    from tncompile.planning.request import PlanOptions

ALL_STAGES = tuple(dict.fromkeys((*STAGES, *MODEL_STAGES)))


def _stage(name: str) -> str:
    if name not in ALL_STAGES:
        raise UsageError(_no_stage(name, STAGES, ""))
    return name


def _no_stage(name: str, stages: Sequence[str], of: str) -> str:
    near = closest(name, stages)
    meant = f"; did you mean {near!r}?" if near else ""
    return f"--emit takes {', '.join(stages)}{of}, not {name!r}{meant}"


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
        option(
            "--emit STAGE",
            f"one of {', '.join(STAGES)}, of a model {', '.join(MODEL_STAGES)} (torch)",
            _stage,
            default=STAGES[-1],
        ),
        option(
            "--shard LEG",
            "a leg like o[0], of the output, of an input or a bond, that processes are to "
            "share: the source then also holds a ParallelStyle for parallelize_module",
            str.strip,
        ),
        *opt.PLANNING,
    ],
)
def compile(arguments: Namespace) -> None:
    """Write the source of a block, or another stage."""
    if arguments.shard is not None and arguments.emit != STAGES[-1]:
        raise UsageError(f"--shard is about {STAGES[-1]}, not about --emit {arguments.emit}")
    if reading.same_file(arguments.output, arguments.file):
        raise UsageError(f"-o {arguments.output} is the file that is compiled; name another one")
    architecture = reading.compiled(arguments)
    emit = arguments.emit
    if isinstance(architecture, Model):
        if arguments.shard is not None:
            raise UsageError("--shard is about a leg of one network, and this is a model")
        if emit not in MODEL_STAGES:
            raise UsageError(_no_stage(emit, MODEL_STAGES, " for a model"))
    elif emit not in STAGES:
        raise UsageError(_no_stage(emit, STAGES, " for a network"))
    options: PlanOptions = {
        "batch": arguments.batch,
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "memory_limit": arguments.memory_limit,
        "machine": arguments.machine,
    }
    with waiting("searching for a contraction order") as progress:
        if emit in ("plan", "tensor-program", "torch"):
            reading.plan_noted(architecture, progress, options)
        if isinstance(architecture, Model):
            text = architecture.describe(emit, **options)
        else:
            text = architecture.describe(emit, shard=arguments.shard, **options)
    write_file(arguments.output, text)
