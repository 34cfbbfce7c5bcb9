"""Run-time sizes: their normal form, their text, and their limits."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given, settings

import tncompile
from tests.support.size_expressions import NAMES, SAMPLES, SIZES, ZERO, number, of
from tncompile.language.typing.sizes import Size, SizeTooLarge, product

h, t, w = (Size.name(name) for name in "htw")


@given(SIZES)
def test_a_normal_form_has_the_value_of_its_expression(text: str) -> None:
    size = of(text)
    for sizes in SAMPLES[::7]:
        assert size.at(sizes) == number(text, sizes)
    assert size.names <= set(text)
    assert (size.value is None) == bool(size.names)


@given(SIZES)
def test_a_size_reads_back_as_itself(text: str) -> None:
    size = of(text)
    assert of(str(size)) == size
    for sizes in SAMPLES[::41]:
        assert number(str(size), sizes) == size.at(sizes)


@settings(max_examples=30)
@given(SIZES)
def test_a_size_is_an_expression_of_the_language(text: str) -> None:
    size = of(text)
    program = f"""network N(a: int, b: int, c: int, value: int) {{
      require {size} == value and a + b + c > 0
      index i = 2, o = 2
      input x(..., i)
      tensor W(o, i)
      output y(..., o)
    }}"""
    sizes = SAMPLES[45]
    tncompile.loads(program).instantiate(**sizes, value=size.at(sizes))


@given(SIZES, SIZES, SIZES)
def test_names_may_be_bound_before_or_after(text: str, first: str, second: str) -> None:
    size, bindings = of(text), {"a": of(first), "b": of(second)}
    for sizes in SAMPLES[::41]:
        inner = sizes | {name: bound.at(sizes) for name, bound in bindings.items()}
        assert size.bound(bindings).at(sizes) == size.at(inner)
    assert size.bound(NAMES) == size


@given(SIZES, SIZES)
def test_equal_sizes_have_equal_hashes(first: str, second: str) -> None:
    left, right = of(f"{first} + {second}"), of(f"{second} + {first}")
    assert left == right
    assert hash(left) == hash(right)
    assert str(left) == str(right)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (t - 1, "t - 1"),
        (-1 + t, "t - 1"),
        (10 - t, "10 - t"),
        (-t - 1, "-t - 1"),
        (1 * t, "t"),
        (t * 2, "2 * t"),
        (t - t, "0"),
        (-t, "-t"),
        (-(t // 2), "-(t // 2)"),
        (t - t // 2, "t - t // 2"),
        (t // 2 * 2, "2 * (t // 2)"),
        (w * (h // 2), "w * (h // 2)"),
        (h * w + 3 * h, "h * w + 3 * h"),
        (h * w // 2, "h * w // 2"),
        (2 * t // 3, "2 * t // 3"),
        ((t + 3) // 2, "(t + 1) // 2 + 1"),
        ((t + 2 * 1 - 2 * 1 - 1) // 2 + 1, "(t + 1) // 2"),
        (t // 2 // 2 // 2, "t // 8"),
        ((t // 2 + 1) // 2, "(t + 2) // 4"),
        (2 * t // 4, "t // 2"),
        (2 * t // 2, "t"),
        ((4 * t + 2) // 2, "2 * t + 1"),
        (t % 4, "t % 4"),
        (3 * (t % 4), "3 * (t % 4)"),
        (5 - t % 4, "5 - t % 4"),
        ((t + 1) % 4, "(t + 1) % 4"),
        ((t * 4 + 3) % 4, "3"),
        (t * t - t, "t * t - t"),
        (product([t, Size.number(3), h]), "3 * h * t"),
        (product([]), "1"),
    ],
)
def test_texts(size: Size, text: str) -> None:
    assert str(size) == text


def test_numbers() -> None:
    assert Size.number(7).value == 7
    assert (t - t).value == 0
    assert (t // 2).value is None
    assert ((t * 4 + 3) % 4).value == 3
    assert (Size.number(7) // Size.number(2)).value == 3


@pytest.mark.parametrize(
    ("divisor", "error"), [(0, ZeroDivisionError), (ZERO, ZeroDivisionError), (-2, TypeError)]
)
def test_divisors_are_positive_numbers(divisor: Size | int, error: type[Exception]) -> None:
    with pytest.raises(error):
        t // divisor
    with pytest.raises(error):
        t % divisor


def test_nothing_is_divided_by_a_run_time_size() -> None:
    with pytest.raises(TypeError):
        t // h


def test_large_sizes_are_refused() -> None:
    with pytest.raises(SizeTooLarge):
        t * 2**65
    with pytest.raises(SizeTooLarge):
        t // 2**65
    with pytest.raises(SizeTooLarge):
        product([t] * 200)
    many = [Size.name(f"n{k}") for k in range(201)]
    with pytest.raises(SizeTooLarge):
        sum(many, ZERO)
    with pytest.raises(SizeTooLarge):
        product(name + 1 for name in many)
    with pytest.raises(SizeTooLarge):
        reduce(lambda deep, _: (2 * deep + 1) // 3, range(30), t)
    with pytest.raises(SizeTooLarge):
        reduce(lambda wide, _: (2 * wide + h * wide) // 3, range(15), t)
