"""`require` of run-time sizes that no sizes fulfill."""

from __future__ import annotations

import pytest

import tncompile
from tncompile import CompileError
from tncompile.language.diagnostics.diagnostic import Code, Diagnostic


def required(*conditions: str) -> tuple[Diagnostic, ...]:
    lines = "".join(f"  require {condition}\n" for condition in conditions)
    text = f"model M() {{\n  batch s, t\n{lines}  input x(s)\n  input y(t)\n  output (x, y)\n}}\n"
    try:
        tncompile.loads(text).instantiate("M")
    except CompileError as error:
        return error.diagnostics
    return ()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("t < 4", "t > 8"),
        ("t % 2 == 0", "t % 2 == 1"),
        ("t % 4 == 0", "t % 2 == 1"),
        ("t % 4 == 0", "t < 4"),
        ("t == 4", "t == 5"),
        ("t >= 4", "2 * t == 6"),
        ("s == t", "s != t"),
        ("s == t", "s > t"),
        ("s < t", "t < s"),
    ],
)
def test_contradictions_are_said_with_both_places(first: str, second: str) -> None:
    assert not required(first)
    assert not required(second)
    (found,) = required(first, "s >= 1", second)
    assert (found.code, found.primary.span.text) == (Code.REQUIREMENT_FAILED, second)
    assert [label.span.text for label in found.secondary] == [first]
    assert "contradicts an earlier requirement" in found.message


def test_a_condition_that_contradicts_itself() -> None:
    (found,) = required("t < 4 and t > 8")
    assert "contradicts itself" in found.message
    assert not required("t < 4 or t > 8")
    (found,) = required("t < 1")
    assert "contradicts" not in found.message


def test_what_sizes_can_fulfill_is_no_contradiction() -> None:
    assert not required("t % 2 == 0", "t % 3 == 1", "t >= 4", "s == t // 2", "s != t", "t <= 64")
