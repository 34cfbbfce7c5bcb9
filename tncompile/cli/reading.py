"""What comes in: the FILE and the TARGET of a command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tncompile.cli.writing import UsageError, reason

if TYPE_CHECKING:
    from tncompile import Spec

STANDARD_INPUT = "-"

File = Annotated[
    str, typer.Argument(metavar="FILE", help="A .tn file, `-` for standard input, or std/NAME.tn.")
]
Files = Annotated[
    list[str], typer.Argument(metavar="FILE...", help="Files; `-` reads standard input.")
]
Target = Annotated[
    str | None,
    typer.Argument(
        metavar="[TARGET]",
        help="A call like 'MPO(ins = [4, 8], outs = [8, 4])', or the name of a block that needs "
        "no arguments. May be left out where the file has one block.",
    ),
]
Root = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="The folder that imports may not leave; the file's, if not given."
    ),
]


def locate(name: str) -> Path:
    """The path of a FILE: as given, else `std/…` in the library that ships with the package."""
    path = Path(name)
    if path.parts[:1] == ("std",) and not path.exists():
        shipped = Path(__file__).parents[1].joinpath(*path.parts)
        return shipped if shipped.is_file() else path
    return path
