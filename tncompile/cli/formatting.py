"""`tncompile fmt`."""

from __future__ import annotations

from typing import Annotated

import typer

from tncompile.cli.reading import STANDARD_INPUT, Files, read_source
from tncompile.cli.writing import report, say, show, write_file
from tncompile.language.diagnostics import CompileError


def fmt(
    files: Files,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; name the files that would change.")
    ] = False,
) -> None:
    """Rewrite files in the canonical layout, comments kept.

    Standard input is formatted to standard output. With --check the exit code is 1 where a file
    would change. A file with a syntax error is reported and left alone.

    \b
    Examples:
      tncompile fmt --check std/linear.tn
      echo 'network N(){index i=2 input x(i) tensor A(i) output y()}' | tncompile fmt -
    """
    failed = changed = 0
    for name in files:
        try:
            before, after = _format(name)
        except CompileError as error:
            report(error.diagnostics)
            failed += 1
            continue
        if name == STANDARD_INPUT and not check:
            show(after)
        elif before != after:
            changed += 1
            if check:
                show(name)
            else:
                write_file(name, after)
                say(f"formatted {name}")
    if failed or (check and changed):
        raise typer.Exit(1)


def _format(name: str) -> tuple[str, str]:
    """The text of a file as it is and as it should be."""
    from tncompile.language.parsing import parse

    source = read_source(name)
    return source.text, parse(source).describe()
