"""What a block costs: `tncompile cost`."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING

import tncompile.cli.options as opt
import tncompile.cli.reading as reading
from tncompile.cli.command import command, option
from tncompile.cli.drawing import picture_format
from tncompile.cli.writing import UsageError, columns, refused, say, show, waiting, write_file
from tncompile.model import Model

if TYPE_CHECKING:
    from tncompile.inspection.symbolic.cost import SymbolicCost
    from tncompile.inspection.varying.variation import Value, Variation
    from tncompile.planning.report.cost import Cost
    from tncompile.planning.request import SearchOptions


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
        option(
            "-o --output OUT",
            "with --vary, a picture of the times, too: a name that ends in .svg, .png or .html",
        ),
        option("--json", "print all figures as JSON, for tools"),
        *opt.PLANNING,
    ],
)
def cost(arguments: Namespace) -> None:
    """Show the cost of a block, as a table or as JSON."""
    if arguments.vary is not None:
        if arguments.symbolic:
            raise UsageError("--symbolic has all values at once: leave out --vary")
        _vary(arguments)
        return
    if arguments.output is not None:
        raise UsageError("-o is the picture of --vary; `tncompile report` writes a page of costs")
    architecture, options = reading.compiled(arguments), _options(arguments)
    if isinstance(architecture, Model):
        reading.check_complete(architecture, dict(arguments.size))
    with waiting("searching for a contraction order") as progress:
        reading.plan_noted(
            architecture, progress, {"minimize": "time", **options, "batch": arguments.batch}
        )
        find = architecture.symbolic if arguments.symbolic else architecture.cost
        with refused("", *([ValueError] if arguments.symbolic else [])):  # of too many terms
            figures = find(arguments.batch, training=arguments.training, **options)
    _print(arguments, figures)


def _vary(arguments: Namespace) -> None:
    """Show the cost at several values of a number, and write the picture."""
    (name, values), output = arguments.vary, arguments.output
    suffix = "" if output is None else picture_format(output)
    architecture, options = reading.compiled(arguments), _options(arguments)
    if isinstance(architecture, Model):
        given = {name: 1} if name in architecture.sizes else {}
        reading.check_complete(architecture, dict(arguments.size) | given)
    with (
        waiting("searching for contraction orders") as progress,
        refused("--vary: ", ValueError, TypeError),
        reading.lock_problems(),
    ):
        figures = architecture.vary(
            name,
            values,
            batch=arguments.batch,
            training=arguments.training,
            progress=progress,
            **options,
        )
    if output is not None:
        with refused("", ImportError):
            content = figures.draw().encoded(suffix)
        write_file(output, content)
    _print(arguments, figures)
    if output is not None:
        say(f"wrote {output}")


def _options(arguments: Namespace) -> SearchOptions:
    """How plans are searched."""
    return {
        "sizes": dict(arguments.size),
        "search": arguments.search,
        "memory_limit": arguments.memory_limit,
        "machine": arguments.machine,
    }


def _print(arguments: Namespace, figures: Cost | Variation | SymbolicCost) -> None:
    if arguments.json:
        import json

        show(json.dumps(figures.to_dict(), indent=2))
    else:
        show(figures.table(width=columns()))
