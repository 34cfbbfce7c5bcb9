"""Messages about the text: each says why and what to type; many of them stay few."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

import tncompile
from tests.support.limits import processor_seconds
from tests.support.mutating import mutated_programs
from tests.support.statements import BLOCKS, BODY, STATEMENTS
from tncompile.language.diagnostics.diagnostic import MOST_REPORTED, Diagnostic
from tncompile.language.diagnostics.errors import CompileError
from tncompile.language.diagnostics.rendering import render
from tncompile.language.parsing import parse, parse_target
from tncompile.language.syntax.source import SourceFile


def problems(text: str) -> tuple[Diagnostic, ...]:
    with pytest.raises(CompileError) as caught:
        parse(SourceFile("a.tn", text))
    return caught.value.diagnostics


def found(text: str) -> tuple[Diagnostic, ...]:
    """What is wrong with a text, if anything is."""
    try:
        parse(SourceFile("a.tn", text))
    except CompileError as error:
        return error.diagnostics
    return ()


@given(mutated_programs())
def test_every_message_has_a_note_and_a_hint(text: str) -> None:
    for problem in found(text):
        assert len(problem.notes) == 1, render([problem])
        assert problem.hint, render([problem])
        assert problem.primary.text, render([problem])


@pytest.mark.parametrize(("line", "said"), STATEMENTS, ids=[line for line, _ in STATEMENTS])
def test_what_to_type_in_a_statement(line: str, said: str) -> None:
    (problem,) = problems(BODY % line)
    assert said in render([problem])


@pytest.mark.parametrize(("text", "said"), BLOCKS, ids=[text for text, _ in BLOCKS])
def test_what_to_type_around_blocks(text: str, said: str) -> None:
    (problem,) = problems(text)
    assert said in render([problem])


@pytest.mark.parametrize("text", ["3", "N 3", "N(d = 3) x", "N.a", "[N]"])
def test_a_target_is_a_name_or_a_call(text: str) -> None:
    with pytest.raises(CompileError) as caught:
        parse_target(text)
    assert "write a name, `N`, or a call, `N(d = 4)`" in str(caught.value)


def test_nested_blocks_are_one_message_each() -> None:
    inner = '  network K() {\n    output z()\n  }\n  network L = K()\n  import "a.tn" { A }\n'
    nested = problems(BODY % inner + "network M() {\n  tensor\n}\n")
    assert [problem.primary.span.line for problem in nested] == [2, 5, 6, 12]
    assert not nested[0].secondary


def test_a_missing_brace_is_no_nested_block() -> None:
    (problem,) = problems("network M() {\n  output y()\n\nnetwork N() {\n  output y()\n}\n")
    assert "still open" in render([problem])


CHARACTERS = [
    ("½", "vulgar fraction one half", "digits 0 to 9"),
    ("€", "euro sign", "delete it"),
    ("😀", "grinning face", "delete it"),
    ("٣", "arabic-indic digit three", "write `3`"),
    ("\u0301", "combining acute accent", "without accents"),
    ("\u2003", "em space", "plain space"),
    ("\u200b", "zero width space", "delete it"),
    ("\u2028", "line separator", "line break"),
    ("\u0085", "next-line", "line break"),
    ("\0", "null", "delete it"),
    ("\a", "bell", "delete it"),
    ("\v", "vertical tab", "plain space"),
    ("\f", "form feed", "plain space"),
]


@pytest.mark.parametrize(
    ("character", "name", "hint"), CHARACTERS, ids=[name for _, name, _ in CHARACTERS]
)
def test_characters_have_names(character: str, name: str, hint: str) -> None:
    (problem,) = problems(BODY % f"  let q = 3 {character}")
    assert f"U+{ord(character):04X}, " in problem.notes[0]
    assert name in problem.notes[0]
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (BODY % ("  output y()\n" * 12_000), 12_000),
        (BODY % ("  bond r = 2\n  tensor A(" + ", ".join(["r"] * 40_000) + ")"), 39_999),
    ],
    ids=["outputs", "legs"],
)
def test_thousands_of_mistakes_are_quick_and_short(text: str, count: int) -> None:
    with processor_seconds(15), pytest.raises(CompileError) as caught:
        tncompile.loads(text)
    with processor_seconds(5):
        shown = str(caught.value)
    assert len(caught.value.diagnostics) == MOST_REPORTED
    assert f"{count - MOST_REPORTED:,} more errors after this one" in shown
    assert len(shown) < 100_000


# ── arguments from Python ────────────────────────────────────────────────────────────────────────

TYPES = (
    "network N(d: int = 4, s: float = 0.1, a: int[n] = [2]) {\n"
    "  index i = d, j[k in 0..n] = a[k]\n  input x(i, j[*])\n  tensor A(i, j[*]) init normal(s)\n"
    "  output y()\n}\n"
)


def argument_problem(**arguments: object) -> Diagnostic:
    with pytest.raises(CompileError) as caught:
        tncompile.loads(TYPES).instantiate("N", **arguments)
    (problem,) = caught.value.diagnostics
    return problem


def test_a_float_parameter_refuses_huge_numbers() -> None:
    problem = argument_problem(s=10**400)
    assert problem.code == "TN304"
    assert problem.primary.span.text == "s"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")], ids=str)
def test_a_float_parameter_refuses_what_is_not_finite(value: float) -> None:
    problem = argument_problem(s=value)
    assert problem.code == "TN305"
    assert f"not {value}" in problem.message


def test_lists_in_lists_are_refused() -> None:
    cyclic: list[object] = []
    cyclic.append(cyclic)
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    for value in (cyclic, deep, [[2]], [2.0], [True]):
        for name in ("d", "s", "a"):
            assert argument_problem(**{name: value}).code == "TN305"


def test_a_long_list_is_refused_at_once() -> None:
    with processor_seconds(5):
        assert argument_problem(d=[0] * 10**6).code == "TN305"


def test_arrays_of_one_axis_are_lists() -> None:
    numpy = pytest.importorskip("numpy")
    torch = pytest.importorskip("torch")
    spec = tncompile.loads(TYPES)
    for value in (numpy.array([2, 3]), torch.tensor([2, 3]), numpy.array([2, 3], "uint8")):
        made = spec.instantiate("N", a=value)
        assert repr(made) == repr(spec.instantiate("N", a=[2, 3]))
    spec.instantiate("N", d=numpy.int64(3), s=numpy.float32(0.5), a=numpy.array([2]))
    for wrong in (numpy.array([[2, 3]]), numpy.array([2.0]), numpy.array([True]), numpy.array(2)):
        assert argument_problem(a=wrong).code == "TN305"


@pytest.mark.parametrize("wrong", [3, None, b"N", ["N"], True], ids=str)
def test_only_text_is_compiled(wrong: Any) -> None:
    with pytest.raises(TypeError, match="target is a str"):
        tncompile.loads(TYPES).instantiate(wrong)
    with pytest.raises(TypeError, match="text is a str"):
        tncompile.loads(wrong)
