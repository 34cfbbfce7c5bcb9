"""`tncompile check`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.cli.command import FINE, WRONG_PROGRAM, WRONG_USAGE, Command, add_file, add_root
from tncompile.cli.reading import link_file
from tncompile.cli.writing import UsageError, report, say, show
from tncompile.language.diagnostics.diagnostic import CompileError, Diagnostic
from tncompile.language.linked import LinkedBlock, can_be_compiled


def _configure(parser: ArgumentParser) -> None:
    add_file(parser, several=True)
    parser.add_argument(
        "--with", dest="target", metavar="TARGET", help="check this call, in every file"
    )
    parser.add_argument("--json", action="store_true", help="print the problems as JSON, for tools")
    add_root(parser)


MOST_NAMED = 6
"""The most blocks of a file that are named as not compiled."""


def _run(arguments: Namespace) -> int:
    """Report the problems of all files."""
    problems: list[Diagnostic] = []
    blocks = waiting = unread = 0
    uncompiled: list[str] = []
    for name in arguments.files:
        try:
            checked = check(name, arguments.target, arguments.root)
        except UsageError as error:
            say(f"error: {error}")
            unread += 1
            continue
        problems += checked.problems
        blocks += checked.blocks
        waiting += checked.waiting
        uncompiled += [_not_yet(name, checked.uncompiled)] if checked.uncompiled else []
    errors = sum(problem.severity == "error" for problem in problems)
    if arguments.json:
        import json

        from tncompile.language.diagnostics.rendering import to_json

        show(json.dumps(to_json(tuple(problems)), indent=2, ensure_ascii=False))
    else:
        report(problems)
    for note in uncompiled:
        say(note)
    if not arguments.json and (read := len(arguments.files) - unread):
        say(_summary(read, errors, len(problems) - errors) + _note(blocks, waiting))
    if unread:
        return WRONG_USAGE
    return WRONG_PROGRAM if errors else FINE


CHECK = Command(
    "check",
    "Find what is wrong in files: all problems at once, each at its place.",
    "Every network whose parameters all have defaults is instantiated; --with names a call for\n"
    "the others. Warnings are shown and do not count. The exit code is 1 where there are errors,\n"
    "2 where a file cannot be read: the others are checked all the same.",
    (
        "tncompile check std/linear.tn",
        "tncompile check std/linear.tn --with 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)'",
    ),
    _configure,
    _run,
)


@dataclass(frozen=True, slots=True)
class Checked:
    """Errors and warnings of one file; how many blocks it declares, and how many need arguments.

    `uncompiled` are the blocks that this version cannot compile, in words.
    """

    problems: tuple[Diagnostic, ...]
    blocks: int
    waiting: int
    uncompiled: tuple[str, ...] = ()


def check(name: str, target: str | None, root: str | None) -> Checked:
    """What is wrong with one file, in order, nothing twice.

    Raises `UsageError` where it cannot be read.
    """
    from tncompile.language.resolving import resolve

    try:
        linked = link_file(name, root)
    except CompileError as error:
        return Checked(error.diagnostics, 1, 0)  # nothing is known of its blocks
    problems = [*linked.warnings]
    for instance in linked.instances.values():
        problems.extend(instance.warnings)
    own = [block for block in linked.blocks.values() if not block.imported]
    bare = [block for block in own if can_be_compiled(block) and block.given is None]
    ready = [
        block.name
        for block in bare
        if all(parameter.default is not None for parameter in block.parameters)
    ]
    for call in [target] if target is not None else ready:
        try:
            problems.extend(resolve(linked, call).warnings)
        except CompileError as error:
            problems.extend(error.diagnostics)
    waiting = len(bare) - len(ready) if target is None else 0
    uncompiled = tuple(_described(block) for block in own if not can_be_compiled(block))
    ordered = tuple(sorted(dict.fromkeys(problems), key=Diagnostic.sort_key))
    return Checked(ordered, len(own), waiting, uncompiled)


def _described(block: LinkedBlock) -> str:
    """A block that cannot be compiled, in words: "the model `M`"."""
    windows = " (it has windows)" if block.kind == "network" else ""
    return f"the {block.kind} `{block.name}`{windows}"


def _not_yet(file: str, blocks: Sequence[str]) -> str:
    """What is said of blocks that are read and no more.

    >>> _not_yet("a.tn", ["the model `M`"])
    'warning: a.tn: the model `M` cannot be compiled yet; only the syntax is checked'
    """
    shown = [*blocks[:MOST_NAMED]]
    if more := len(blocks) - len(shown):
        shown.append(f"{more} more")
    names = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return f"warning: {file}: {names} cannot be compiled yet; only the syntax is checked"


def _note(blocks: int, waiting: int) -> str:
    """What was not looked into.

    >>> _note(3, 2)
    " (2 blocks need arguments: --with 'NAME(…)' instantiates one)"
    """
    if not blocks:
        return " (no blocks in it)"
    if not waiting:
        return ""
    verb = "needs" if waiting == 1 else "need"
    return f" ({_count(waiting, 'block')} {verb} arguments: --with 'NAME(…)' instantiates one)"


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
