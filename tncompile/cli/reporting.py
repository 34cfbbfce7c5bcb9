"""A page about a block: `tncompile report`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, refused, say, waiting, write_file
from tncompile.inspection.drawing.drawing import THEMES
from tncompile.model import Model

if TYPE_CHECKING:
    from tncompile.planning.request import SearchOptions


@command(
    "report",
    "Write a page of HTML about a block: its drawing, contraction, costs, source and bonds.",
    "It is one file, which loads nothing, for any screen and the keyboard alone. Of a model it\n"
    "has the parts by parameters, FLOPs and time, and what each network in it is made of. Without\n"
    "weights the bonds are those of a fresh start, and the page says so.",
    [
        "tncompile report std/linear.tn 'MPO(ins = [4, 8, 8], outs = [8, 8, 4])' -o mpo.html",
        "tncompile report std/transformer.tn 'LanguageModel(depth = 2, dense = false)' "
        "--weights model.safetensors -o model.html",
    ],
    [
        opt.FILE,
        opt.TARGET,
        option("-o --output OUT", "the page to write (stdout)", default=reading.STANDARD_INPUT),
        option("--weights FILE", "a state dict in safetensors, whose bonds are shown"),
        opt.BATCH,
        opt.SIZE,
        option("--training", "the costs of a training step, not of a forward pass"),
        option(
            "--theme THEME",
            "light, dark, or auto, which follows the reader's system (auto)",
            choices=THEMES,
            default="auto",
        ),
        *opt.PLANNING,
    ],
)
def report(arguments: Namespace) -> None:
    """Write the report of the TARGET."""
    output = arguments.output
    if output != reading.STANDARD_INPUT and Path(output).suffix.lower() != ".html":
        raise UsageError(f"-o takes a name that ends in .html, not {output}")
    weights = None if arguments.weights is None else reading.weights(arguments.weights)
    architecture = reading.compiled(arguments)
    if isinstance(architecture, Model):
        reading.check_complete(architecture, dict(arguments.size))
    options: SearchOptions = {
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "memory_limit": arguments.memory_limit,
        "machine": arguments.machine,
    }
    with waiting("making the report") as progress:
        reading.plan_noted(
            architecture, progress, {"minimize": "time", **options, "batch": arguments.batch}
        )
        with refused("--weights: ", *((ValueError,) if weights is not None else ())):
            made = architecture.report(
                arguments.batch,
                training=arguments.training,
                weights=weights,
                theme=arguments.theme,
                progress=progress,
                **options,
            )
    write_file(output, made.html)
    if output != reading.STANDARD_INPUT:
        say(f"wrote {output}")
