"""Networks as large as they may be, and larger ones."""

from __future__ import annotations

import pytest

from tests.support.limits import processor_seconds
from tests.support.resolved import network, problems, sized
from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.diagnostics.errors import CompileError

# ── limits ─────────────────────────────────────────────────────────────────────────────────────

CHAIN = """network Chain(n: int, rank: int = 3) {
  index  f[k in 0..n] = 2
  bond   b[k in 0..n - 1] = rank
  input  x(..., k in 0..n, f[k])
  tensor G[k in 0..n](b[k - 1]?, f[k], b[k]?)
  output y(...)
}
"""


def test_a_chain_of_ten_thousand() -> None:
    with processor_seconds(10):
        resolved = network(CHAIN, n=10_000)
    assert len(resolved.tensors) == 10_000
    assert len(resolved.inputs[0].slices) == 10_000


@pytest.mark.parametrize(
    "statement",
    [
        "bond b[k in 0..1000000000] = 2",
        "bond b[k in 0..1000, l in 0..1000] = 2",
        "let a = [2] * 1000000000",
        "bond b[k in 0..100000] = ([k + 1] * 100000)[k]",
        "tensor T[k in 0..100001]()",
        "tensor T[k in 0..90000, l in 0..90000]() if false and k > 0 or k > l",
        "bond b = 2 ** 41",
        "let a = factor(2 ** 40, 999999999999)",
    ],
)
def test_past_the_limits_is_an_error_at_once(statement: str) -> None:
    text = sized("d").replace("  input", f"  {statement}\n  input")
    with processor_seconds(10):
        assert [d.code for d in problems(text)] == ["TN501"]


@pytest.mark.parametrize(
    "expression",
    [
        "+".join(["d"] * 5_000),
        "d" + "[0]" * 5_000,
        "if " + " and ".join(["d > 0"] * 2_000) + " then d else 1",
        "(" * 150 + "d" + ")" * 150,
        "min(" * 90 + "d, 1" + ", 2)" * 90,
        "if true then " * 150 + "d" + " else 1" * 150,
        "1 ** " * 150 + "d",
        "d * (1 + 0 * (" * 70 + "d" + "))" * 70,
        "99999999999 ** 99999999999 ** 99999999999",
    ],
)
def test_long_and_deep_expressions(expression: str) -> None:
    text = sized(expression)
    try:
        found: tuple[Diagnostic, ...] = network(text).warnings
    except CompileError as error:
        found = error.diagnostics
    assert len(found) < 2
