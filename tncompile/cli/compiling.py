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
    add_machine,
    add_memory_limit,
    add_root,
    add_search,
    add_target,
)
from tncompile.cli.reading import (
    STANDARD_INPUT,
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
    add_search(parser)
    add_machine(parser)
    add_memory_limit(parser)
    add_lock(parser)
    add_root(parser)


def _run(given: Namespace) -> int:
    if given.emit not in STAGES:
        near = closest(given.emit, STAGES)
        meant = f"; did you mean {near!r}?" if near else ""
        raise UsageError(f"--emit takes {', '.join(STAGES)}, not {given.emit!r}{meant}")
    shard = given.shard and given.shard.strip()
    if shard is not None and given.emit != STAGES[-1]:
        raise UsageError(f"--shard is about {STAGES[-1]}, not about --emit {given.emit}")
    sizes = batch_sizes(given.batch)
    if same_file(given.output, given.file):
        raise UsageError(f"-o {given.output} is the file that is compiled; name another one")
    machine, limit = checked_machine(given.machine), memory_limit(given.memory_limit)
    architecture = instantiate(given.file, given.target, given.root, lock=given.lock)
    options: PlanOptions = {"search": given.search, "memory_limit": limit, "machine": machine}
    if sizes is not None:
        options["batch"] = sizes
    with waiting("searching for a contraction order") as progress:
        if given.emit not in STAGES[:2]:
            plan_noted(architecture, progress, options)
        text = architecture.describe(given.emit, shard=shard, **options)
    write_file(given.output, text)
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


def batch_sizes(text: str | None) -> tuple[int, ...] | None:
    """The numbers of `--batch`, in order, each once; None where it is not given.

    >>> batch_sizes("4096, 1,64,1")
    (1, 64, 4096)
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")
    if max(map(len, parts)) > 18:
        raise UsageError("--batch takes numbers of up to 18 digits")
    sizes = sorted({int(part) for part in parts})
    if sizes[0] < 1:
        raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")
    return tuple(sizes)
