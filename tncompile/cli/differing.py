"""Two blocks beside each other: `tncompile diff`."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import FINE, WRONG_PROGRAM, command, option
from tncompile.cli.drawing import THEME, WIDTH, picture_format
from tncompile.cli.writing import UsageError, columns, refused, say, show, waiting, write_file

if TYPE_CHECKING:
    from tncompile import Architecture
    from tncompile.planning.request import SearchOptions


def file_and_target(text: str) -> tuple[str, str | None]:
    """The file and the call of FILE:TARGET; a file that is there may have colons in its name.

    >>> file_and_target("std/linear.tn:MPO(ins = [4], outs = [4])")
    ('std/linear.tn', 'MPO(ins = [4], outs = [4])')
    >>> file_and_target("old.tn"), file_and_target("-:Map")
    (('old.tn', None), ('-', 'Map'))
    """
    if os.path.exists(text):
        return text, None
    file, colon, target = text.partition(".tn:")
    if colon:
        return f"{file}.tn", target.strip() or None
    file, colon, target = text.partition(":")
    return (file, target.strip() or None) if colon else (text, None)


_WHAT = "FILE or FILE:TARGET, like 'std/linear.tn:MPO(ins = [4, 8], outs = [8, 4])'"


@command(
    "diff",
    "Compare two blocks, or two versions of a file: structure, parameters, costs.",
    "Tensors, indices and parts are compared by name; members of a family that differ alike are\n"
    "one row. Without a TARGET it is the one block of the file; B has the TARGET of A where it\n"
    "names none. Figures of B are divided by those of A. A picture has both side by side, what\n"
    "differs outlined.",
    [
        "tncompile diff 'std/linear.tn:LowRank(64, 64)' 'std/linear.tn:LowRank(64, 64, rank = 8)'",
        "tncompile diff std/transformer.tn:FeedForward "
        "'std/transformer.tn:FeedForward(gated = true)' --batch 16 -o diff.svg",
    ],
    [
        option("A", f"the first: {_WHAT}; `-` is standard input", dest="first"),
        option("B", "the second, likewise", dest="second"),
        option("-o --output OUT", "a picture, too: its name ends in .svg, .png or .html"),
        THEME,
        WIDTH,
        option("--json", "print all of it as JSON, for tools"),
        option("--exit-code", "end with 1 where they differ, as `git diff` does"),
        opt.BATCH,
        opt.SIZE,
        option("--training", "the plans of a training step, not of a forward pass"),
        opt.SEARCH,
        opt.MACHINE,
        opt.ROOT,
    ],
)
def diff(arguments: Namespace) -> int:
    """Show how two blocks differ; the exit code says it where that is asked for."""
    output = arguments.output
    suffix = None if output is None else picture_format(output)
    (one, target), (other, twin) = map(file_and_target, (arguments.first, arguments.second))
    if one == other == reading.STANDARD_INPUT:
        raise UsageError("A and B are both standard input, which is read once: name a file")
    first = _architecture(one, target, arguments.root)
    second = first  # of one call, which is not warned of twice
    if (other, twin or target) != (one, target):
        second = _architecture(other, twin or target, arguments.root)
    options: SearchOptions = {
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "machine": arguments.machine,
    }
    with (
        waiting("searching for contraction orders") as progress,
        reading.lock_problems(),
        refused("", ValueError),
    ):
        found = first.diff(
            second, arguments.batch, training=arguments.training, progress=progress, **options
        )
    if suffix is not None:
        picture = found.draw(theme=arguments.theme, width=arguments.width)
        with refused("", ImportError):
            content = picture.encoded(suffix)
        write_file(output, content)
    show(json.dumps(found.to_dict(), indent=2) if arguments.json else found.table(width=columns()))
    if suffix is not None:
        say(f"wrote {output}")
    return WRONG_PROGRAM if arguments.exit_code and not found.equal else FINE


def _architecture(name: str, target: str | None, root: Path | None) -> Architecture:
    return reading.instantiate(reading.load_spec(name, root), name, target)
