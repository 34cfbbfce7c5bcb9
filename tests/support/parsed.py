"""Statements and expressions, parsed."""

from __future__ import annotations

from typing import Any

from tests.support.parsing import block, problems
from tncompile.language.syntax.tree import (
    Let,
)

BODY = """network N(d: int = 4) {
  index  i = d, o = d
  input  x(..., i)
%s
  output y(..., o)
}
"""


def statement(text: str) -> Any:
    """The one statement of a network (of a model, where a network has none such)."""
    kind = "model" if text.startswith("part") or "|>" in text or "let (" in text else "network"
    (found,) = block(f"{kind} N() {{ {text} }}").statements
    return found


def value(text: str) -> Any:
    found = statement(f"let a = {text}")
    assert isinstance(found, Let)
    return found.value


def places(text: str) -> list[tuple[str, int, int]]:
    found = problems(text)
    return [(p.code, *p.primary.span.source.position(p.primary.span.start)) for p in found]
