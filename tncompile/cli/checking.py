"""`tncompile check`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from tncompile.cli.command import FINE, WRONG_PROGRAM, WRONG_USAGE, command, option
from tncompile.cli.options import FILES, ROOT
from tncompile.cli.reading import link_file
from tncompile.cli.writing import UsageError, report, say, show
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.linked import LinkedProgram, can_be_compiled


@command(
    "check",
    "Find what is wrong in files: all problems at once, each at its place.",
    "Every block whose parameters all have defaults is instantiated; --with names a call for\n"
    "the others. Models that take parts are checked where they are parts, rewrites without a\n"
    "model. Warnings are shown and do not count. The exit code is 1 where there are errors,\n"
    "2 where a file cannot be read: the others are checked all the same.",
    [
        "tncompile check std/linear.tn",
        "tncompile check std/linear.tn --with 'MPO(ins = [4, 8], outs = [8, 4], ranks = 8)'",
    ],
    [
        FILES,
        option("--with TARGET", "check this call, in every file", dest="target"),
        option("--json", "print the problems as JSON, for tools"),
        ROOT,
    ],
)
def check(arguments: Namespace) -> int:
    """Report the problems of all files."""
    problems: list[Diagnostic] = []
    blocks = waiting = unread = 0
    for name in arguments.files:
        try:
            linked = link_file(name, arguments.root)
        except UsageError as error:
            say(f"error: {error}")
            unread += 1
            continue
        except CompileError as error:
            problems += error.diagnostics
            blocks += 1  # nothing is known of its blocks
            continue
        own = [block for block in linked.blocks.values() if not block.imported]
        bare = [block for block in own if can_be_compiled(block) and block.arguments is None]
        calls = [arguments.target]
        if arguments.target is None:
            calls = [b.name for b in bare if all(p.default is not None for p in b.parameters)]
            waiting += len(bare) - len(calls)
        problems += _problems(linked, calls)
        blocks += len(own)
    errors = sum(problem.severity == "error" for problem in problems)
    if arguments.json:
        import json

        from tncompile.language.diagnostics.rendering import to_json

        show(json.dumps(to_json(tuple(problems)), indent=2, ensure_ascii=False))
    else:
        report(problems)
    if not arguments.json and (read := len(arguments.files) - unread):
        say(_summary(read, errors, len(problems) - errors, blocks, waiting))
    return WRONG_USAGE if unread else WRONG_PROGRAM if errors else FINE


def _problems(linked: LinkedProgram, calls: Sequence[str]) -> list[Diagnostic]:
    """What is wrong with a file and with calls of its blocks, in order, nothing twice."""
    from tncompile.language.instantiating import resolve

    problems = [*linked.warnings]
    for instance in linked.instances.values():
        problems.extend(instance.warnings)
    for call in calls:
        try:
            problems.extend(resolve(linked, call).warnings)
        except CompileError as error:
            problems.extend(error.diagnostics)
    return sorted(dict.fromkeys(problems), key=Diagnostic.sort_key)


def _summary(files: int, errors: int, warnings: int, blocks: int, waiting: int) -> str:
    """One line in the end; blocks that are `waiting` for arguments were not looked into.

    >>> _summary(1, 0, 2, blocks=3, waiting=0)
    '1 file checked: no errors, 2 warnings'
    """
    counts = [_count(errors, "error"), *([_count(warnings, "warning")] if warnings else [])]
    left_out = ""
    if not blocks:
        left_out = " (no blocks in it)"
    elif waiting:
        need = f"{_count(waiting, 'block')} {'needs' if waiting == 1 else 'need'} arguments"
        left_out = f" ({need}: --with 'NAME(…)' instantiates one)"
    return f"{_count(files, 'file')} checked: {', '.join(counts)}{left_out}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"
