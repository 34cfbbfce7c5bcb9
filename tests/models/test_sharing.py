"""Products that several `network { … }` begin with are computed once, wherever they stand."""

from __future__ import annotations

import random
from itertools import chain

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import tncompile
from tests.support.stepping import flat

CHAINS = """
model M() {{
{tensors}
  batch t = 7 causal
  input x(..., t, 6)
{lets}
  output {output}
}}
"""


def made(text: str) -> tncompile.Model:
    model = tncompile.loads(text).instantiate("M")
    assert isinstance(model, tncompile.Model)
    return model


def chains(drawn: random.Random) -> tuple[str, list[list[str]]]:
    """A model of products of matrices that mostly begin alike, and the matrices of each."""
    tensors = [f"  tensor {name}(6, 6) init normal(0.5)" for name in "ABCD"]
    products = [drawn.choices("ABCD", k=drawn.randint(2, 4)) for _ in range(2)]
    for _ in range(3):
        begun = drawn.choice(products)
        products.append([*begun[: drawn.randint(1, len(begun))], *drawn.choices("ABCD", k=2)])
    lets = []
    for k, matrices in enumerate(products):
        names = drawn.sample("abcdefghijklmn", len(matrices) + 1)
        operands = [f"x(..., t, {names[0]})"]
        for place, name in enumerate(matrices):
            operands.append(f"{name}({names[place]}, {names[place + 1]})")
        lets.append(f"  let y{k} = network {{ {', '.join(operands)} -> (..., t, {names[-1]}) }}")
    output = " + ".join(f"{k + 1} * tanh(y{k})" for k in range(len(products)))
    text = CHAINS.format(tensors="\n".join(tensors), lets="\n".join(lets), output=output)
    return text, products


def flops(module: torch.nn.Module, x: Tensor) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(x)
    return counter.get_total_flops()


@pytest.mark.parametrize("seed", range(12))
def test_products_are_computed_once(seed: int) -> None:
    """Values, gradients, steps and costs of products of many rows with small matrices."""
    text, products = chains(random.Random(seed))
    model = made(text)
    module = model.module(dtype=torch.float64, seed=0, minimize="flops", batch=1, sizes={"t": 1})
    x = torch.randn(2, 7, 6, dtype=torch.float64, requires_grad=True)
    due = torch.zeros_like(x)
    for k, names in enumerate(products):
        y = x
        for name in names:
            y = y @ getattr(module, name)
        due = due + (k + 1) * y.tanh()
    given = module(x)
    torch.testing.assert_close(given, due)
    trained = [x, *(getattr(module, name) for name in sorted({*chain.from_iterable(products)}))]
    pairs = [torch.autograd.grad(each.sum(), trained) for each in (given, due)]
    for one, two in zip(*pairs, strict=True):
        torch.testing.assert_close(one, two)
    # Every beginning of a product that is not all of it, and every whole product, counts once.
    different = {tuple(names[:k]) for names in products for k in range(1, len(names))}
    whole = {tuple(names) for names in products}
    once = 2 * 2 * 7 * 6 * 6 * len(different | whole)
    counted = flops(module, x)
    figures = model.cost(1, minimize="flops", sizes={"t": 1})
    assert counted == figures.at(2, sizes={"t": 7}).flops
    assert counted <= once + 2 * 2 * 7 * 6 * 6 * len(different & whole)
    state, rows = None, []
    for each in x.split([3, 1, 3], 1):
        row, state = module.step(each, state)
        rows += flat(row)
    torch.testing.assert_close(torch.cat(rows, 1), due)


def test_what_is_equal_but_named_and_ordered_otherwise_is_one() -> None:
    model = made(
        """
model M() {
  tensor W(64, 8) init normal(0.1)
  tensor A(8, 64) init normal(0.1)
  tensor B(64, 8) init normal(0.1)
  input x(..., 64)
  let a = network { x(..., i), W(i, j), A(j, o) -> (..., o) }
  let b = network { B(p, q), W(n, q), x(..., n) -> (..., p) }
  output a * tanh(b)
}
"""
    )
    assert model.source().split("def forward")[1].count("self.W") == 1
    module, x = model.module(seed=0, batch=5), torch.randn(5, 64)
    y = x @ module.W
    torch.testing.assert_close(module(x), (y @ module.A) * (y @ module.B.T).tanh())
    assert flops(module, x) == model.cost(5).flops == 2 * 5 * 64 * 8 * 3


def test_cells_share_in_each_of_their_methods() -> None:
    model = made(
        """
model Cell() {
  tensor W(16, 4) init normal(0.3)
  tensor A(4, 16) init normal(0.3)
  tensor B(4, 16) init normal(0.3)
  input x(..., 16)
  input h(..., 16)
  let a = network { x(..., i), W(i, j), A(j, o) -> (..., o) }
  let b = network { x(..., i), W(i, j), B(j, o) -> (..., o) }
  let c = network { h(..., i), W(i, j), A(j, o) -> (..., o) }
  let d = network { h(..., i), W(i, j), B(j, o) -> (..., o) }
  output tanh(a * b + c * d)
}
model M() {
  part cell = Cell()
  batch t = 5
  input x(..., t, 16)
  let (y, h) = scan(cell, x, zeros((..., 16)), dim = t)
  output y
}
"""
    )
    module, x = model.module(seed=0, batch=3), torch.randn(3, 5, 16)
    cell = module.cell
    h, rows = torch.zeros(3, 16), []
    for each in x.unbind(1):
        one, two = each @ cell.W, h @ cell.W
        h = torch.tanh((one @ cell.A) * (one @ cell.B) + (two @ cell.A) * (two @ cell.B))
        rows.append(h)
    torch.testing.assert_close(module(x), torch.stack(rows, 1))
    assert flops(module, x) == model.cost(3).flops == 2 * 3 * 5 * 16 * 4 * 6


def test_kinds_and_groups_are_shared_too() -> None:
    model = made(
        """
model M() {
  let p = 2
  tensor W(6, 4) complex init normal(0.3)
  tensor A(4, 90) init normal(0.3)
  tensor B(4, 90) complex init normal(0.3)
  batch t
  input x(..., t, 6) int
  input m(..., t) bool
  let a = network { x(..., t, (p q)), m(..., t), W((p q), j), A(j, o) -> (..., t, o) }
  let b = network { x(..., t, (p q)), m(..., t), W((p q), j), B(j, o) -> (..., t, o) }
  output (a, b)
}
"""
    )
    assert model.source(batch=2).split("def forward")[1].count("self.W") == 1
    module = model.module(seed=0, batch=2, dtype=torch.float64)
    x, m = torch.randint(0, 5, (2, 3, 6)), torch.tensor([[True, False, True]] * 2)
    y = (x * m.unsqueeze(-1)).to(module.W.dtype) @ module.W
    due = (y @ module.A.to(y.dtype), y @ module.B)
    for one, two in zip(module(x, m), due, strict=True):
        torch.testing.assert_close(one, two)
