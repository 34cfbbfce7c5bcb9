"""What is concluded about run-time sizes, with what `require` says and without."""

from __future__ import annotations

from itertools import pairwise
from itertools import product as grid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.size_expressions import SAMPLES, SIZES, ZERO, of
from tncompile.language.typing.sizes import Facts, Size

a, b, h, s, t, w = (Size.name(name) for name in "abhstw")
NO_FACTS = Facts()


def check(facts: Facts, left: Size, right: Size, samples: list[dict[str, int]]) -> None:
    """What the facts say of the two is so for all samples.

    Different are polynomials that are not the same, even where some sizes make them equal.
    """
    found = facts.compare(left, right)
    same = [left.at(sizes) == right.at(sizes) for sizes in samples]
    if found == "equal":
        assert all(same)
    elif found == "different" and facts is NO_FACTS and set("/%") & set(str(left - right)):
        assert not any(same)
    ordered = [left.at(sizes) <= right.at(sizes) for sizes in samples]
    match facts.at_most(left, right):
        case True:
            assert all(ordered)
        case False:
            assert not any(ordered)
    if quotient := facts.quotient(left, right):
        assert all(left.at(sizes) == quotient.at(sizes) * right.at(sizes) for sizes in samples)
        assert quotient.names <= set("abc")


@given(SIZES, SIZES, st.integers(-3, 3))
def test_what_is_said_of_sizes_is_so(first: str, second: str, apart: int) -> None:
    left, right = of(first), of(second)
    check(NO_FACTS, left, right, SAMPLES)
    check(NO_FACTS, left, of(f"{first} % 6") + apart, SAMPLES)
    check(NO_FACTS, left * right, right + apart, SAMPLES)
    assert Facts().compare(left, left + apart) == ("different" if apart else "equal")
    assert Facts().at_most(left, left + apart) is (apart >= 0)


@given(SIZES, SIZES)
def test_a_product_is_divided_by_its_factors(first: str, second: str) -> None:
    left, right = of(first), of(second)
    if right != ZERO:
        assert Facts().quotient(left * right, right) == left


EQUALITIES = st.sampled_from(
    [
        ("a % 2", "0"),
        ("a % 4", "1"),
        ("b % 6", "3"),
        ("b % 4", "0"),
        ("a", "b"),
        ("b + 1", "a"),
        ("2 * a", "3 * b"),
        ("2 * a + 1", "3 * c"),
        ("(3 * c + 1) % 5", "2"),
        ("a * b % 4", "0"),
        ("a * b", "2 * c"),
        ("c", "a // 2 + 1"),
        ("a + b", "c + 3"),
        ("a", "6"),
        ("a // 2 + b // 2", "c"),
    ]
)


@settings(max_examples=200)
@given(
    st.lists(EQUALITIES, min_size=1, max_size=3),
    st.lists(st.tuples(SIZES, SIZES), max_size=1),
    SIZES,
    SIZES,
)
def test_what_follows_from_facts_is_so(
    equal: list[tuple[str, str]], at_most: list[tuple[str, str]], first: str, second: str
) -> None:
    facts = Facts()
    samples = [dict(zip("abc", values, strict=True)) for values in grid(range(1, 11), repeat=3)]
    for left, right in equal:
        facts.require_equal(of(left), of(right))
        samples = [each for each in samples if of(left).at(each) == of(right).at(each)]
    for left, right in at_most:
        facts.require_at_most(of(left), of(right))
        samples = [each for each in samples if of(left).at(each) <= of(right).at(each)]
    if samples:
        for left, right in equal:
            assert facts.compare(of(left), of(right)) == "equal"
            check(facts, of(left) * of(first), of(right) * of(first), samples)
        check(facts, of(first), of(second), samples)
        check(facts, of(f"({first}) // 2 * 2"), of(first), samples)


def test_large_sizes_are_not_reasoned_about() -> None:
    left = sum((Size.name(f"l{k}") for k in range(150)), t // 2)
    right = sum((Size.name(f"r{k}") for k in range(150)), ZERO)
    facts = Facts()
    facts.require_equal(left, right)
    facts.require_at_most(left, right)
    assert facts.compare(left, right) == "undecided"
    assert facts.at_most(left, right) is None
    assert facts.deciding(left, right) is None


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        (t, t, "equal"),
        (s, t, "different"),
        (t, t + 1, "different"),
        (2 * t, t, "different"),
        (t // 2 * 2, t, "undecided"),
        (t // 2 + t // 2, t, "undecided"),
        (t // 2, t, "different"),
        (t // 2, t // 2 + 1, "different"),
        (t % 4, Size.number(4), "different"),
        (t % 4, Size.number(-1), "different"),
        (t % 4, Size.number(3), "undecided"),
        (h * w // 2, h * w, "different"),
        ((h // 2) * (w // 2), h * w, "different"),
        ((h // 2) * (w // 2), h * w // 4, "undecided"),
        ((t - 3) // 2 * (t - 3), Size.number(-1), "undecided"),
    ],
)
def test_comparing(left: Size, right: Size, found: str) -> None:
    assert Facts().compare(left, right) == found
    assert Facts().compare(right, left) == found


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        (t // 2, t, True),
        (ZERO, t, True),
        (ZERO, t - 1, True),
        (Size.number(1), t, True),
        (t % 4, Size.number(3), True),
        (ZERO, t % 4, True),
        (ZERO, t * t - t, True),
        (t + 1, t, False),
        (t, ZERO, False),
        (Size.number(4), t % 4, False),
        (s, t, None),
        (Size.number(2), t, None),
        (t, Size.number(512), None),
    ],
)
def test_orders(left: Size, right: Size, found: bool | None) -> None:
    assert Facts().at_most(left, right) is found


def test_orders_that_are_required() -> None:
    facts = Facts()
    facts.require_at_most(t, Size.number(512))
    facts.require_at_most(s + 1, t)
    facts.require_at_most(h * w, s)
    assert facts.at_most(t, Size.number(512)) is True
    assert facts.at_most(t - 1, Size.number(511)) is True
    assert facts.at_most(t // 2, Size.number(256)) is True
    assert facts.at_most(Size.number(513), t) is False
    assert facts.at_most(t, Size.number(511)) is None
    assert facts.at_most(s, t - 1) is True
    assert facts.at_most(t, s) is False
    assert facts.at_most(h * w - 1, s) is True
    assert facts.compare(t // 2, Size.number(300)) == "different"
    facts.require_at_most(Size.number(32), a)
    assert facts.at_most(Size.number(16), a // 2 + 1) is True
    assert facts.at_most(Size.number(18), a // 2 + 1) is None
    facts.require_equal(b, a)
    facts.require_equal(a % 5, ZERO)
    assert facts.at_most(Size.number(16), b // 2 + 1) is True


@pytest.mark.parametrize("depth", range(1, 7))
def test_halves_meet_what_was_halved(depth: int) -> None:
    """The shapes of a U-Net: as often as `require` says, what is pooled and grown fits."""
    facts = Facts()
    for name in (h, w):
        facts.require_equal(name % 2**depth, ZERO)
    down = [h]
    for _ in range(depth + 1):
        down.append((down[-1] - 2) // 2 + 1)
    for level in range(depth):
        assert facts.compare((down[level + 1] - 1) * 2 + 2, down[level]) == "equal"
        assert facts.quotient(down[level] * w, Size.number(2 ** (2 * depth - level))) is not None
    assert facts.compare((down[depth + 1] - 1) * 2 + 2, down[depth]) == "undecided"


def test_remainders() -> None:
    facts = Facts()
    facts.require_equal(t % 4, ZERO)
    assert facts.compare(t // 2 * 2, t) == "equal"
    assert facts.compare(t // 4 * 4, t) == "equal"
    assert facts.compare(t // 2 // 2, t // 4) == "equal"
    assert facts.compare(t // 8 * 8, t) == "undecided"
    assert facts.compare(t, Size.number(6)) == "different"
    assert facts.at_most(Size.number(4), t) is True
    facts.require_equal(t % 3, Size.number(1))
    assert facts.compare(t // 3 * 3 + 1, t) == "equal"
    assert facts.compare((t - 4) // 12 * 12 + 4, t) == "equal"
    assert facts.at_most(Size.number(4), t) is True
    facts.require_equal((s + t) % 2, ZERO)
    assert facts.compare((s + t) // 2 * 2, s + t) == "equal"


def test_sizes_required_equal() -> None:
    facts = Facts()
    facts.require_equal(s, t)
    assert facts.compare(s * 2, t + s) == "equal"
    assert facts.compare(s, t + 1) == "different"
    assert facts.quotient(3 * s * h, t) == 3 * h
    facts.require_equal(t % 2, ZERO)
    assert facts.compare(s // 2 * 2, t) == "equal"
    facts.require_equal(h * w, 4 * a)
    assert facts.compare(h * w + a, 5 * a) == "equal"
    assert facts.compare(h * w * b, 4 * a * b) == "equal"
    assert facts.compare(h * w, a) == "different"
    facts.require_equal(h, Size.number(1))
    assert facts.compare(w // 4 * 4, w) == "equal"


def test_thousands_of_requirements() -> None:
    names = [Size.name(f"n{k}") for k in range(2000)]
    facts = Facts()
    for first, second in pairwise(names):
        facts.require_equal(first, second)
    facts.require_equal(names[1000] % 2, ZERO)
    assert facts.compare(names[0], names[-1]) == "equal"
    assert facts.compare(names[1] // 2 * 2, names[1999]) == "equal"
    assert facts.compare(names[0], names[-1] + 1) == "different"


def test_facts_that_contradict_each_other_are_survived() -> None:
    facts = Facts()
    facts.require_equal(t % 2, ZERO)
    facts.require_equal(t % 4, Size.number(1))
    facts.require_equal(t % 4, Size.number(7))
    facts.require_equal(t, t + 1)
    facts.require_equal(t, Size.number(5))
    assert facts.compare(t, t) == "equal"


@pytest.mark.parametrize(
    ("size", "by", "found"),
    [
        (2 * t, Size.number(2), t),
        (3 * t * h, t, 3 * h),
        (t * t - h * h, t - h, t + h),
        ((t // 2) * h, t // 2, h),
        (6 * t, 4 * t, None),
        (t, Size.number(2), None),
        (t, h, None),
        (t, ZERO, None),
        (ZERO, t, ZERO),
        (Size.number(12), Size.number(4), Size.number(3)),
    ],
)
def test_quotients(size: Size, by: Size, found: Size | None) -> None:
    assert Facts().quotient(size, by) == found


def test_quotients_by_facts() -> None:
    facts = Facts()
    facts.require_equal(t % 4, ZERO)
    assert facts.quotient(t, Size.number(2)) == t // 2
    assert facts.quotient(t * h, 2 * h) == t // 4 * 2
    assert facts.quotient(t, t // 4) == Size.number(4)
    assert facts.quotient(t, Size.number(8)) is None
    facts.require_equal(h, Size.number(3))
    assert facts.quotient(h * t, h) == t
    assert facts.quotient(12 * t, h) == 4 * t
    assert facts.quotient(2 * t, Size.number(3) - h) is None


@pytest.mark.parametrize(
    ("left", "right", "hint"),
    [
        (t // 2 * 2, t, "require t % 2 == 0"),
        (t // 2 + t // 4, 3 * (t // 4), "require t % 4 == 0"),
        (t // 3 * 3, t, "require t % 3 == 0"),
        ((t - 2) // 2 * 2 + 2, t, "require t % 2 == 0"),
        ((h // 2) * (w // 2) * 4, h * w, "require h % 2 == 0 and w % 2 == 0"),
        (h // 2 * 2 * w + w // 2 - w // 2, h * w, "require h % 2 == 0"),
        (t // 67 * 67, t, None),
        (t // 2 * 2 + 1, t, None),
        (t, t + 1, None),
        (t // 2, t // 2, None),
    ],
)
def test_what_would_decide(left: Size, right: Size, hint: str | None) -> None:
    assert Facts().deciding(left, right) == hint


def test_what_would_decide_beyond_what_is_known() -> None:
    facts = Facts()
    facts.require_equal(t % 2, ZERO)
    facts.require_equal(s, t)
    assert facts.deciding(s // 4 * 4, s) == "require s % 4 == 0"
