"""What is written twice is computed once: as often as torch says, with the same results."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import tncompile
from tests.support.typed_calls import Calls
from tncompile.language.typing.operations import Apply
from tncompile.language.typing.repeats import Graph, without_repeats
from tncompile.language.typing.values import Value

TEXT = """
import "std/linear.tn" { MPO }

model Inner(d: int = 8) {
  part map = Linear(d, d)
  input x(..., d)
  output tanh(map(x))
}

model Noisy(d: int = 8) {
  part map = Linear(d, d)
  part drop = Dropout(0.5)
  input x(..., d)
  output drop(map(x))
}

model Shared(d: int = 8) {
  part dense = Linear(d, d)
  part cores = MPO(ins = [2, 4], outs = [4, 2], ranks = 3)
  part inner = Inner(d)
  tensor W(d, 5) init normal(0.3)
  tensor W2(5, d) init normal(0.3)
  input x(..., d)
  let a = dense(x) + cores(x) * inner(x) + sum(W @ W2, dim = [-2, -1])
  let b = dense(x) - cores(x) * inner(x) - sum(W @ W2, dim = [-2, -1])
  let c = network { x(..., i), W(i, j) -> (..., j) }
  let e = network { x(..., i), W(i, j) -> (..., j) }
  output a * b + sum(c * e, dim = -1, keepdim = true)
}

model Random(d: int = 8) {
  part noisy = Noisy(d)
  part norm = BatchNorm1d(d)
  part python = extern "torch.nn.Identity"() ((..., d)) -> (..., d)
  batch n
  input x(n, d)
  output noisy(x) + noisy(x) + norm(x) * norm(x) + python(x) - python(x)
}

model Results(d: int = 8) {
  part map = Linear(d, d)
  input x(..., d)
  output (map(x), map(x), transpose(map(x) |> reshape((..., 2, 4)), -1, -2))
}

model Loop(d: int = 8, n: int = 3) {
  part map[l in 0..n] = Linear(d, d)
  batch t causal
  input x(..., t, d)
  output x |> repeat l in 0..n { map[l] }
}

model Speaks(d: int = 8) {
  part q = Linear(d, d)
  batch t causal
  input x(..., t, d)
  output attention(q(x), q(x), q(x), causal = true) + attention(q(x), q(x), q(x), causal = true)
}
"""


@cache
def module(target: str) -> nn.Module:
    torch.manual_seed(0)
    text = TEXT.replace("map[l]", "map[l]")
    return tncompile.loads(text).instantiate(target).module(seed=0, search="fast")


def calls(target: str, x: torch.Tensor) -> Counter[str]:
    """How often each part is called."""
    found: Counter[str] = Counter()
    handles = []
    for name, part in module(target).named_children():

        def hook(_: nn.Module, __: object, ___: object, name: str = name) -> None:
            found[name] += 1

        handles.append(part.register_forward_hook(hook))
    module(target)(x)
    for handle in handles:
        handle.remove()
    return found


def test_equal_work_is_done_once() -> None:
    x = torch.randn(3, 8)
    assert calls("Shared", x) == {"dense": 1, "cores": 1, "inner": 1}
    one = module("Shared")
    c, weights = x @ one.W, (one.W @ one.W2).sum()
    a, b = one.dense(x) + weights, one.cores(x) * one.inner(x)
    due = (a + b) * (one.dense(x) - b - weights) + c.square().sum(-1, keepdim=True)
    torch.testing.assert_close(one(x), due)
    with FlopCounterMode(display=False) as counter:
        one(x)
    with FlopCounterMode(display=False) as train:
        one.cores(x)
    products = 2 * 3 * 8 * 8 + 3 * 8 * 5 + 8 * 5 * 8
    assert counter.get_total_flops() == train.get_total_flops() + 2 * products
    figures = tncompile.loads(TEXT).instantiate("Shared")
    assert isinstance(figures, tncompile.Model)
    assert figures.cost(3, search="fast").flops == counter.get_total_flops()


def test_what_is_random_or_unknown_is_done_as_often_as_it_is_written() -> None:
    assert calls("Random", torch.randn(4, 8)) == {"noisy": 2, "norm": 2, "python": 2}


def test_results_share_no_memory() -> None:
    first, second, third = module("Results")(torch.randn(3, 8))
    assert len({each.untyped_storage().data_ptr() for each in (first, second, third)}) == 3
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(third, first.reshape(3, 2, 4).mT)


def test_steps_and_loops_stay() -> None:
    x = torch.randn(2, 5, 8)
    assert calls("Speaks", x) == {"q": 1}
    state, rows = None, []
    for each in x.split(2, 1):
        row, state = module("Speaks").step(each, state)
        rows.append(row)
    torch.testing.assert_close(torch.cat(rows, 1), module("Speaks")(x))
    source = tncompile.loads(TEXT).instantiate("Loop").source(search="fast")
    assert "for " in source


@pytest.mark.parametrize("seed", range(40))
def test_graphs_compute_the_same(seed: int) -> None:
    """Of functions of few values, many of which are equal."""
    drawn = random.Random(seed)
    made = Calls(random.Random(seed))
    values = [made.value(4, 4, dots=True) for _ in range(2)]
    for _ in range(24):
        function, count = drawn.choice([("sin", 1), ("add", 2), ("matmul", 2), ("exp", 1)])
        operands = drawn.choices(values[-6:], k=count)
        values.append(
            made.typing.apply(function, operands, "float", values[0].shape, values[0].span)
        )
    output = tuple(drawn.sample(values[2:], 2))
    graph = without_repeats(Graph(tuple(made.typing.operations), output, {}))
    read = dict(made.oracle.results)
    made.oracle.run(made.typing.operations)
    due = [made.oracle.tensor(value) for value in output]
    made.oracle.results = read
    made.oracle.run(graph.operations)
    for value, tensor in zip(graph.output, due, strict=True):
        torch.testing.assert_close(made.oracle.tensor(value), tensor, equal_nan=True)
    kept: Counter[tuple[str, tuple[Value, ...]]] = Counter()
    results = {value.operation for value in graph.output}
    for each in graph.operations:
        if isinstance(each, Apply) and each not in results:
            kept[each.function, each.operands] += 1
    assert max(kept.values()) == 1
    assert without_repeats(graph) is graph
