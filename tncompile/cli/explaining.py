"""`tncompile explain`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tncompile.cli.command import FINE, Command
from tncompile.cli.writing import UsageError, show


def _configure(parser: ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", help="what stands in brackets: TN401")


def _run(arguments: Namespace) -> int:
    from tncompile.language.diagnostics.pages import explain

    try:
        show(explain(arguments.code))
    except ValueError as error:
        raise UsageError(str(error)) from error
    return FINE


EXPLAIN = Command(
    "explain",
    "Show the page of an error code: the rule, why it exists, and an example.",
    "Codes never change their meaning.",
    ("tncompile explain TN401",),
    _configure,
    _run,
)
