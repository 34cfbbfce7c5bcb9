"""What a block becomes, and what that costs: `tncompile compile` and `tncompile cost`."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.architecture import STAGES
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, columns, refused, show, waiting, write_file
from tncompile.language.diagnostics.spelling import closest
from tncompile.model import STAGES as MODEL_STAGES
from tncompile.model import Model

if TYPE_CHECKING:
    from tncompile.architecture import Architecture
    from tncompile.inspection.symbolic.cost import SymbolicCost
    from tncompile.inspection.varying import Value, Variation
    from tncompile.planning.report.cost import Cost
    from tncompile.planning.request import PlanOptions, SearchOptions

PLANNING = (opt.SEARCH, opt.MACHINE, opt.MEMORY_LIMIT, opt.LOCK, opt.CHANNELS_LAST, opt.ROOT)


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


def _varied(text: str) -> tuple[str, tuple[Value, ...]]:
    """The name and the values of `--vary`.

    >>> _varied("ranks = 2, [4, 8]"), _varied("dropout=0.1,0")
    (('ranks', (2, (4, 8))), ('dropout', (0.1, 0)))
    """
    name, equals, written = (part.strip() for part in text.partition("="))
    values = re.findall(VALUE, written)
    if not name or not equals or not re.fullmatch(rf"(?:{VALUE})(?: *, *(?:{VALUE}))*", written):
        raise UsageError(f"--vary takes NAME=V,V, like ranks=2,8,32 or batch=1,64, not {text!r}")
    if len(values) > MOST_VARIED:
        raise UsageError(f"--vary takes up to {MOST_VARIED} values, not {len(values):,}")
    return name, tuple(map(_value, values))


VALUE = (
    r"\[ *[0-9]{1,18}(?: *, *[0-9]{1,18})* *\]|true|false"
    r"|[0-9]{1,18}(?:\.[0-9]{1,18})?(?:e-?[0-9]{1,2})?"
)
"""A list of integers, true or false, or a number."""

MOST_VARIED = 200


def _value(text: str) -> Value:
    if text.startswith("["):
        return tuple(int(part) for part in text[1:-1].split(","))
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdecimal() else float(text)


@command(
    "cost",
    "Show what a block costs: the contraction step by step, totals and alternatives.",
    "Of a model it is the tree of its parts, with totals, dense layers beside its networks, and\n"
    "what is not counted.\n"
    "Times are predicted: by the built-in machine profile, so that they are equal everywhere, or\n"
    "by another one (--machine). `tncompile explain-slow` measures instead.",
    [
        "tncompile cost std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 64",
        "tncompile cost std/classifier.tn TreeClassifier --batch 100 --training",
        "tncompile cost std/linear.tn 'MPO([4, 8], [8, 4])' --vary ranks=2,4,8 --search fast",
        "tncompile cost std/linear.tn 'Tucker(ins = [8, 8], outs = [8, 8])' --symbolic",
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
        option(
            "--vary NAME=V,V",
            "a table of the cost at several values of a parameter (ranks=2,8,32), of a run-time"
            " size or of `batch` (batch=1,64,4096); the plan is one for all sizes",
            _varied,
        ),
        option(
            "--symbolic",
            "multiply-adds, FLOPs and parameters as polynomials in the parameters of the block and "
            "run-time sizes; of a model its parameters, and its networks",
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
    varied = None if arguments.vary is None else arguments.vary[0]
    if varied is not None and arguments.symbolic:
        raise UsageError("--symbolic has all values at once: leave out --vary")
    if isinstance(architecture, Model):
        given = {varied: 1} if varied in architecture.sizes else {}
        reading.check_complete(architecture, dict(arguments.size) | given)
    figures: Cost | Variation | SymbolicCost
    with waiting("searching for a contraction order") as progress:
        if varied is None:
            reading.plan_noted(
                architecture, progress, {"minimize": "time", **options, "batch": arguments.batch}
            )
            find = architecture.symbolic if arguments.symbolic else architecture.cost
            with refused("", *([ValueError] if arguments.symbolic else [])):  # of too many terms
                figures = find(arguments.batch, training=arguments.training, **options)
        else:
            with refused("--vary: ", ValueError, TypeError):
                figures = architecture.vary(
                    *arguments.vary,
                    batch=arguments.batch,
                    training=arguments.training,
                    progress=progress,
                    **options,
                )
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
