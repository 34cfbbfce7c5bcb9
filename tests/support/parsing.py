"""A text as a tree, or the mistakes that are found in it."""

from __future__ import annotations

import pytest

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.parsing import parse
from tncompile.language.syntax.source import SourceFile
from tncompile.language.syntax.tree import (
    Block,
    Program,
)


def program(text: str) -> Program:
    """The tree of a file."""
    return parse(SourceFile("a.tn", text))


def block(text: str) -> Block:
    """Its first block."""
    found = program(text).declarations[0]
    assert isinstance(found, Block)
    return found


def problems(text: str) -> tuple[Diagnostic, ...]:
    """The mistakes of a file, of which there are some."""
    with pytest.raises(CompileError) as caught:
        program(text)
    return caught.value.diagnostics
