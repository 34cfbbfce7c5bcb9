"""What a block looks like: `tncompile show`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, refused, waiting, write_file
from tncompile.inspection.drawing.drawing import FORMATS, MOST_DEEP, NARROWEST, THEMES, WIDEST
from tncompile.model import Model


def _width(text: str) -> int:
    width = opt.positive("--width", text)
    if not NARROWEST <= width <= WIDEST:
        raise UsageError(f"--width is from {NARROWEST} to {WIDEST:,} px, not {text}")
    return width


def _depth(text: str) -> int:
    if text not in map(str, range(MOST_DEEP + 1)):
        raise UsageError(f"--depth is from 0 to {MOST_DEEP}, not {text!r}")
    return int(text)


def picture_format(output: str) -> str:
    """How the name of a picture ends. Raises `UsageError` for a name that is none."""
    suffix = Path(output).suffix.lower()
    if suffix not in FORMATS:
        ends = ", ".join(FORMATS[:-1])
        raise UsageError(f"-o takes a name that ends in {ends} or {FORMATS[-1]}, not {output}")
    return suffix


THEME = option(
    "--theme THEME",
    "light, dark, or auto, which follows the reader's system (auto; a PNG is light)",
    choices=THEMES,
    default="auto",
)
WIDTH = option(
    "--width PX", "the width of the page that the type can be read on (600)", _width, default=600
)


@command(
    "show",
    "Draw a network: tensors are boxes, indices are lines, as wide as they are large; or a model.",
    "Inputs are below, the output is above, a cell an axis; names are those of the file. Long\n"
    "chains, large trees and grids are folded. The name of the output says the format: .svg,\n"
    ".png (with resvg-py) or .html; standard output takes SVG.",
    [
        "tncompile show std/linear.tn 'MPO(ins = [4, 8, 8], outs = [8, 8, 4])' -o mpo.svg",
        "tncompile show std/classifier.tn MERAClassifier --theme dark -o mera.html",
        "tncompile show std/classifier.tn TreeClassifier --contraction -o order.svg",
    ],
    [
        opt.FILE,
        opt.TARGET,
        option("-o --output OUT", "the file to write (stdout)", default=reading.STANDARD_INPUT),
        THEME,
        option("--all", "fold nothing, whatever its size"),
        WIDTH,
        option(
            "--depth N",
            "how often parts of a model are unfolded to what they are made of (0); in a page of"
            " HTML a click does it",
            _depth,
            default=0,
        ),
        option(
            "--contraction",
            "the order of contraction of a network instead, with the share of each step",
        ),
        opt.BATCH,
        option("--training", "the contraction of a training step, not of a forward pass"),
        opt.SEARCH,
        opt.ROOT,
    ],
)
def show_drawing(arguments: Namespace) -> None:
    """Draw the TARGET."""
    output = arguments.output
    suffix = ".svg" if output == reading.STANDARD_INPUT else picture_format(output)
    spec = reading.load_spec(arguments.file, arguments.root)
    architecture = reading.instantiate(spec, arguments.file, arguments.target)
    given = [
        name
        for name, is_given in (
            ("--training", arguments.training),
            ("--batch", arguments.batch is not None),
        )
        if is_given
    ]
    if given and not arguments.contraction:
        raise UsageError(f"{given[0]} is about --contraction: give that, too")
    if arguments.contraction:
        if isinstance(architecture, Model):
            raise UsageError("--contraction is of one network, and this is a model: name a network")
        with (
            waiting("searching for a contraction order") as progress,
            reading.lock_problems(),
        ):
            reading.plan_noted(
                architecture, progress, {"search": arguments.search, "batch": arguments.batch}
            )
            drawing = architecture.draw_contraction(
                arguments.batch,
                training=arguments.training,
                theme=arguments.theme,
                search=arguments.search,
                progress=progress,
            )
    else:
        drawing = architecture.draw(
            theme=arguments.theme,
            unfolded=arguments.all,
            width=arguments.width,
            depth=arguments.depth,
        )
    with refused("", ImportError):
        content = drawing.encoded(suffix)
    write_file(output, content)
