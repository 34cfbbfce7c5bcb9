"""Texts as long and as nested as may be, and any text at all."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.limits import processor_seconds
from tests.support.mutating import mutated_programs
from tests.support.parsing import block, problems, program
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render, to_json
from tncompile.language.parsing import parse_target
from tncompile.language.parsing.tables import load_tables

LET = "network N() { let a = %s }"


@pytest.mark.parametrize(
    "text",
    [
        LET % ("(" * 200 + "1" + ")" * 200),
        LET % ("[" * 200 + "]" * 200),
        LET % ("-" * 200 + "1"),
        LET % "**".join(["2"] * 201),
        LET % ("if a then b else " * 200 + "c"),
        LET % "+".join(["1"] * 20_000),
        LET % ("f" + "[0](1)" * 10_000),
        LET % "|>".join(["f"] * 20_000),
        LET % ("9" * 18),
    ],
    ids=lambda text: text[:50],
)
def test_inside_the_limits(text: str) -> None:
    assert program(text) == program(text)


@pytest.mark.parametrize(
    "text",
    [
        LET % ("(" * 201 + "1" + ")" * 201),
        LET % ("(" * 10_000),
        LET % ("[" * 201 + "]" * 201),
        LET % ("-" * 201 + "1"),
        LET % ("not " * 30_000 + "a"),
        LET % "**".join(["2"] * 50_000),
        LET % ("if a then b else " * 5_000 + "c"),
        LET % ("1 + f(" * 101 + "1" + ")" * 101),
        LET % ("9" * 19),
        LET % ("0." + "3" * 18),
        "#" * 200_001,
    ],
    ids=lambda text: text[:50],
)
def test_past_the_limits(text: str) -> None:
    with processor_seconds(10):
        (problem,) = problems(text)
        assert problem.code == Code.UNEXPECTED_TOKEN
        assert render([problem])


def test_a_long_file_parses() -> None:
    lines = "".join(f"  index i{k} = d\n" for k in range(9_990))
    assert len(block(f"network N(d: int = 4) {{\n{lines}}}\n").statements) == 9_990


# ── any text at all ──────────────────────────────────────────────────────────────────────────────


def check_any(text: str) -> None:
    """A program, or mistakes whose places lie in the text and which can be shown."""
    try:
        program(text)
    except CompileError as error:
        check_problems(error, text)


def check_problems(error: CompileError, text: str) -> None:
    """Every place lies in the text, and what is shown can be printed."""
    assert error.diagnostics
    for problem in error.diagnostics:
        assert problem.code.startswith("TN10")
        for label in (problem.primary, *problem.secondary):
            assert 0 <= label.span.start <= label.span.end <= len(text)
    str(error).encode()
    json.dumps(to_json(error.diagnostics))


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    check_any(text)


_PIECES = [*load_tables().words, *load_tables().symbols, "x", "3", '"s"', '"""d"""', "\n", "# c\n"]


@given(st.lists(st.sampled_from(_PIECES), max_size=40))
def test_any_tokens(pieces: list[str]) -> None:
    check_any(" ".join(pieces))


@settings(max_examples=300)
@given(mutated_programs())
def test_mutated_programs(text: str) -> None:
    check_any(text)


@given(st.text(max_size=60))
def test_any_target(text: str) -> None:
    try:
        parse_target(text)
    except CompileError as error:
        check_problems(error, text)
