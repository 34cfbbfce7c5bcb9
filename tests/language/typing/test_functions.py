"""Kinds and shapes of all functions and operators of models, against what torch gives."""

from __future__ import annotations

import random

import pytest
import torch

from tests.support.function_draws import DRAWS, stretched
from tests.support.models_oracle import CALLS
from tests.support.typed_calls import Calls
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.typing.functions import FUNCTIONS
from tncompile.language.typing.functions.operators import BINARY, UNARY
from tncompile.language.typing.operations import Apply
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import KINDS, Kind, Numbers, Shape, Term, Tuple, Value, higher

ELSEWHERE = {"attention", "scan"}
"""Typed by modules of their own."""


def test_all_functions_are_tried() -> None:
    assert DRAWS.keys() | ELSEWHERE == FUNCTIONS.keys()
    operators = {each.function for each in (*BINARY.values(), *UNARY.values())}
    assert CALLS.keys() == DRAWS.keys() | operators


# ── against torch ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.parametrize("function", DRAWS)
def test_kinds_and_shapes_are_those_of_torch(function: str) -> None:
    """Of every kind that is taken; torch takes none of those that are refused."""
    taken: set[Kind] = set()
    for seed in range(60):
        kind = KINDS[seed % 4]
        calls = Calls(random.Random(f"{function} {seed}"))
        arguments, named = DRAWS[function](calls, kind)
        try:
            term = calls.call(function, *arguments, **named)
        except Failed as failed:
            _is_of_kinds(failed)
            assert kind not in taken
            _refuses(function, calls, arguments, named)
            continue
        taken.add(kind)
        assert not calls.typing.checks
        calls.results(term)
    assert taken


def _is_of_kinds(failed: Failed) -> None:
    assert failed.diagnostic is not None
    assert failed.diagnostic.code == Code.KINDS, failed.diagnostic.message


def _refuses(
    function: str, calls: Calls, arguments: tuple[Term, ...], named: dict[str, Term]
) -> None:
    """Torch refuses these values, too, with the options of a call on floats."""
    floats = [calls.of(a.shape) if isinstance(a, Value) else a for a in arguments]
    if function == "imag":
        floats = [calls.of(a.shape, "complex") for a in arguments if isinstance(a, Value)]
    words = {n: calls.of(a.shape) if isinstance(a, Value) else a for n, a in named.items()}
    if function == "where":
        floats[0] = arguments[0]
    calls.call(function, *floats, **words)
    operation = calls.typing.operations[-1]
    assert isinstance(operation, Apply)
    given = [a for a in (*arguments, *named.values()) if isinstance(a, Value)]
    tensors = [calls.oracle.tensor(a) for a in given]
    with pytest.raises((RuntimeError, NotImplementedError, TypeError)):
        CALLS[function](*tensors, o=calls.oracle.options(operation))


@pytest.mark.parametrize("symbol", [*BINARY, "neg", "not"])
def test_operators_are_those_of_torch(symbol: str) -> None:
    for seed in range(120):
        calls = Calls(random.Random(f"{symbol} {seed}"))
        one, two = calls.random.choices(KINDS, k=2)
        operands: tuple[Term, ...]
        if symbol == "@":
            shape = calls.shape(least=1)
            left = Shape((*shape.sizes, calls.size()), shape.dots)
            right = stretched(calls, Shape(shape.sizes[:-1], shape.dots))
            right = Shape((*right.sizes, left.sizes[-1], calls.size()), right.dots)
            if seed % 3 == 0:  # one matrix for all rows, of which there may be one
                left = calls.random.choice((left, Shape(left.sizes[-1:], left.dots)))
                right = Shape(right.sizes[-2:][: calls.random.choice((1, 2))])
            operands = (calls.of(left, one), calls.of(right, two))
        else:
            shape = calls.shape()
            operands = (calls.of(shape, one), calls.of(stretched(calls, shape), two))
            if calls.random.random() < 0.5:
                operands = (operands[1], operands[0])
        if symbol in ("neg", "not"):
            operands = operands[:1]
        kinds = [operand.kind for operand in operands if isinstance(operand, Value)]
        written = "-" if symbol == "neg" else symbol
        try:
            result = calls.operate(written, *operands)
        except Failed as failed:
            _is_of_kinds(failed)
            logical = symbol in ("and", "or", "not") and set(kinds) != {"bool"}
            ordered = symbol in ("<", "<=", ">", ">=", "//", "%") and "complex" in kinds
            assert logical or ordered
            continue
        assert isinstance(result, Value)
        if symbol in ("+", "-", "*", "**", "@", "neg"):
            assert result.kind == higher("int", *kinds)
        if (symbol in ("//", "%") or symbol == "**") and result.kind == "int":
            continue  # entries that are 0 or negative, which torch refuses when it meets them
        calls.results(result)


def test_numbers_and_sizes_are_scalars() -> None:
    calls = Calls(random.Random(1))
    x = calls.value(Size.name("t"), dots=True)
    t = Size.name("t")
    results = [
        calls.operate("+", x, 1),
        calls.operate("/", x, t),
        calls.operate("-", (1,), x),
        calls.operate("*", Numbers((0.5,)), x),
        calls.operate("/", t, 2),
        calls.operate("**", t, 0.5),
        calls.call("sqrt", 2.0),
        calls.call("where", calls.operate(">", x, 0), x, 0),
        calls.call("reshape", Numbers((0.5, 1)), Tuple((Size.number(2), Size.number(1)))),
    ]
    for result in results:
        calls.results(result)
    kinds = [each.kind for each in results if isinstance(each, Value)]
    assert kinds == ["float"] * len(results)
    assert [each.constant for each in results if isinstance(each, Value)] == [
        *[False] * 4, True, True, True, False, True,
    ]  # fmt: skip


def test_lists_and_single_numbers_are_legs() -> None:
    calls = Calls()
    for legs in (6, (6,), Tuple((6,)), Numbers((6,)), Tuple((Size.number(6),))):
        term = calls.call("zeros", legs)
        assert isinstance(term, Value)
        assert term.shape == Shape((Size.number(6),))
        assert term.constant
    assert calls.call("ones", Tuple(())).shape == Shape()


def test_constants_are_made_of_constants() -> None:
    calls = Calls()
    ramp = calls.call("arange", Size.name("t"))
    assert isinstance(ramp, Value)
    assert ramp.constant
    both = calls.call("stack", ramp, ramp, dim=0)
    assert isinstance(both, Value)
    assert both.constant
    (half, _) = calls.call("chunk", both, 2, dim=0).items
    assert half.constant
    assert not calls.operate("*", ramp, calls.value(Size.name("t"))).constant


# ── options ───────────────────────────────────────────────────────────────────────────────────────


def options(calls: Calls) -> dict[str, object]:
    operation = calls.typing.operations[-1]
    assert isinstance(operation, Apply)
    return dict(operation.options)


@pytest.mark.parametrize(
    ("function", "arguments", "named", "due"),
    [
        ("gelu", (), {}, {"approximate": "none"}),
        ("softmax", (1,), {}, {"dim": -1}),
        ("softmax", (Size.name("t"),), {}, {"dim": -2}),
        ("sum", (0,), {}, {"dim": (-2,), "keepdim": False}),
        ("var", ((-2, -1),), {}, {"dim": (-2, -1), "keepdim": False, "correction": 1}),
        ("norm", (-1, 1.0, True), {}, {"dim": (-1,), "p": 1.0, "keepdim": True}),
        ("clamp", (0,), {}, {"min": 0, "max": None}),
        ("clamp", (), {"max": 0.5}, {"min": None, "max": 0.5}),
        ("flatten", (0,), {}, {"start_dim": -2, "end_dim": -1}),
        ("roll", (1, 0), {}, {"shifts": (Size.number(1),), "dim": (-2,)}),
        ("topk", (2,), {}, {"k": Size.number(2), "dim": -1}),
        ("fft", (), {}, {"n": None, "dim": -1}),
        ("chunk", (2, -1), {}, {"n": 2, "dim": -1}),
        (
            "pad",
            (1, 2, -1),
            {},
            {
                "left": Size.number(1),
                "right": Size.number(2),
                "dim": -1,
                "value": 0.0,
                "mode": "constant",
            },
        ),
    ],
)
def test_options_are_complete(
    function: str, arguments: tuple[Term, ...], named: dict[str, Term], due: dict[str, object]
) -> None:
    calls = Calls()
    calls.call(function, calls.value(Size.name("t"), 4), *arguments, **named)
    assert options(calls) == due


def test_bounds_that_are_values_are_operands() -> None:
    calls = Calls()
    x, low = calls.value(4), calls.value(1)
    calls.call("clamp", x, low, 1.0)
    assert options(calls) == {"bounds": "min max"}
    calls.call("clamp", x, max=low)
    assert options(calls) == {"bounds": "max"}
    ids = calls.value(4, kind="int")
    result = calls.call("clamp", ids, 0.5)
    assert isinstance(result, Value)
    assert result.kind == "float"
    calls.results(result)


def test_oracle_is_right_where_it_does_more_than_call_torch() -> None:
    calls = Calls()
    x = torch.arange(12.0, dtype=torch.float64).reshape(2, 6)
    value = calls.value(2, 6)
    calls.oracle.results[value.operation] = (x,)
    (padded,) = calls.results(calls.call("pad", value, 1, 2, dim=-1, mode="circular"))
    assert padded.equal(torch.cat([x[:, -1:], x, x[:, :2]], 1))
    (rows,) = calls.results(calls.call("pad", value, 0, 1, dim=0, value=7))
    assert rows.equal(torch.cat([x, torch.full((1, 6), 7.0, dtype=torch.float64)]))
    (wide,) = calls.results(calls.call("interpolate", value, (2,)))
    assert wide.equal(x.repeat_interleave(2, -1))
    (turned,) = calls.results(calls.call("permute", value, (-1, -2)))
    assert turned.equal(x.T)
