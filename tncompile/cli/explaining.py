"""`tncompile explain`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

import typer

from tncompile.cli.writing import UsageError, show
from tncompile.language.diagnostics import Code


def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="What stands in brackets: TN401.")],
) -> None:
    """Show the page of an error code: the rule, why it exists, and an example.

    \b
    Examples:
      tncompile explain TN401
    """
    from tncompile.language.explaining import explain as page

    known = [str(each) for each in Code]
    wanted = code.strip().upper()
    if wanted not in known:
        near = get_close_matches(wanted, known, n=3)
        raise UsageError(
            f"there is no code {code!r}; "
            + (f"close ones are {', '.join(near)}" if near else f"codes are {known[0]}…{known[-1]}")
        )
    show(page(wanted))
