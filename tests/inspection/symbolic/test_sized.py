"""Numbers that know what they are made of: they count as numbers, and say what they counted."""

from __future__ import annotations

import math
import random

import pytest

from tncompile.inspection.symbolic.polynomial import Polynomial, polynomial_of
from tncompile.inspection.symbolic.sized import (
    Quantity,
    Sized,
    TooLong,
    TwoMeanings,
    quantities_of,
    terms_of,
)


def letter(name: str, value: int) -> Sized:
    return Sized.of(Quantity(name, value, "parameter", name))


A, B, C = letter("a", 5), letter("b", 12), letter("c", 3)


def polynomial(size: int) -> Polynomial:
    return polynomial_of(size, quantities_of(A) | quantities_of(B) | quantities_of(C), {})


def test_random_expressions_have_the_value_of_plain_numbers() -> None:
    """Sums, products, quotients and remainders, at the values at hand and at others."""
    rng = random.Random(7)
    others = {"a": 7, "b": 30, "c": 4}
    for _ in range(200):
        known: list[tuple[int, int, int]] = [
            *((size, int(size), others[name]) for name, size in zip("abc", (A, B, C), strict=True)),
            (2, 2, 2),
            (1, 1, 1),
        ]
        for _ in range(6):
            (s, x, u), (t, y, v) = rng.choice(known), rng.choice(known)
            match rng.randrange(5):
                case 0:
                    known.append((s + t, x + y, u + v))
                case 1:
                    known.append((s - t, x - y, u - v))
                case 2:
                    known.append((s * t, x * y, u * v))
                case 3 if y > 0 and v > 0:
                    known.append((s // t, x // y, u // v))
                case 4 if y > 0 and v > 0:
                    known.append((s % t, x % y, u % v))
                case _:
                    pass
        size, value, other = known[-1]
        assert size == value
        assert polynomial(size).value == value
        assert polynomial(size).at(**others) == other


def test_the_code_of_numbers_keeps_the_letters() -> None:
    assert str(polynomial(math.prod((A, 2, A)))) == "2·a²"
    assert str(polynomial(sum([A * B, A * C], 0))) == "a·(b + c)"
    assert str(polynomial(max(A, B) ** 2)) == "b²"
    assert isinstance(2.5 * A, float)
    assert A == 5
    assert {A: 1}[5] == 1
    assert A // A == 1
    assert str(polynomial((A * B) // B)) == "a"
    assert str(polynomial(A // 2)) == "(a // 2)"
    assert polynomial(A // 2).at(a=9) == 4


def test_text_has_what_is_shared_in_front_and_ends_after_some_terms() -> None:
    assert str(polynomial(4 * A * B + 6 * A)) == "2·a·(2·b + 3)"
    assert str(polynomial(A - B)) == "a − b"
    assert str(polynomial(0 * A)) == "0"
    letters = [letter(f"r[{k}]", 2) for k in range(20)]
    text = str(polynomial(sum(letters)))
    assert text.endswith("+ r[11] + … and 8 more terms")
    assert polynomial(sum(letters)).text().count("+") == 19


def test_a_sum_of_thousands_is_no_recursion_and_a_power_of_a_sum_is_refused() -> None:
    total: int = 0
    for k in range(2000):
        total = total + letter(f"r[{k}]", 1)
    assert len(terms_of(total)) == 2000
    many = sum(letter(f"r[{k}]", 1) for k in range(40))
    with pytest.raises(TooLong):
        terms_of(many**6)


def test_a_name_stands_for_one_letter() -> None:
    with pytest.raises(TwoMeanings):
        quantities_of(A + letter("a", 6))


def test_what_is_no_letter_or_no_size_is_refused() -> None:
    found = polynomial_of(A * letter("r[0]", 2) * letter("r[1]", 3), quantities_of(A), {"n": "no"})
    assert found.at(r=[4, 5]) == 100
    for values, words in (
        ({"d": 1}, "`d` is no letter here"),
        ({"n": 1}, "`n` stays: no"),
        ({"r": [1]}, "`r` has 2 items, not 1"),
        ({"a": [1, 2]}, "`a` is one number"),
        ({"a": -1}, "`a` is a size, not -1"),
    ):
        with pytest.raises(ValueError, match=words):
            found.at(**values)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`a` is an int"):
        found.at(a=1.5)  # type: ignore[arg-type]
