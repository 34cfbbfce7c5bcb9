"""`tncompile compile`."""

from __future__ import annotations

from typing import Annotated

import typer

from tncompile.cli.reading import STANDARD_INPUT, File, Root, Target, instantiate
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, write_file

STAGES = ("program", "network", "plan", "tensor-program", "torch")
"""What `--emit` takes, in the order of the pipeline."""


def compile_file(
    file: File,
    target: Target = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="OUT", help="The file to write; `-` is standard output."
        ),
    ] = STANDARD_INPUT,
    batch: Annotated[
        str | None,
        typer.Option(metavar="1,64,4096", help="The batch sizes to plan for, separated by commas."),
    ] = None,
    emit: Annotated[
        str, typer.Option(metavar="STAGE", help=f"The stage to print: {', '.join(STAGES)}.")
    ] = STAGES[-1],
    root: Root = None,
) -> None:
    """Compile one block of a file to PyTorch source.

    The source imports torch alone and holds one nn.Module. The other stages are for the curious.

    \b
    Examples:
      tncompile compile std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' -o linear.py
      tncompile compile std/linear.tn 'LowRank(in_features = 8, out_features = 8)' --emit plan
    """
    if emit not in STAGES:
        raise UsageError(f"--emit takes {', '.join(STAGES)}, not {emit!r}")
    sizes = batch_sizes(batch)
    architecture = instantiate(file, target, root)
    with waiting("searching for a contraction order") as architecture.progress:
        text = architecture.describe(emit, batch=sizes)
    write_file(output, text)


def batch_sizes(text: str | None) -> tuple[int, ...] | None:
    """The numbers of `--batch`; None where it is not given.

    >>> batch_sizes("1, 64,4096")
    (1, 64, 4096)
    """
    if text is None:
        return None
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UsageError(f"--batch takes positive integers separated by commas, not {text!r}")
    return tuple(sorted(set(sizes)))
