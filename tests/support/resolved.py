"""Networks from text, resolved, and what is wrong with them."""

from __future__ import annotations

import pytest

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.resolved import ResolvedNetwork
from tncompile.language.syntax.source import SourceFile


def network(text: str, target: str = "", **arguments: object) -> ResolvedNetwork:
    return resolve(link(SourceFile("main.tn", text)), target, arguments)


def sized(expression: str, parameters: str = "d: int = 4") -> str:
    """A network with an index of the size given."""
    return (
        f"network N({parameters}) {{\n  index i = {expression}\n  input x(i)\n  output y(i)\n}}\n"
    )


def problems(text: str, target: str = "", **arguments: object) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        network(text, target, **arguments)
    return caught.value.diagnostics
