"""`tncompile fmt`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from tncompile.cli.command import FINE, WRONG_PROGRAM, WRONG_USAGE, Command, add_file
from tncompile.cli.reading import STANDARD_INPUT, read_source
from tncompile.cli.writing import UsageError, report, say, show, write_file
from tncompile.language.diagnostics.diagnostic import CompileError


def _configure(parser: ArgumentParser) -> None:
    add_file(parser, several=True)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; name the files that would change"
    )


def _run(arguments: Namespace) -> int:
    """Format files in place, or name those that would change."""
    failed = changed = unread = 0
    for name in arguments.files:
        try:
            before, after = _formatted(name)
        except CompileError as error:
            report(error.diagnostics)
            failed += 1
            continue
        except UsageError as error:
            say(f"error: {error}")
            unread += 1
            continue
        changed += before != after
        if name == STANDARD_INPUT and not arguments.check:
            show(after)
        elif before != after and arguments.check:
            show(name)
        elif before != after:
            write_file(name, after)
            say(f"formatted {name}")
    if unread:
        return WRONG_USAGE
    return WRONG_PROGRAM if failed or (arguments.check and changed) else FINE


FMT = Command(
    "fmt",
    "Rewrite files in the canonical layout, comments kept.",
    "Standard input is formatted to standard output. With --check the exit code is 1 where a file\n"
    "would change. A file with a syntax error is reported and left alone;\n"
    "the exit code is 2 where one cannot be read. The others are formatted all the same.",
    (
        "tncompile fmt --check std/linear.tn",
        "echo 'network N(){index i=2 input x(i) tensor A(i) output y()}' | tncompile fmt -",
    ),
    _configure,
    _run,
)


def _formatted(name: str) -> tuple[str, str]:
    """The text of a file as it is and as it should be."""
    from tncompile.language.parsing import parse

    source = read_source(name)
    return source.text, parse(source).describe()
