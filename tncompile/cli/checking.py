"""`tncompile check`."""

from __future__ import annotations

import json as json_format
from typing import Annotated

import typer

from tncompile.cli.reading import Files, Root, link_file
from tncompile.cli.writing import report, say, show
from tncompile.language.diagnostics import CompileError, Diagnostic


def check(
    files: Files,
    target: Annotated[
        str | None,
        typer.Option("--with", metavar="TARGET", help="Check this call, in every file."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the problems as JSON, on standard output.")
    ] = False,
    root: Root = None,
) -> None:
    """Find what is wrong in files: all problems at once, each at its place.

    Every network whose parameters all have defaults is instantiated; --with names a call for the
    others. Warnings are shown and do not count. The exit code is 1 where there are errors.

    \b
    Examples:
      tncompile check std/linear.tn
      tncompile check std/linear.tn --with 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)'
    """
    found = [diagnostic for name in files for diagnostic in problems(name, target, root)]
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    if json:
        from tncompile.language.rendering import to_json

        show(json_format.dumps(to_json(tuple(found)), indent=2, ensure_ascii=False))
    else:
        report(found)
        say(_summary(len(files), errors, len(found) - errors))
    if errors:
        raise typer.Exit(1)


def problems(name: str, target: str | None, root: str | None) -> tuple[Diagnostic, ...]:
    """Errors and warnings of one file, in order, none of them twice."""
    from tncompile.language.resolving import resolve

    try:
        linked = link_file(name, root)
    except CompileError as error:
        return error.diagnostics
    found = list(linked.warnings)
    ready = [
        block.name
        for block in linked.blocks.values()
        if block.kind == "network"
        and not block.imported
        and block.name not in linked.instances
        and all(parameter.default is not None for parameter in block.parameters)
    ]
    for call in [target] if target is not None else ready:
        try:
            found.extend(resolve(linked, call, {}).warnings)
        except CompileError as error:
            found.extend(error.diagnostics)
    return tuple(sorted(dict.fromkeys(found), key=Diagnostic.sort_key))


def _summary(files: int, errors: int, warnings: int) -> str:
    """One line in the end.

    >>> _summary(1, 0, 2)
    '1 file checked: no errors, 2 warnings'
    """
    parts = [_count(errors, "error")]
    if warnings:
        parts.append(_count(warnings, "warning"))
    return f"{_count(files, 'file')} checked: {', '.join(parts)}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
