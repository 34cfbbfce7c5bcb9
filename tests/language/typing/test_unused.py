"""TN204 in models: what nothing uses."""

from __future__ import annotations

import pytest

import tncompile

PART = "part p = Linear(4, 4)"
EARLIER = "let h[l in 0..2] = if l == 0 then x else h[l - 1]"


def _warned(statements: str, output: str) -> list[str]:
    text = f"model M() {{\n  input x(..., 4)\n  {statements}\n  output {output}\n}}\n"
    warnings = tncompile.loads(text).warnings
    return [warning.message for warning in warnings if str(warning.code) == "TN204"]


@pytest.mark.parametrize(
    ("statement", "what"),
    [
        (PART, "part `p`"),
        ("part p[l in 0..2] = Linear(4, 4)", "part `p`"),
        ("tensor w(4) init ones", "tensor `w`"),
        ("input y(..., 4)", "input `y`"),
        ("let y = relu(x)", "value `y`"),
        (EARLIER, "value `h`"),  # members that use earlier ones are no use
    ],
)
def test_what_nothing_uses_is_said(statement: str, what: str) -> None:
    assert _warned(statement, "x") == [f"the {what} is never used"]


@pytest.mark.parametrize(
    ("statements", "output"),
    [
        (PART, "p(x)"),
        (PART, "x |> p"),
        (PART, "x |> (if false then p else relu)"),
        (f"{PART}\n  part q = Linear(4, 4) tie p", "q(x)"),
        ("tensor w(4) init ones", "x * w"),
        ("tensor w(4) init ones\n  tensor v(4) tie w", "x * v"),
        (EARLIER, "concat(h[*], dim = -1)"),
        ("input y(..., 4)", "x |> network { (..., i), y(..., i) -> (...) }"),
    ],
)
def test_every_use_counts(statements: str, output: str) -> None:
    assert _warned(statements, output) == []
