"""Statements that hints quote are of the language."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.support.hinted import CASES, NAME, found, target
from tests.support.statements import BLOCKS, BODY, STATEMENTS
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.parsing import parse
from tncompile.language.parsing.errors import expectations, foreign_syntax
from tncompile.language.syntax.source import SourceFile

# ── what hints quote ─────────────────────────────────────────────────────────────────────────────

WORDS = ("index", "bond", "hyper", "batch", "window", "input", "tensor", "bias", "output", "let")


WORDS += ("require",)


def quoted_statements(hint: str) -> Iterator[str]:
    """The statements and blocks among what a hint quotes, as whole programs."""
    for text in re.findall(r"`([^`]+)`", hint):
        text = text.replace("{ … }", "{ }").replace("[…]", "[k in 0..2]").replace("= …", "= 2")
        text = text.replace("(…)", "()").replace(", …", "").replace("…", "2")
        text = re.sub(r"\((?:parameters|arguments|legs)\)", "()", text)
        word, _, rest = text.partition(" ")
        if word in WORDS and rest:
            yield f"network N() {{ {text} }}\n"
        elif word in ("network", "model", "rewrite", "import") and rest:
            yield f"{text}\n"


def hints() -> Iterator[str]:
    """The hints of everything that is wrong in the programs, of what the parser knows, too."""
    for _, text, folder in CASES:
        yield from (problem.hint or "" for problem in found(text, folder, target(text)))
    wrong = [BODY % line for line, _ in STATEMENTS] + [text for text, _ in BLOCKS]
    for text in wrong:
        with pytest.raises(CompileError) as caught:
            parse(SourceFile(NAME, text))
        yield from (problem.hint or "" for problem in caught.value.diagnostics)
    yield from (hint for hint, _ in expectations._CONSTRUCTS.values())
    yield from (f"`{text}`" for text in foreign_syntax._EXAMPLES.values() if "->" not in text)


def test_what_hints_quote_is_of_the_language() -> None:
    quoted = {text for hint in hints() for text in quoted_statements(hint)}
    assert len(quoted) > 60
    for text in sorted(quoted):
        try:
            parse(SourceFile(NAME, text))
        except CompileError as error:
            pytest.fail(f"{text}{error}")
