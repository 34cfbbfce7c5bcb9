"""The application: its commands, its exit codes, and what happens when something breaks."""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import NoReturn

from tncompile import __version__
from tncompile.cli.bonds import bonds
from tncompile.cli.checking import check
from tncompile.cli.command import FINE, OUR_BUG, WRONG_PROGRAM, WRONG_USAGE
from tncompile.cli.comparing import compare
from tncompile.cli.compiling import compile
from tncompile.cli.costing import cost
from tncompile.cli.differing import diff
from tncompile.cli.drawing import show_drawing
from tncompile.cli.measuring import calibrate, explain_slow, tune
from tncompile.cli.reporting import report as write_report
from tncompile.cli.tensorizing import tensorize
from tncompile.cli.texts import blocks, explain, fmt
from tncompile.cli.writing import OutputError, UsageError, flush, report, say, show, use_utf8
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.spelling import closest

COMMANDS = {
    each.name: each
    for each in (
        *(check, compile, cost, tune, explain_slow, tensorize, compare),
        *(show_drawing, bonds, diff, write_report, fmt, explain, blocks, calibrate),
    )
}

TRACEBACK = "TNCOMPILE_TRACEBACK"
"""The environment variable that asks for the whole traceback of an internal error."""

BROKEN_PIPE = 141
"""What a shell says of a process whose reader left: 128 and the number of SIGPIPE."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    use_utf8()
    try:
        code = _dispatch(arguments)
        flush()
        return code
    except SystemExit as ended:  # argparse, after help or a usage error
        return ended.code if isinstance(ended.code, int) else FINE
    except CompileError as error:
        report(error.diagnostics)
        return WRONG_PROGRAM
    except UsageError as error:
        say(f"error: {error}")
        return WRONG_USAGE
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        _let_go()
        return BROKEN_PIPE
    except OutputError as error:
        say(f"error: {error}")
        _let_go()
        return WRONG_USAGE
    except OverflowError:
        say("error: these sizes are too large to plan with: their products fit no float")
        return WRONG_PROGRAM
    except Exception as error:
        words = MEMORY_WORDS if isinstance(error, RuntimeError) else ()
        if isinstance(error, MemoryError) or any(each in str(error) for each in words):
            say(
                "error: there is not enough memory for this batch and these sizes; try smaller ones"
            )
            return WRONG_PROGRAM
        _own_up(error)
        return OUR_BUG


MEMORY_WORDS = (
    "not enough memory",
    "can't allocate memory",
    "out of memory",
    "Storage size calculation overflowed",
)
"""How torch says that a tensor is too large, in exceptions without a type of their own."""


def _let_go() -> None:
    """Send what standard output still holds nowhere, so that the interpreter's end is quiet."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(arguments: Sequence[str]) -> int:
    """Find the command and do it."""
    if not arguments:
        say(_help())
        return WRONG_USAGE
    first, *rest = arguments
    if (command := COMMANDS.get(first)) is not None:
        return command.run(command.parse(rest)) or FINE
    if first in ("-h", "--help"):
        show(_help())
    elif first == "--version":
        show(f"tncompile {__version__}")
    else:
        kind = "option" if first.startswith("-") else "command"
        near = closest(first, COMMANDS)
        meant = f"did you mean {near!r}?" if near else f"there are {', '.join(COMMANDS)}"
        raise UsageError(f"there is no {kind} {first!r}; {meant}")
    return FINE


def _help() -> str:
    """The help of the whole."""
    width = max(map(len, COMMANDS))
    lines = "\n".join(f"  {each.name:{width}}  {each.summary}" for each in COMMANDS.values())
    return (
        "usage: tncompile COMMAND …\n\n"
        "Compile tensor networks, written down in .tn files, to readable PyTorch.\n\n"
        f"commands:\n{lines}\n\n"
        "`tncompile COMMAND --help` shows options and examples, `tncompile --version` the number.\n"
        "Exit codes: 0 fine, 1 problems in your file, 2 wrong usage, 70 a bug of ours."
    )


def _own_up(error: Exception) -> None:
    """Say that the fault is ours, and what to put into a report."""
    say(f"error[TN900]: a bug of tncompile, not of your file: {type(error).__name__}: {error}")
    frames = traceback.extract_tb(error.__traceback__)
    if frames:
        say(f"  in {frames[-1].name}, {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}")
    say("  Please report it where you got tncompile from, with the command and the file.")
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error, file=sys.stderr)
    else:
        say(f"  {TRACEBACK}=1 in the environment prints the whole traceback.")


def main() -> NoReturn:
    """The `tncompile` command."""
    gc.set_threshold(50_000, 20, 50)  # a plan is many small tuples, next to no cycles
    sys.exit(run(sys.argv[1:]))
