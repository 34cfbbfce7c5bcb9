"""What a command is: its options, its help with examples that work, and what it does.

The parser is argparse and not typer: typer 0.29 checks every parameter by a pydantic model, and
loading that takes a third of the 0.3 seconds that `tncompile check` has.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FINE, WRONG_PROGRAM, WRONG_USAGE, OUR_BUG = 0, 1, 2, 70
"""Exit codes: all is well; the user's file has problems; the call is wrong; the fault is ours."""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: `configure` adds its options to a parser, `run` does it and returns a code."""

    name: str
    summary: str
    details: str
    examples: tuple[str, ...]
    configure: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], int]

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
        self.configure(parser)
        return parser.parse_intermixed_args(arguments)


def add_file(parser: ArgumentParser, *, several: bool = False) -> None:
    """The FILE of a command, or its files."""
    parser.add_argument(
        "files" if several else "file",
        metavar="FILE",
        nargs="+" if several else None,
        help="a .tn file; `-` is standard input, std/NAME.tn the library that ships with tncompile",
    )


def add_target(parser: ArgumentParser) -> None:
    """The TARGET of a command."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        nargs="?",
        help="a call like 'MPO(ins = [4, 8], outs = [8, 4])', or the name of a block that needs no "
        "arguments; may be left out where the file has one block",
    )


SEARCHES = ("fast", "normal", "thorough")
"""How hard to look for an order of contraction."""


def add_planning(parser: ArgumentParser) -> None:
    """`--search`, `--machine` and `--memory-limit`."""
    parser.add_argument(
        "--search",
        choices=SEARCHES,
        default="normal",
        help="how hard to look for an order of contraction (normal)",
    )
    add_machine(parser)
    parser.add_argument(
        "--memory-limit",
        metavar="BYTES",
        help="the most that a training step may hold at once, like 500M or 2G",
    )


def add_machine(parser: ArgumentParser) -> None:
    """`--machine`."""
    parser.add_argument(
        "--machine",
        metavar="PROFILE",
        default="builtin",
        help="what predicts times: `builtin`, `cuda` (a data sheet's figures), `measured` and "
        "`measured-cuda` (what `calibrate` found on this machine), or a file that `calibrate` "
        "wrote (builtin)",
    )


def add_sizes(parser: ArgumentParser) -> None:
    """`--batch` and `--size`."""
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


def add_threads(parser: ArgumentParser) -> None:
    """`--threads`."""
    parser.add_argument(
        "--threads", metavar="N", help="the threads that torch runs on (as many as it takes itself)"
    )


def add_seconds(parser: ArgumentParser, default: str) -> None:
    """`--seconds`."""
    parser.add_argument(
        "--seconds",
        metavar="S",
        default=default,
        help=f"about how long to measure in all ({default})",
    )


def add_lock(parser: ArgumentParser) -> None:
    """`--lock`."""
    parser.add_argument(
        "--lock",
        action="store_true",
        help="keep the plan in FILE's lock (mpo.tnlock beside mpo.tn); one that is there is used "
        "with or without this",
    )


def add_root(parser: ArgumentParser) -> None:
    """`--root`."""
    parser.add_argument(
        "--root", metavar="FOLDER", help="the folder that imports may not leave (the file's own)"
    )
