"""Models with a `scan`, and loops to compare them with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import tncompile
from tncompile.model import Model


def module_of(text: str, block: str = "M") -> nn.Module:
    """The compiled block, in float64."""
    compiled = tncompile.loads(text).instantiate(block)
    return compiled.module(dtype=torch.float64, seed=0, search="fast")


def source_of(text: str, block: str = "M") -> str:
    compiled = tncompile.loads(text).instantiate(block)
    assert isinstance(compiled, Model)
    return compiled.source(search="fast")


def cell_of(text: str, module: nn.Module) -> nn.Module:
    """The cell by itself, as no `scan` calls it, with the tensors of the module's."""
    cell = module_of(text, "Cell")
    inner = module.get_submodule("cell").state_dict()
    cell.load_state_dict(inner, strict=True)
    return cell


def looped(
    cell: nn.Module, xs: list[Tensor], state: list[Tensor], dim: int, *, reverse: bool = False
) -> list[Tensor]:
    """Outputs, then the last state; `dim` is where the steps are, counted from the left."""
    steps = range(xs[0].shape[dim])
    kept: list[list[Tensor]] = []
    for k in reversed(steps) if reverse else steps:
        made = cell(*(x.select(dim, k) for x in xs), *state)
        results = [made] if isinstance(made, Tensor) else [*made]
        state = results[-len(state) :]
        kept.append(results[: -len(state)] or state[:1])
    outputs = [
        torch.stack(each[::-1] if reverse else each, dim) for each in zip(*kept, strict=True)
    ]
    return [*outputs, *state]


def agree(ours: list[Tensor], theirs: list[Tensor], sources: list[Tensor]) -> None:
    """Values and gradients are equal."""
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)

    def gradients(results: list[Tensor]) -> tuple[Tensor | None, ...]:
        loss = sum(
            (each * torch.arange(each.numel()).view_as(each).cos()).sum() for each in results
        )
        assert isinstance(loss, Tensor)
        return torch.autograd.grad(loss, sources, allow_unused=True)

    for first, second in zip(gradients(ours), gradients(theirs), strict=True):
        if first is None or second is None:
            assert first is second
        else:
            torch.testing.assert_close(first, second, rtol=1e-8, atol=1e-8)


GRU = """
model Cell() {
  part wx = Linear(3, 12)
  part wh = Linear(4, 12)
  input x(..., 3)
  input h(..., 4)
  let (xr, xz, xn) = chunk(wx(x), 3, dim = -1)
  let (hr, hz, hn) = chunk(wh(h), 3, dim = -1)
  let z = sigmoid(xz + hz)
  output (1 - z) * tanh(xn + sigmoid(xr + hr) * hn) + z * h
}
"""

ONE = """
model M() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let (ys, last) = scan(cell, x, zeros((..., 4)), dim = t)
  output (ys, last)
}
"""


TWO_STATES = """
model Cell() {
  tensor a(2, 3) init normal(1.0)
  part w = Linear(2, 2)
  input x(..., 2)
  input h(..., 2, 3)
  input y(..., 3)
  input c(...)
  let h2 = exp(a) * h + reshape(w(x), (..., 2, 1))
  output (network { h2(..., i, j), y(..., j) -> (..., i) }, x, h2, c + sum(y, -1))
}

model M() {
  part cell[k in 0..2] = Cell()
  batch t
  input x(..., t, 2)
  input y(..., t, 3)
  let start = zeros((..., 2, 3))
  let (u, v, h, c) = scan(cell[0], (x, y), (start, zeros((...))), dim = t, reverse = true)
  let (u2, v2, h2, c2) = scan(cell[1], (u, y), (h, c), dim = t)
  output (u2, v, v2, h2, c2)
}
""".replace("input h(..., 2, 3)\n  input y(..., 3)", "input y(..., 3)\n  input h(..., 2, 3)")
