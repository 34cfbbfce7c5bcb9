"""`tncompile check`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from tncompile.cli.command import FINE, WRONG_PROGRAM, Command, add_file, add_root
from tncompile.cli.reading import link_file
from tncompile.cli.writing import report, say, show
from tncompile.language.diagnostics import CompileError, Diagnostic


def _configure(parser: ArgumentParser) -> None:
    add_file(parser, several=True)
    parser.add_argument(
        "--with", dest="target", metavar="TARGET", help="check this call, in every file"
    )
    parser.add_argument("--json", action="store_true", help="print the problems as JSON, for tools")
    add_root(parser)


def _run(given: Namespace) -> int:
    return check(given.files, given.target, given.root, as_json=given.json)


CHECK = Command(
    "check",
    "Find what is wrong in files: all problems at once, each at its place.",
    "Every network whose parameters all have defaults is instantiated; --with names a call for\n"
    "the others. Warnings are shown and do not count. The exit code is 1 where there are errors.",
    (
        "tncompile check std/linear.tn",
        "tncompile check std/linear.tn --with 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)'",
    ),
    _configure,
    _run,
)


def check(files: Sequence[str], target: str | None, root: str | None, *, as_json: bool) -> int:
    """Report the problems of all files."""
    found = [diagnostic for name in files for diagnostic in problems(name, target, root)]
    errors = sum(diagnostic.severity == "error" for diagnostic in found)
    if as_json:
        import json

        from tncompile.language.rendering import to_json

        show(json.dumps(to_json(tuple(found)), indent=2, ensure_ascii=False))
    else:
        report(found)
        say(_summary(len(files), errors, len(found) - errors))
    return WRONG_PROGRAM if errors else FINE


def problems(name: str, target: str | None, root: str | None) -> tuple[Diagnostic, ...]:
    """Errors and warnings of one file, in order, none of them twice."""
    from tncompile.language.resolving import resolve

    try:
        linked = link_file(name, root)
    except CompileError as error:
        return error.diagnostics
    found = [*linked.warnings]
    for instance in linked.instances.values():
        found.extend(instance.warnings)
    ready = [
        block.name
        for block in linked.blocks.values()
        if block.kind == "network"
        and not block.imported
        and block.given is None
        and all(parameter.default is not None for parameter in block.parameters)
    ]
    for call in [target] if target is not None else ready:
        try:
            found.extend(resolve(linked, call).warnings)
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
