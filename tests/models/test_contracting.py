"""In which order `network { … }` multiplies: as the plan was asked for, priced as it is written."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import tncompile
from tncompile.language.typing.operations import Legs
from tncompile.language.typing.sizes import Size
from tncompile.models.contracting import SumOfProducts, best_order, order_text
from tncompile.planning.paths.problem import price_path
from tncompile.planning.request import Minimize

TEXT = """
model Chain(d: int = 48, m: int = 96) {
  tensor A(d, m) init normal(0.1)
  tensor B(d, m) init normal(0.1)
  input x(..., d)
  output network { x(..., i), A(i, j), B(o, j) -> (..., o) }
}

model Long() {
  tensor G[k in 0..3](24, 40, 3) init normal(0.1)
  batch t = 1
  input x(..., t, 24)
  output network { x(..., t, i), G[0](i, j, r), G[1](k, j, r), G[2](k, l, r) -> (..., t, (l r)) }
}

model Often() {
  part chain = Chain()
  batch t
  input x(..., t, 48)
  output x |> repeat k in 0..3 { chain }
}

model Speaks() {
  tensor A(48, 96) init normal(0.1)
  tensor B(48, 96) init normal(0.1)
  batch t = 512 causal
  input x(..., t, 48)
  output cumsum(network { x(..., t, i), A(i, j), B(o, j) -> (..., t, o) }, dim = t)
}

model Cell() {
  tensor A(16, 64) init normal(0.1)
  tensor B(64, 16) init normal(0.1)
  input x(..., 16)
  input h(..., 16)
  output tanh(network { x(..., i), A(i, j), B(j, o) -> (..., o) }
    + network { h(..., i), A(i, j), B(j, o) -> (..., o) })
}

model Steps() {
  part cell = Cell()
  batch t = 64
  input x(..., t, 16)
  let (y, h) = scan(cell, x, zeros((..., 16)), dim = t)
  output y
}
"""


@cache
def made(target: str) -> tncompile.Model:
    model = tncompile.loads(TEXT).instantiate(target)
    assert isinstance(model, tncompile.Model)
    return model


def counted(module: nn.Module, x: Tensor, *, training: bool) -> int:
    """The FLOPs that torch counts."""
    with FlopCounterMode(display=False) as counter:
        if training:
            module(x).sum().backward()
        else:
            with torch.no_grad():
                module(x)
    return counter.get_total_flops()


def test_the_batch_decides() -> None:
    sources = [made("Chain").source(batch=batch) for batch in (1, 4096)]
    assert "return x @ self.A @ self.B.T" in sources[0]
    assert "return x @ (self.A @ self.B.T)" in sources[1]
    assert made("Chain").source(batch=[1, 4096, 8000]) == sources[1]


@pytest.mark.parametrize(
    ("target", "planned", "named"),
    [
        ("Chain", [1, 30, 4096], {}),
        ("Long", [1, 20, 700], {"t": 3}),
        ("Often", [1, 9, 400], {"t": 2}),
    ],
)
def test_what_is_priced_is_what_runs(
    target: str, planned: list[int], named: dict[str, int]
) -> None:
    """At any size, the order of the plan, forward and in a training step."""
    sources = set()
    for batch in planned:
        model = made(target)
        module = model.module(seed=0, batch=batch, sizes=named)
        figures = model.cost(batch, sizes=named)
        sources.add(model.source(batch=batch, sizes=named))
        for rows in planned:
            at = figures.at(rows)
            x = torch.randn(rows, *named.values(), 24 if target == "Long" else 48)
            assert at.inference.flops == counted(module, x, training=False)
            assert at.training.flops == counted(module, x, training=True)
    assert len(sources) > 1


def test_rows_are_those_that_reach_it() -> None:
    """Named sizes, and steps that go ahead of a `scan`: one call for all of them."""
    few, many = (made("Often").source(batch=1, sizes={"t": t}) for t in (2, 4096))
    assert "x @ self.A @ self.B.T" in few
    assert "x @ (self.A @ self.B.T)" in many
    source = made("Steps").source(batch=1)
    assert "x @ (self.A @ self.B)" in source
    assert "h @ self.A @ self.B" in source


def test_a_step_has_its_own_order() -> None:
    model = made("Speaks")
    forward, step = model.source(batch=1).split("def step")
    assert "x @ (self.A @ self.B.T)" in forward
    assert "x @ self.A @ self.B.T" in step
    module = model.module(seed=0, batch=1)
    x = torch.randn(2, 5, 48)
    state, rows = None, []
    for each in x.split(1, 1):
        row, state = module.step(each, state)
        rows.append(row)
    torch.testing.assert_close(torch.cat(rows, 1), module(x), rtol=1e-3, atol=1e-3)


def test_equal_plans_are_written_once() -> None:
    model = tncompile.loads(TEXT).instantiate("Often")
    assert isinstance(model, tncompile.Model)
    for batch in (1, 4096, 1, 5000):
        model.source(batch=batch, sizes={"t": 2})
    assert len(model._emitted) == 2


def test_plans_show_their_orders() -> None:
    model = made("Speaks")
    plan = model.plan(batch=1)
    line = "network { (..., t, i), (i, j), (o, j) -> (..., t, o) }"
    assert plan.describe() == f"Speaks\n\n{line}\n  1 · (2 · 3), in a step (1 · 2) · 3\n"
    assert model.source(plan=plan) == model.source(batch=1)
    assert model.describe("plan", batch=1) == plan.describe()
    steps = made("Steps").plan(batch=1).describe()
    line = "network { (..., i), (i, j), (j, o) -> (..., o) }"
    assert steps == f"Cell\n\n{line}, ahead of all steps\n  1 · (2 · 3)\n\n{line}\n  (1 · 2) · 3\n"


def chain(sizes: list[int]) -> SumOfProducts:
    """A product of matrices."""
    names = [f"k{k}" for k in range(len(sizes))]
    legs = tuple(Legs(((a,), (b,)), False) for a, b in pairwise(names))
    output = Legs(((names[0],), (names[-1],)), False)
    lengths = zip(names, map(Size.number, sizes), strict=True)
    return SumOfProducts(legs, output, tuple(lengths))


def fewest(sizes: list[int]) -> int:
    """The multiply-adds of the best order of a product of matrices, by dynamic programming."""

    @cache
    def best(first: int, last: int) -> int:
        return min(
            (
                best(first, k) + best(k, last) + sizes[first] * sizes[k] * sizes[last]
                for k in range(first + 1, last)
            ),
            default=0,
        )

    return best(0, len(sizes) - 1)


@pytest.mark.parametrize("seed", range(40))
def test_orders_are_the_cheapest(seed: int) -> None:
    drawn = random.Random(seed)
    sizes = [drawn.choice([1, 2, 8, 64, 300]) for _ in range(drawn.randint(3, 7))]
    products = chain(sizes)
    problem = products.problem(1, {})
    choices: list[Minimize] = ["flops", "time", "memory"]
    flops, time, memory = (
        price_path(problem, best_order(products, {(1, ()): 1}, each)) for each in choices
    )
    assert flops[0] == fewest(sizes) <= min(time[0], memory[0])
    assert memory[1] <= min(flops[1], time[1])
    assert time[0] + 64 * time[1] <= min(flops[0] + 64 * flops[1], memory[0] + 64 * memory[1])


def test_all_calls_count_by_how_often_they_are_made() -> None:
    legs = (Legs((("i",),), True), Legs((("i",), ("j",)), False), Legs((("j",), ("o",)), False))
    sizes = tuple(
        (name, Size.number(number)) for name, number in zip("ijo", (32, 64, 32), strict=True)
    )
    products = SumOfProducts(legs, Legs((("o",),), True), sizes)
    few, many = (1, ()), (1000, ())
    assert order_text(best_order(products, {few: 1})) == "(1 · 2) · 3"
    assert order_text(best_order(products, {few: 1, many: 1})) == "1 · (2 · 3)"
    assert order_text(best_order(products, {few: 5000, many: 1})) == "(1 · 2) · 3"
