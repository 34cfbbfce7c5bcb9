"""Calls of functions and operators of models that are mistakes: code, place, hint."""

from __future__ import annotations

import math
import random
from contextlib import suppress

import pytest

from tests.support.typed_calls import Calls, shown
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.functions.operators import BINARY
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Numbers, Shape, Term, Tuple

T, S = Size.name("t"), Size.name("s")


def test_operands_that_do_not_fit() -> None:
    calls = Calls()
    x = calls.value(T, 4, dots=True)
    for other, axis in (
        (calls.value(3), "axis -1 is 4 on the left and 3 on the right"),
        (calls.value(T, 2, dots=True), "axis -1 is 4 on the left and 2 on the right"),
        (calls.value(S, 4, dots=True), "axis -2 is t on the left and s on the right"),
        (calls.value(4, dots=True), "number of axes after `...`"),
        (calls.value(2, T, 4), "`...` would meet a written axis"),
    ):
        wrong = calls.clash("+", x, other)
        assert shown(wrong) == (Code.MODEL_SHAPES, "right")
        assert [label.span.text for label in wrong.secondary] == ["left"]
        assert axis in wrong.message
        assert str(x.shape) in wrong.message
        assert str(other.shape) in wrong.message
    assert "require s == t" in (calls.clash("+", calls.value(S), calls.value(T)).hint or "")


def test_sizes_that_may_be_equal_are_checked_later() -> None:
    calls = Calls()
    halves = calls.value(2 * (T // 2))
    calls.operate("+", halves, calls.value(T))
    (check,) = calls.typing.checks.values()
    assert (check.comparison.left, check.comparison.right) == (2 * (T // 2), T)
    (warning,) = calls.typing.problems.warnings
    assert shown(warning) == (Code.UNDECIDED_SIZES, "right")
    assert "require t % 2 == 0" in (warning.hint or "")


def test_matrix_products_that_do_not_fit() -> None:
    calls = Calls()
    x = calls.value(T, 4, dots=True)
    wrong = calls.clash("@", x, calls.value(4, dots=True))
    assert shown(wrong) == (Code.MODEL_SHAPES, "right")
    assert "`network { left(..., i, j), right(..., j) -> (..., i) }`" in (wrong.hint or "")
    wrong = calls.clash("@", calls.value(4, dots=True), x)
    assert shown(wrong) == (Code.MODEL_SHAPES, "left")
    assert "`network { left(..., i), right(..., j, i) -> (..., j) }`" in (wrong.hint or "")
    wrong = calls.clash("@", calls.value(T, 4), calls.value(3))
    assert "axis -1 of the left is 4, axis -1 of the right is 3" in wrong.message
    wrong = calls.clash("@", x, calls.value(3, 4))
    assert shown(wrong) == (Code.MODEL_SHAPES, "right")
    assert "axis -1 of the left is 4, axis -2 of the right is 3" in wrong.message
    wrong = calls.clash("@", calls.value(2, T, 4), calls.value(3, 4, 2))
    assert "axis -3 is 2 on the left and 3 on the right" in wrong.message


@pytest.mark.parametrize(
    ("function", "arguments", "named", "place"),
    [
        ("reshape", (Shape((T, Size.number(2), Size.number(4)), True),), {}, "a1"),
        ("reshape", (Tuple((T, 4)),), {}, "a1"),
        ("expand", (Shape((T, Size.number(3)), True),), {}, "a1"),
        ("expand", (Tuple((T, 4)),), {}, "a1"),
        ("split", ((1, 2),), {"dim": -1}, "a1"),
        ("chunk", (3, -1), {}, "a1"),
        ("topk", (5,), {}, "a1"),
        ("interpolate", (), {"size": (2, 2)}, "a0"),
    ],
)
def test_arguments_that_do_not_fit_a_shape(
    function: str, arguments: tuple[Term, ...], named: dict[str, Term], place: str
) -> None:
    calls = Calls()
    x = calls.value(T, 4, dots=True)
    wrong = calls.refused(function, x, *arguments, **named)
    assert shown(wrong) == (Code.MODEL_SHAPES, place)
    assert str(x.shape) in wrong.message
    assert not calls.typing.checks


def test_members_that_differ() -> None:
    calls = Calls()
    x = calls.value(T, 4, dots=True)
    same, wider = calls.value(T, 4, dots=True), calls.value(T, 5, dots=True)
    wrong = calls.refused("concat", x, same, wider, wider, dim=-2)
    assert shown(wrong) == (Code.MODEL_SHAPES, "a2")
    assert [label.span.text for label in wrong.secondary] == ["a0"]
    assert "axis -1 is 4 and 5" in wrong.message
    assert shown(calls.refused("stack", x, same, wider, dim=-1)) == (Code.MODEL_SHAPES, "a2")
    assert shown(calls.refused("stack", x, calls.value(T, 4), dim=-1)) == (Code.MODEL_SHAPES, "a1")
    calls.call("concat", x, same, wider, dim=-1)


def test_piped_values_are_wrong_at_the_stage() -> None:
    calls = Calls()
    x = calls.value(T, 4, dots=True)
    wrong = calls.refused("maximum", calls.value(4, kind="complex"), x, piped=1)
    assert shown(wrong) == (Code.KINDS, "maximum")
    assert shown(calls.refused("take", x, calls.value(4, kind="int"), piped=1)) == (
        Code.MODEL_SHAPES,
        "take",
    )
    assert shown(calls.refused("softmax", x, 1, piped=1)) == (Code.NO_SUCH_AXIS, "a1")


def test_kinds_that_do_not_fit() -> None:
    calls = Calls()
    x, z = calls.value(4), calls.value(4, kind="complex")
    assert shown(calls.refused("relu", z)) == (Code.KINDS, "a0")
    assert shown(calls.refused("take", x, x)) == (Code.KINDS, "a1")
    assert shown(calls.refused("where", x, x, x)) == (Code.KINDS, "a0")
    assert shown(calls.refused("onehot", calls.value(4, kind="bool"), 2)) == (Code.KINDS, "a0")
    assert shown(calls.refused("pad", calls.value(4, kind="int"), 1, 1, -1, 0.5)) == (
        Code.KINDS,
        "a4",
    )
    wrong = calls.clash("<", x, z)
    assert shown(wrong) == (Code.KINDS, "right")
    assert [label.span.text for label in wrong.secondary] == ["left"]
    assert shown(calls.clash("and", x, calls.value(4, kind="bool"))) == (Code.KINDS, "left")
    ids = calls.value(4, kind="int")
    assert shown(calls.clash("**", ids, -1)) == (Code.KINDS, "right")
    assert shown(calls.clash("//", ids, 0)) == (Code.BAD_ARITHMETIC, "right")


def test_axes_that_there_are_not() -> None:
    calls = Calls()
    x, square = calls.value(T, 4, dots=True), calls.value(T, T)
    for value, dim in ((x, 1), (x, -3), (square, 2), (square, T), (x, S), (x, 0)):
        wrong = calls.refused("softmax", value, dim)
        assert shown(wrong) == (Code.NO_SUCH_AXIS, "a1")
        assert [label.span.text for label in wrong.secondary] == ["x"]
        assert str(value.shape) in wrong.message
        assert shown(calls.refused("softmax", value, dim=dim)) == (Code.NO_SUCH_AXIS, "dim = n0")
    for dims in ((-1, -1), (-1, 1), (), (0, 3)):
        assert shown(calls.refused("sum", x, dim=dims)) == (Code.NO_SUCH_AXIS, "dim = n0")
    assert shown(calls.refused("permute", x, (-1,))) == (Code.NO_SUCH_AXIS, "a1")
    assert shown(calls.refused("flatten", square, 1, 0)) == (Code.NO_SUCH_AXIS, "a1")
    assert shown(calls.refused("fft", calls.value())) == (Code.NO_SUCH_AXIS, "fft")
    assert shown(calls.refused("stack", x, dim=-4)) == (Code.NO_SUCH_AXIS, "dim = n0")
    assert shown(calls.refused("softmax", x, x)) == (Code.VALUE_FOR_NUMBER, "a1")
    assert shown(calls.refused("softmax", x, "t")) == (Code.WRONG_TYPE, "a1")


@pytest.mark.parametrize(
    ("function", "arguments", "named", "place"),
    [
        ("softmax", 0, {}, "softmax"),
        ("softmax", 1, {}, "softmax"),
        ("softmax", 1, {"dims": -1}, "dims ="),
        ("softmax", 1, {"dim": -1, "x": 1}, "x ="),
        ("relu", 2, {}, "a1"),
        ("concat", 2, {}, "concat"),
        ("concat", 0, {"dim": -1}, "concat"),
        ("clamp", 1, {}, "clamp"),
        ("interpolate", 1, {}, "interpolate"),
    ],
)
def test_arguments_missing_unknown_and_too_many(
    function: str, arguments: int, named: dict[str, Term], place: str
) -> None:
    calls = Calls()
    wrong = calls.refused(function, *[calls.value(4, 4, 4)] * arguments, **named)
    assert shown(wrong) == (Code.WRONG_ARGUMENT, place)
    if function != "interpolate":
        assert FUNCTIONS[function].signature in (wrong.hint or "")


@pytest.mark.parametrize(
    ("function", "arguments", "code", "hint"),
    [
        ("split", (3, -1), Code.WRONG_TYPE, "chunk"),
        ("split", (T, -1), Code.WRONG_TYPE, "chunk"),
        ("gelu", ("tan",), Code.WRONG_TYPE, "tanh"),
        ("reshape", (Tuple((4, -1)),), Code.BAD_SIZE, "size"),
        ("reshape", (Tuple((4, 1.5)),), Code.WRONG_TYPE, "//"),
        ("reshape", (Tuple((1,) * 65),), Code.TOO_MANY, "fewer"),
        ("reshape", (2**50,), Code.TOO_MANY, "smaller"),
        ("chunk", (0, -1), Code.BAD_SIZE, "positive"),
        ("chunk", (T, -1), Code.RUNTIME_SIZE, "parameter"),
        ("elu", (T,), Code.RUNTIME_SIZE, "parameter"),
        ("elu", (True,), Code.WRONG_TYPE, "number"),
        ("sum", (-1, 1), Code.WRONG_TYPE, "true"),
        ("topk", (0,), Code.BAD_SIZE, "larger"),
        ("roll", ((1, 1), -1), Code.LENGTH_MISMATCH, "equally"),
        ("roll", (Numbers((0.5,)), -1), Code.WRONG_TYPE, "integers"),
        ("interpolate", (2,), Code.WRONG_TYPE, "[2, 2]"),
        ("interpolate", ((2, 2), None), Code.MODEL_SHAPES, "reshape"),
        ("interpolate", (Numbers((0.1,)),), Code.MODEL_SHAPES, "size"),
    ],
)
def test_arguments_of_another_type(
    function: str, arguments: tuple[Term, ...], code: Code, hint: str
) -> None:
    calls = Calls()
    given = [each for each in arguments if each is not None]
    wrong = calls.refused(function, calls.value(T, T), *given)
    assert wrong.code == code
    assert hint in (wrong.hint or "")


def test_modes_belong_to_numbers_of_axes() -> None:
    calls = Calls()
    image = calls.value(2, T, T)
    wrong = calls.refused("interpolate", image, (2, 2), mode="linear")
    assert shown(wrong) == (Code.WRONG_TYPE, "n0")
    assert "bilinear" in "".join(wrong.notes)
    wrong = calls.refused("pad", image, 3, 0, 0, mode="circular")
    assert shown(wrong) == (Code.MODEL_SHAPES, "a1")


def test_any_arguments_give_a_value_or_one_diagnostic() -> None:
    calls = Calls()
    kinds: tuple[Kind, ...] = ("bool", "int", "float", "complex")
    values = [calls.of(calls.shape(), kind) for kind in kinds * 6]
    sizes: list[Term] = [T, 2 * S - 3, T // 2]
    numbers: list[Term] = [0, -1, -2, 1, 2, 2**70, True, 0.5, math.inf, "mean", "none", "reflect"]
    lists: list[Term] = [(), (-1, -2), (2, 2), Numbers((0.5, 2)), Tuple((T, 0)), Tuple((-T,))]
    legs = Shape((T, Size.number(2)), True)
    pool = [*values, *sizes, *numbers, *lists, legs, Tuple((values[0], values[1]))]
    for seed in range(6000):
        draw = random.Random(seed)
        function = FUNCTIONS[draw.choice(sorted(FUNCTIONS.keys() - {"attention", "scan"}))]
        names = [p.name for p in function.parameters if p.role != "values"]
        given = draw.sample(pool, draw.randint(0, 3))
        named = dict.fromkeys(draw.sample([*names[len(given) :], "k"], draw.randint(0, 1)))
        words = {name: draw.choice(pool) for name in named}
        try:
            calls.call(function.name, *given, piped=draw.randint(0, 1), **words)
        except Failed as failed:
            found = failed.diagnostic
            assert found is not None
            assert found.message
            assert found.primary.text
            assert found.notes
            assert found.hint or found.code == Code.MODEL_SHAPES
            assert len(found.message) < 400
    for seed in range(3000):
        draw = random.Random(seed)
        with suppress(Failed):
            calls.operate(draw.choice(sorted(BINARY)), *draw.sample(pool, 2))


def test_what_is_no_value_is_refused_as_one() -> None:
    calls = Calls()
    assert shown(calls.refused("relu", "x")) == (Code.WRONG_TYPE, "a0")
    assert shown(calls.refused("relu", Tuple((1, 2)))) == (Code.NUMBER_OF_VALUES, "a0")
    assert shown(calls.refused("relu", Shape((T,), True))) == (Code.NUMBER_OF_VALUES, "a0")


def test_sizes_that_grow_without_end() -> None:
    calls = Calls()
    big = Size.name("r") + Size.name("s") + Size.name("t") + 1
    wrong = calls.refused("reshape", calls.value(1), Tuple((big,) * 20))
    assert shown(wrong) == (Code.TOO_MANY, "reshape")
    assert shown(calls.refused("chunk", calls.value(10**6), 10**6, -1)) == (Code.TOO_MANY, "a1")
