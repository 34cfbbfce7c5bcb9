"""Whole models: `tncompile tensorize`."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

import tncompile.cli.options as opt
from tncompile.cli.command import command, option
from tncompile.cli.writing import UsageError, refused, say, show, waiting


def seed(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise UsageError(f"--seed takes a whole number, not {text!r}")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        tolerance = float(text)
    except ValueError:
        tolerance = -1.0
    if not 0 < tolerance < 1:
        raise UsageError(f"--tolerance takes a relative error between 0 and 1, not {text!r}")
    return tolerance


@command(
    "tensorize",
    "Replace layers of a trained model by tensor networks that are fitted to them.",
    "MODEL is a Python module and what makes the model in it, also in the working directory:\n"
    "both are run. The rewrite says which layers become which networks; the report of\n"
    "what was lost goes to standard output. OUT is a folder that `tncompile.load_model` reads;\n"
    "it appears whole or not at all, and is read again before it does.",
    ["tncompile tensorize my_models:make_classifier --rewrite small.tn -o small"],
    [
        option("MODEL", "as `module:callable`"),
        option("--rewrite FILE", "a .tn file with a `rewrite` block", required=True),
        option("--moments FILE", "what `tncompile.Moments.save` wrote: errors count in its metric"),
        option("--name R", "which rewrite of the file, where it has several"),
        option("-o --output OUT", "the folder to write", required=True),
        option(
            "--tolerance E",
            "the relative error that ranks are chosen for where lines leave them out",
            _tolerance,
        ),
        option("--seed N", "of random starts (0)", seed, default="0"),
        option(
            "--memory-limit BYTES", "the most to use beside the model, like 2G", opt.memory_limit
        ),
        opt.ROOT,
    ],
)
def tensorize(arguments: Namespace) -> None:
    """Write a folder with a tensorized model, and show what was lost."""
    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.replacing.memory import memory_needed, written_bytes
    from tncompile.tensorizing.replacing.skeletons import made_model
    from tncompile.tensorizing.replacing.tensorized import tensorize
    from tncompile.tensorizing.rewriting.replacements import replacements
    from tncompile.tensorizing.rewriting.rewrite import Rewrite

    with refused(f"cannot read {arguments.rewrite}: ", OSError), refused("", ValueError):
        rewrite = Rewrite.load(arguments.rewrite, arguments.name, root=arguments.root)
    output = Path(arguments.output)
    if os.path.lexists(output) and not (output.is_dir() and not any(output.iterdir())):
        raise UsageError(f"-o {arguments.output} is there already; name a new folder")
    moments = None
    if arguments.moments is not None:
        with refused(f"cannot read {arguments.moments}: ", OSError), refused("", ValueError):
            moments = Moments.load(arguments.moments)
    with refused("MODEL: ", ValueError):
        model = made_model(arguments.model)
    needed = memory_needed(model, replacements(rewrite, model)[0])
    say(f"about {written_bytes(needed)} of memory are needed beside the model")
    with waiting("fitting") as progress, refused("", ValueError):
        done = tensorize(
            model,
            rewrite,
            moments=moments,
            seed=arguments.seed,
            tolerance=arguments.tolerance,
            memory_limit=arguments.memory_limit,
            progress=progress,
        )
    with refused(f"cannot write {arguments.output}: ", OSError, ValueError):
        done.save(output, model=arguments.model)
    show(repr(done.report))
    say(f"wrote {arguments.output}")
