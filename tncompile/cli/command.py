"""What a command is: its options, its help with examples that work, and what it does.

The parser is argparse and not typer: typer 0.29 checks every parameter by a pydantic model, and
loading that takes a third of the 0.3 seconds that `tncompile check` has.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

FINE, WRONG_PROGRAM, WRONG_USAGE, OUR_BUG = 0, 1, 2, 70
"""Exit codes: all is well; the user's file has problems; the call is wrong; the fault is ours."""

Option = Callable[[ArgumentParser], object]
"""What adds an option or an argument to a parser."""


def option(usage: str, words: str, read: Callable[[str], object] = str, **settings: Any) -> Option:
    """An option as it is called: `-o --output OUT`, a flag `--json`, or an argument `FILE`.

    `words` are its help. `read` makes a value of its text, and may raise `UsageError`; `settings`
    are those of argparse.
    """
    names = [part for part in usage.split() if part.startswith("-")]
    metavar = usage.split()[-1]
    if metavar not in names:
        settings |= {"metavar": metavar, "type": read}
        names = names or [settings.pop("dest", metavar.lower())]
    elif "choices" not in settings:
        settings["action"] = "store_true"
    return lambda parser: parser.add_argument(*names, help=words, **settings)


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `run` does it, and returns an exit code unless all is well."""

    name: str
    summary: str
    details: str
    examples: Sequence[str]
    options: Sequence[Option]
    run: Callable[[Namespace], int | None]

    def parse(self, arguments: Sequence[str]) -> Namespace:
        """The options of a call; prints help or usage and exits where they ask or err."""
        lines = "\n".join(f"  {line}" for line in self.examples)
        parser = ArgumentParser(
            prog=f"tncompile {self.name}",
            description=f"{self.summary}\n\n{self.details}",
            epilog=f"examples:\n{lines}",
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        for add in self.options:
            add(parser)
        return parser.parse_intermixed_args(arguments)


def command(
    name: str, summary: str, details: str, examples: Sequence[str], options: Sequence[Option]
) -> Callable[[Callable[[Namespace], int | None]], Command]:
    """Make a command of the function that does it."""
    return lambda run: Command(name, summary, details, examples, options, run)
