"""Programs with mistakes, and what is found in them."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.bad_programs import PROGRAMS, header
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile

NAME = "program.tn"


def target(text: str) -> str:
    """What a program instantiates: its header says so, else its last block."""
    held = header(text).get("instantiate")
    return held or re.findall(r"^network (\w+)", text, re.MULTILINE)[-1]


def found(text: str, folder: Path | None, called: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a program; its warnings, where there are no errors."""
    try:
        linked = link(SourceFile(NAME, text), folder=folder)
        held = linked.warnings
        if called != "-":
            held += resolve(linked, called).warnings
    except CompileError as error:
        return error.diagnostics
    return held


CASES = [(path.stem, path.read_text("utf-8"), path.parent) for path in PROGRAMS]
