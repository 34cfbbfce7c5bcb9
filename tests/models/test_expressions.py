"""Operations of models as they are written: what they compute, and how they read."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.support.function_draws import DRAWS, stretched
from tests.support.typed_calls import Calls
from tests.support.written import agree, compiled, inputs, source
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.typing.functions.operators import BINARY
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import KINDS, Shape, Term, Value


@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.parametrize("function", DRAWS)
def test_functions_compute_what_torch_does(function: str) -> None:
    taken = 0
    for seed in range(60):
        calls = Calls(random.Random(f"{function} {seed}"))
        arguments, named = DRAWS[function](calls, KINDS[seed % 4])
        try:
            term = calls.call(function, *arguments, **named)
        except Failed:
            continue
        agree(calls, term)
        taken += 1
    assert taken


# ── operators ─────────────────────────────────────────────────────────────────────────────────────

REFUSED = re.compile("(?i)zero|negative integer powers")
"""Of integers, when torch meets them."""

SYMBOLS = [*BINARY, "neg", "not"]


def operand(calls: Calls, shape: Shape) -> Term:
    """A value, a number or a size."""
    kind = calls.random.choice(["bool", "int", "float", "float", "complex"])
    number = calls.random.choice([True, 2, 3, 0.5, 1.5, Size.name("t"), 2 * Size.name("s")])
    return calls.random.choice([number, calls.of(stretched(calls, shape), kind, 3)])


def tree(calls: Calls, shape: Shape, depth: int) -> Term:
    """An expression of operators on values, numbers and sizes."""
    if not depth or calls.random.random() < 0.1:
        return operand(calls, shape)
    symbol = calls.random.choice(SYMBOLS)
    if symbol in ("neg", "not"):
        return operated(calls, {"neg": "-"}.get(symbol, symbol), tree(calls, shape, depth - 1))
    if symbol == "@":
        symbol = "+"
    return operated(
        calls,
        symbol,
        tree(calls, shape, depth - 1),
        tree(calls, shape, calls.random.randrange(depth)),
    )


def operated(calls: Calls, symbol: str, *operands: Term) -> Term:
    """The first operand where the operator does not take them."""
    operations = list(calls.typing.operations)
    try:
        return calls.operate(symbol, *operands)
    except Failed:
        calls.typing.operations[:] = operations
        return operands[0]


@pytest.mark.parametrize("seed", range(400))
def test_operators_compute_what_torch_does(seed: int) -> None:
    calls = Calls(random.Random(seed))
    term = tree(calls, calls.shape(), calls.random.randint(1, 4))
    if not isinstance(term, Value):
        term = calls.operate("+", calls.value(2), term)
    try:
        calls.results(term)
    except RuntimeError as error:
        if not REFUSED.search(str(error)):
            raise
        return
    agree(calls, term)


@pytest.mark.parametrize("seed", range(40))
def test_matrix_products_compute_what_torch_does(seed: int) -> None:
    calls = Calls(random.Random(seed))
    shape = calls.shape(least=1)
    left = Shape((*shape.sizes, calls.size()), shape.dots)
    right = stretched(calls, Shape(shape.sizes[:-1], shape.dots))
    right = Shape((*right.sizes, left.sizes[-1], calls.size()), right.dots)
    if seed % 4 == 0:
        left, right = Shape(left.sizes[-1:], left.dots), Shape(right.sizes[-2:])
    if seed % 4 == 1:
        right = Shape(right.sizes[-2:-1])
    one, two = calls.random.choices(KINDS, k=2)
    agree(calls, calls.operate("@", calls.of(left, one), calls.of(right, two)))


# ── ids that point nowhere ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", [-1, 4])
@pytest.mark.parametrize(
    "make",
    [
        lambda calls, ids: calls.call("take", calls.value(4, 3), ids),
        lambda calls, ids: calls.call("take", calls.value(4), ids),
        lambda calls, ids: calls.call("take", calls.value(4, 3, kind="int"), ids),
        lambda calls, ids: calls.call("gather", calls.value(4), ids, -1),
        lambda calls, ids: calls.call("onehot", ids, 4),
        lambda calls, ids: calls.call("scatter_sum", calls.value(2, 3), ids, 4),
        lambda calls, ids: calls.call("segment_sum", calls.value(4, 3), ids),
    ],
)
def test_ids_that_point_nowhere_are_refused(
    make: Callable[[Calls, Value], Term], wrong: int
) -> None:
    """None is counted from the end, and none is passed over."""
    calls = Calls()
    ids = calls.value(2, kind="int")
    term = make(calls, ids)
    calls.oracle.results[ids.operation] = (torch.tensor([wrong, 0]),)
    forward = compiled(*source(calls, term))
    like, sizes = torch.zeros(()), calls.oracle.sizes.values()
    refusals = "(?i)range|bounds|class values|ascend|must be in"
    with pytest.raises((IndexError, RuntimeError), match=refusals):
        forward(nn.Module(), like, (), *sizes, *inputs(calls))
