"""Expressions of sizes: values, comparisons, factorizations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.limits import processor_seconds
from tests.support.resolved import network, sized
from tncompile.language.evaluating.factorization import SPREAD, factorize, next_factorable


def size(expression: str, **arguments: object) -> int | None:
    return network(sized(expression), **arguments).index["i"].size


# ── expressions ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3 ** 2", 19),
        ("-7 // 2 + 5", 1),
        ("-7 % 4", 1),
        ("2 ** 3 ** 2 - 500", 12),
        ("20 - 3 - 2", 15),
        ("100 // 5 // 2", 10),
        ("-2 ** 2 + 9", 5),
        ("if d > 3 and not (d == 5) then 7 else 8", 7),
        ("if false and 1 // 0 == 1 or true then 1 else 2", 1),
        ("(if d == 4 then [5, 6] else [7])[1]", 6),
        ("([2] * 3 + 2 * [9])[3]", 9),
        ("len([1, 2, 3] * d)", 12),
        ("sum([1, 2] + [3])", 6),
        ("prod([2, 3, 7])", 42),
        ("cumprod([2, 3, 7])[1]", 6),
        ("sum(cumprod([d, 1, 2])) + len(cumprod([]))", 16),
        ("min([4, 2]) + max(1, 9, 3)", 11),
        ("log2(1025)", 10),
        ("log2(0.3) + 5", 3),
        ("gcd(12, 18, 27)", 3),
        ("ceil_div(10, 4) + ceil_div(-3, 2) + 2", 4),
        ("factor(3072, 4)[3]", 6),
        ("factor(parts = 2, n = 12)[0]", 4),
        ("1 * 0 ** 0", 1),
    ],
)
def test_expressions(expression: str, value: int) -> None:
    assert size(expression) == value


def test_values_of_every_type_can_be_compared() -> None:
    text = sized("if [d, 1] == [4, 1] and (d > 3) == true and 0.5 < 1 and d != 4.5 then 2 else 3")
    assert network(text).index["i"].size == 2


@given(st.integers(1, 5000), st.integers(1, 6))
def test_factorizations_are_even(n: int, parts: int) -> None:
    found = factorize(n, parts)
    if found is None:
        padded = next_factorable(n, parts)
        assert padded > n
        assert factorize(padded, parts) is not None
        assert all(factorize(size, parts) is None for size in range(n + 1, padded))
        return
    assert len(found) == parts
    assert torch.tensor(found).prod().item() == n
    assert list(found) == sorted(found, reverse=True)
    assert found[0] <= SPREAD * found[-1]
    smaller = [f for f in range(1, found[0]) if n % f == 0 and f**parts >= n]
    for first in smaller:  # no factorization has a smaller largest factor
        rest = factorize(n // first, parts - 1) if parts > 1 else None
        assert rest is None or rest[0] > first


@pytest.mark.parametrize("n", [2**40, 963_761_198_400, 2**40 - 87, 1_048_573**2 + 2, 2**39 + 6])
@pytest.mark.parametrize("parts", [2, 3, 7, 40])
def test_large_factorizations_are_quick(n: int, parts: int) -> None:
    with processor_seconds(5):
        if factorize(n, parts) is None:
            assert factorize(next_factorable(n, parts), parts) is not None
