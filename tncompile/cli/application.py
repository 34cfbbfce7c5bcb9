"""The application: its commands, its exit codes, and what happens when something breaks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from tncompile.cli.checking import check
from tncompile.cli.compiling import compile_file
from tncompile.cli.costing import cost
from tncompile.cli.explaining import explain
from tncompile.cli.formatting import fmt
from tncompile.cli.listing import blocks
from tncompile.cli.writing import UsageError, report, say, use_utf8
from tncompile.language.diagnostics import CompileError

WRONG_PROGRAM, WRONG_USAGE, OUR_BUG = 1, 2, 70
"""Exit codes beside 0: the user's file has problems; the call is wrong; the fault is ours."""

TRACEBACK = "TNCOMPILE_TRACEBACK"
"""The environment variable that asks for the whole traceback of an internal error."""

app = typer.Typer(
    name="tncompile",
    help="Compile tensor networks, written down in .tn files, to readable PyTorch.",
    epilog="Files are UTF-8 text; `-` reads standard input; `std/…` is the library that ships "
    "with the package. Exit codes: 0 fine, 1 problems in your file, 2 wrong usage, 70 a bug of "
    "ours.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

app.command("check")(check)
app.command("compile")(compile_file)
app.command("cost")(cost)
app.command("fmt")(fmt)
app.command("explain")(explain)
app.command("blocks")(blocks)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"tncompile {version('tncompile')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """What holds for every command."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line (without the program's name) and return its exit code."""
    use_utf8()
    try:
        typer.main.get_command(app).main(args=list(arguments), prog_name="tncompile")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except CompileError as error:
        report(error.diagnostics)
        return WRONG_PROGRAM
    except UsageError as error:
        say(f"error: {error}")
        return WRONG_USAGE
    except Exception as error:
        _own_up(error)
        return OUR_BUG
    return 0


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
    sys.exit(run(sys.argv[1:]))
