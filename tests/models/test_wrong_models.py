"""Wrong models: the code in the file name is reported, in its place, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance import ACCEPTANCE
from tests.support.bad_programs import header
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.syntax.source import SourceFile


@pytest.mark.parametrize(
    "path", sorted(ACCEPTANCE.glob("models/bad/*.tn")), ids=lambda path: path.stem
)
def test_one_mistake_is_one_message_in_its_place(path: Path) -> None:
    """A place without a column is one of several that would be as good."""
    source = SourceFile(path.name, path.read_text(encoding="utf-8"))
    lines = header(source.text)
    with pytest.raises(CompileError) as caught:
        resolve(link(source, folder=path.parent), lines["instantiate"])
    rendering = render(caught.value.diagnostics)
    assert len(caught.value.diagnostics) == 1, rendering
    (diagnostic,) = caught.value.diagnostics
    line, column = source.position(diagnostic.primary.span.start)
    assert diagnostic.code == path.stem[:5], rendering
    assert lines["at"] in (f"{line}:{column}", f"{line}"), rendering
    if "also" in lines:
        assert int(lines["also"]) in {label.span.line for label in diagnostic.secondary}, rendering
    assert lines.get("hint", "") in (diagnostic.hint or ""), rendering
