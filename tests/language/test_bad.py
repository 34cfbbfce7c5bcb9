"""Wrong programs: the code in the file name is reported, in its place, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bad_programs import OWN, PROGRAMS, header
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile


def reported(path: Path, target: str) -> tuple[Diagnostic, ...]:
    """Errors of loading and instantiating; the warnings where there are none."""
    source = SourceFile(path.name, path.read_text(encoding="utf-8"))
    try:
        linked = link(source, folder=path.parent)
        if target == "-":
            return linked.warnings
        return (*linked.warnings, *resolve(linked, target).warnings)
    except CompileError as error:
        return error.diagnostics


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_one_mistake_is_one_message_in_its_place(
    path: Path, golden: Callable[[Path, str], None]
) -> None:
    lines = header(path.read_text(encoding="utf-8"))
    found = reported(path, lines["instantiate"])
    rendering = render(found)
    assert len(found) == 1, rendering
    (diagnostic,) = found
    span = diagnostic.primary.span
    line, column = span.source.position(span.start)
    assert diagnostic.code == path.stem[:5], rendering
    assert lines.get("at", f"{line}:{column}") == f"{line}:{column}", rendering
    if "also" in lines:
        assert int(lines["also"]) in {label.span.line for label in diagnostic.secondary}, rendering
    assert lines.get("hint", "") in rendering
    expected = path.with_suffix(".expected")
    if expected.exists():
        golden(expected, rendering + "\n")


@pytest.mark.parametrize("path", sorted(OWN.glob("*.tn")), ids=lambda path: path.stem)
def test_every_message_says_what_to_do(path: Path) -> None:
    (diagnostic,) = reported(path, header(path.read_text(encoding="utf-8"))["instantiate"])
    assert diagnostic.message
    assert diagnostic.primary.text
    assert diagnostic.hint


def test_no_rendering_without_its_program() -> None:
    assert {p.stem for p in OWN.glob("*.expected")} <= {p.stem for p in OWN.glob("*.tn")}
