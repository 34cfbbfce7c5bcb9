"""`tncompile cost`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    check_sizes,
    checked_machine,
    instantiate,
    memory_limit,
    plan_noted,
)
from tncompile.cli.waiting import waiting
from tncompile.cli.writing import UsageError, columns, show

if TYPE_CHECKING:
    from tncompile.planning.request import SearchOptions


def _configure(parser: ArgumentParser) -> None:
    add_file(parser)
    add_target(parser)
    parser.add_argument(
        "--batch", metavar="B", default="64", help="the product of the leading batch axes (64)"
    )
    parser.add_argument(
        "--size",
        metavar="NAME=N",
        action="append",
        default=[],
        help="the size of an axis declared with `batch`; may be given several times",
    )
    parser.add_argument(
        "--training",
        action="store_true",
        help="the contraction and the alternatives of a training step, not of a forward pass",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON, for tools")
    add_search(parser)
    add_machine(parser)
    add_memory_limit(parser)
    add_lock(parser)
    add_root(parser)


def _run(given: Namespace) -> int:
    batch, sizes = positive("--batch", given.batch), named_sizes(given.size)
    machine, limit = checked_machine(given.machine), memory_limit(given.memory_limit)
    architecture = instantiate(given.file, given.target, given.root, lock=given.lock)
    check_sizes(architecture, sizes)
    options: SearchOptions = {
        "sizes": sizes,
        "search": given.search,
        "memory_limit": limit,
        "machine": machine,
    }
    with waiting("searching for a contraction order") as progress:
        plan_noted(architecture, progress, {"batch": batch, "minimize": "time", **options})
        found = architecture.cost(batch, training=given.training, **options)
    if given.json:
        import json

        show(json.dumps(found.to_dict(), indent=2))
    else:
        show(found.table(width=columns()))
    return FINE


COST = Command(
    "cost",
    "Show what a block costs: the contraction step by step, totals and alternatives.",
    "Times are predicted: by the built-in machine profile, so that they are equal everywhere, or\n"
    "by another one (--machine). `tncompile explain-slow` measures instead.",
    (
        "tncompile cost std/linear.tn 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)' --batch 64",
        "tncompile cost std/classifier.tn TreeClassifier --batch 100 --training",
    ),
    _configure,
    _run,
)


def positive(option: str, text: str) -> int:
    """A positive integer given to an option."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and int(text) > 0):
        raise UsageError(f"{option} takes a positive integer, not {text!r}")
    return int(text)


def named_sizes(given: Sequence[str]) -> dict[str, int]:
    """The sizes of `--size NAME=N`, by name.

    >>> named_sizes(["n=64", "h = 32"])
    {'n': 64, 'h': 32}
    """
    sizes: dict[str, int] = {}
    for text in given:
        name, equals, number = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise UsageError(f"--size takes NAME=N, not {text!r}")
        sizes[name] = positive(f"--size {name}=N", number)
    return sizes
