"""What is called causal is so in torch: fewer entries along the size give the same results."""

from __future__ import annotations

import random

import pytest
import torch

from tests.support.function_draws import DRAWS, pair
from tests.support.models_oracle import Oracle
from tests.support.typed_calls import Calls
from tests.support.typed_values import HERE
from tncompile.language.typing.causality import check_causal
from tncompile.language.typing.causality.functions import MAKERS, RULES
from tncompile.language.typing.functions.operators import BINARY
from tncompile.language.typing.model import RunTimeSize
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Term, Value, flattened

ALL, FEWER = 5, 3
T = Size.name("t")


def drawn(seed: int) -> Calls:
    """A model with 5 entries along `t`."""
    calls = Calls(random.Random(seed))
    calls.oracle = Oracle({**calls.oracle.sizes, "t": ALL}, calls.oracle.lead)
    return calls


def axis(shape: Shape) -> int | None:
    places = [k - len(shape.sizes) for k, size in enumerate(shape.sizes) if size == T]
    return places[0] if places else None


def follows(calls: Calls, result: Term) -> bool | None:
    """Whether the call is causal, if torch says so, too; None where `t` is on no result."""
    values = [value for value in flattened(result) if isinstance(value, Value)]
    check_causal(calls.typing, RunTimeSize("t", None, True, HERE), values)
    if calls.typing.problems.errors:
        return False
    whole = calls.results(result)
    read = dict(calls.oracle.results)
    calls.oracle = Oracle({**calls.oracle.sizes, "t": FEWER}, calls.oracle.lead)
    for operation in calls.typing.operations:
        if (source := getattr(operation, "source", None)) is not None:
            (tensor,) = read[operation]
            dim = axis(source.shape)
            calls.oracle.results[operation] = (
                tensor if dim is None else tensor.narrow(dim, 0, FEWER),
            )
    for value, long, short in zip(values, whole, calls.results(result), strict=True):
        dim = axis(value.shape)
        due = long if dim is None else long.narrow(dim, 0, FEWER)
        torch.testing.assert_close(short, due, equal_nan=True)
    return True if any(axis(value.shape) is not None for value in values) else None


NOT_DRAWN = {"pad", "split"}
"""No draw of these has an axis of just `t` beside the one that they work along."""


@pytest.mark.filterwarnings("ignore:.*degrees of freedom")
@pytest.mark.parametrize("function", sorted(DRAWS))
def test_functions(function: str) -> None:
    found = set()
    for seed in range(80):
        calls = drawn(seed)
        kind = "complex" if function in ("imag", "irfft") else "float"
        kind = "bool" if function in ("any", "all") else kind
        arguments, named = DRAWS[function](calls, kind)
        result = calls.call(function, *arguments, **named)
        found.add(follows(calls, result))
    assert (True in found) == (function in {*RULES, *MAKERS} - NOT_DRAWN)


@pytest.mark.parametrize(("function", "arguments"), [("pad", (1, 2, -1)), ("split", ((1, 3), -1))])
def test_along_another_axis(function: str, arguments: tuple[Term, ...]) -> None:
    calls = drawn(0)
    assert follows(calls, calls.call(function, calls.value(T, 4), *arguments))


@pytest.mark.parametrize("symbol", sorted(BINARY))
def test_operators(symbol: str) -> None:
    found = set()
    for seed in range(80):
        calls = drawn(seed)
        kind = "bool" if symbol in ("and", "or") else "float"
        values, _ = pair(calls, kind)
        if symbol == "@":
            r, s, lead = calls.size(), calls.size(), calls.shape(most=1)
            left = Shape((*lead.sizes, r, s), lead.dots)
            right = Shape((*lead.sizes, s, calls.size()), lead.dots)
            if seed % 3 == 0:
                left = calls.random.choice((left, Shape((s,), lead.dots)))
                right = Shape(right.sizes[-2:][: calls.random.choice((1, 2))])
            values = (calls.of(left), calls.of(right))
        found.add(follows(calls, calls.operate(symbol, *values)))
    assert found == {True, False, None}
