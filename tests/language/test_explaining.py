"""The pages of the codes: each example produces its code, and its repair does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tncompile.language.diagnostics.diagnostic import WARNINGS, Code, Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.pages import explain, pages
from tncompile.language.formatting import format_program
from tncompile.language.instantiating import resolve
from tncompile.language.linking import link
from tncompile.language.parsing import parse, parse_target
from tncompile.language.syntax.source import SourceFile
from tncompile.language.syntax.tree import Argument, ListOf, Number, Reference, Unary

LATER = {Code.NO_PLAN, Code.CANNOT_SPLIT, Code.NO_MATCH, Code.WEIGHT_MISFIT, Code.INTERNAL}
"""Codes that no program can produce yet; their pages say so."""


MODELS = {code for code in Code if code.startswith("TN6")}
"""Codes of what is checked when models are instantiated, which no version does yet."""


def examples(code: str) -> list[str]:
    return re.findall(r"^```tn\n(.*?)^```", pages()[code], re.MULTILINE | re.DOTALL)


EXAMPLES = [(code, k, text) for code in pages() for k, text in enumerate(examples(code))]


def number(value: object) -> object:
    """The value of a literal argument."""
    match value:
        case Number():
            return value.value
        case ListOf(items):
            return [number(item) for item in items]
        case Unary("-", operand):
            return -number(operand)  # type: ignore[operator]
    raise AssertionError(value)


def problems(text: str) -> Iterator[Diagnostic]:
    """What is reported for an example: errors, or the warnings where there are none."""
    first = text.splitlines()[0]
    try:
        linked = link(SourceFile("example.tn", text), folder=None, root=None)
        yield from linked.warnings
        if first.startswith("# instantiate: "):
            target = parse_target(first.removeprefix("# instantiate: "))
            assert isinstance(target.function, Reference)
            yield from resolve(linked, target.function.name.text, given(target.arguments)).warnings
    except CompileError as error:
        yield from error.diagnostics


def given(arguments: tuple[Argument, ...]) -> dict[str, object]:
    return {each.name.text: number(each.value) for each in arguments if each.name is not None}


def test_every_code_has_a_page() -> None:
    assert list(pages()) == [str(code) for code in Code]
    for code in Code:
        assert len(examples(code)) == (0 if code in LATER else 2), code
        if code in LATER:
            assert re.search(r"yet|by itself|No program", pages()[code]), code
        if code in WARNINGS:
            assert "(warning)" in pages()[code].splitlines()[0]


@pytest.mark.parametrize(("code", "k", "text"), EXAMPLES, ids=[f"{c}-{k}" for c, k, _ in EXAMPLES])
def test_examples_do_what_the_page_says(code: str, k: int, text: str) -> None:
    if code in MODELS:
        text = text.split("\n", 1)[1]
        assert format_program(parse(SourceFile("example.tn", text))) == text
        return
    assert [problem.code for problem in problems(text)] == ([] if k else [code])


@pytest.mark.parametrize("code", ["TN401", "tn401", " 401 "])
def test_a_code_is_found_however_written(code: str) -> None:
    assert explain(code).startswith("# TN401: bond without exactly two ends\n")


def test_examples_are_shown_with_their_names() -> None:
    for code in pages():
        shown = explain(code)
        assert [line for line in shown.splitlines() if line in ("Wrong:", "Right:")] == [
            "Wrong:",
            "Right:",
        ][: len(examples(code))]
        assert "# instantiate: N()" not in shown
    assert "# instantiate: N(d = 4)" in explain("TN301")


@pytest.mark.parametrize(("code", "near"), [("TN403x", "TN403"), ("TN999", "TN900")])
def test_an_unknown_code_names_the_closest(code: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"the closest is {near}"):
        explain(code)


def test_nothing_is_no_code() -> None:
    with pytest.raises(ValueError, match="a code is wanted, like TN101"):
        explain(" ")


def test_pages_are_short_lines() -> None:
    assert all(len(line) <= 110 for page in pages().values() for line in page.splitlines())
