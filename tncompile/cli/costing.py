"""`tncompile cost`."""

from __future__ import annotations

import json as json_format
from typing import Annotated

import typer

from tncompile.cli.reading import File, Root, Target, instantiate
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, show


def cost(
    file: File,
    target: Target = None,
    batch: Annotated[
        int, typer.Option(metavar="B", min=1, help="The product of the leading batch axes.")
    ] = 64,
    size: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=N", help="The size of a `batch` axis; may be given repeatedly."),
    ] = None,
    training: Annotated[
        bool, typer.Option("--training", help="A training step: forward and backward.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="All figures, for tools.")] = False,
    root: Root = None,
) -> None:
    """Show what a block costs: the contraction step by step, totals and alternatives.

    \b
    Examples:
      tncompile cost std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 64
      tncompile cost std/linear.tn 'LowRank(in_features = 512, out_features = 512)' --json
    """
    architecture = instantiate(file, target, root)
    with waiting("searching for a contraction order") as architecture.progress:
        found = architecture.cost(batch=batch, sizes=named_sizes(size or []))
    if json:
        show(json_format.dumps(found.to_dict(), indent=2))
    else:
        show(found.table(training=training))


def named_sizes(given: list[str]) -> dict[str, int]:
    """The sizes of `--size NAME=N`, by name.

    >>> named_sizes(["n=64", "h = 32"])
    {'n': 64, 'h': 32}
    """
    sizes: dict[str, int] = {}
    for text in given:
        name, _, number = (part.strip() for part in text.partition("="))
        if not name or not number.isdecimal() or int(number) < 1:
            raise UsageError(f"--size takes NAME=N with a positive integer N, not {text!r}")
        sizes[name] = int(number)
    return sizes
