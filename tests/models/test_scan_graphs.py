"""Graphs of models with a `scan`: compiled, exported, for any number of steps."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from torch.export import Dim

from tests.support.scans import GRU, ONE, TWO_STATES, agree, module_of


class Graphs:
    """A backend that keeps the graphs it gets."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def __call__(self, graph: torch.fx.GraphModule, _: object) -> object:
        self.sizes.append(sum(len(each.graph.nodes) for each in modules(graph)))
        return graph.forward


def modules(graph: torch.fx.GraphModule) -> list[torch.fx.GraphModule]:
    return [each for each in graph.modules() if isinstance(each, torch.fx.GraphModule)]


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
def test_without_gradients_a_graph_is_the_same_for_all_lengths(text: str) -> None:
    module = module_of(text)
    torch._dynamo.reset()
    graphs = Graphs()
    compiled = torch.compile(module, backend=graphs, fullgraph=True, dynamic=True)
    widths = [3] if "wx" in text else [2, 3]
    with torch.no_grad():
        for lead, steps in ((7, 5), (6, 9)):
            xs = [torch.randn(lead, steps, width, dtype=torch.float64) for width in widths]
            for one, other in zip(compiled(*xs), module(*xs), strict=True):
                torch.testing.assert_close(one, other)
    assert len(graphs.sizes) == 1


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
@pytest.mark.filterwarnings("ignore")
def test_an_exported_program_takes_all_lengths(text: str) -> None:
    module = module_of(text)
    widths = [3] if "wx" in text else [2, 3]
    xs = [torch.randn(7, 5, width, dtype=torch.float64) for width in widths]
    shapes = tuple({0: Dim.AUTO, 1: Dim.AUTO} for _ in xs)
    program = torch.export.export(module, tuple(xs), dynamic_shapes=(shapes[0], *shapes[1:]))
    longer = [torch.randn(2, 8, width, dtype=torch.float64) for width in widths]
    for one, other in zip(program.module()(*longer), module(*longer), strict=True):
        torch.testing.assert_close(one, other)


@dataclass
class Trained:
    """A model of which gradients are compiled: its sequences of these widths."""

    text: str
    widths: tuple[int, ...] = (3,)
    graphs: int = 1


ALONE = """
model Cell() {
  part wx = Linear(3, 4)
  part wh = Linear(4, 4)
  batch n
  input x(n, 3)
  input h(n, 4)
  output tanh(wx(x) + wh(h))
}

model M() {
  part cell = Cell()
  batch b, t
  input x(b, t, 3)
  let (ys, last) = scan(cell, x, zeros((b, 4)), dim = t, reverse = true)
  output (ys, last)
}
"""

LSTM = """
model Cell() {
  part wx = Linear(3, 16)
  part wh = Linear(4, 16)
  input x(..., 3)
  input h(..., 4)
  input c(..., 4)
  let (i, f, g, o) = chunk(wx(x) + wh(h), 4, dim = -1)
  let next = sigmoid(f) * c + sigmoid(i) * tanh(g)
  output (sigmoid(o) * tanh(next), next)
}

model M() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let start = zeros((..., 4))
  let (ys, h, c) = scan(cell, x, (start, start), dim = t)
  output (ys, h, c)
}
"""

COUNTED = """
model Cell() {
  part w = Linear(3, 3)
  input x(..., 3)
  input h(..., 3)
  input n(...) int
  output (tanh(w(x) + h), n + 1)
}

model M() {
  part cell = Cell()
  batch t
  input x(..., t, 3)
  let (ys, h, n) = scan(cell, x, (zeros((..., 3)), sum(x, (-2, -1)) > 0), dim = t)
  output (ys, h)
}
""".replace("sum(x, (-2, -1)) > 0", "argmax(x[..., 0, *], -1)")

TRAINED = {
    "gru": Trained(GRU + ONE),
    "lstm": Trained(LSTM),
    "two states": Trained(TWO_STATES, (2, 3)),
    "steps alone": Trained(ALONE),
    "a count": Trained(COUNTED, graphs=2),
}


@pytest.mark.parametrize("name", TRAINED)
def test_gradients_are_compiled_for_all_lengths(name: str) -> None:
    """But where a state has none: then there is a graph for each length."""
    model = TRAINED[name]
    module = module_of(model.text)
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, backend=counter, fullgraph=True, dynamic=True)
    for lead, steps in ((5, 4), (6, 7)):
        xs = [torch.randn(lead, steps, width, dtype=torch.float64) for width in model.widths]
        xs = [x.requires_grad_() for x in xs]
        agree(list(compiled(*xs)), list(module(*xs)), [*xs, *module.parameters()])
    assert counter.frame_count == model.graphs


def test_transforms_are_compiled() -> None:
    module = module_of(GRU + ONE)
    torch._dynamo.reset()
    mapped = torch.func.vmap(lambda x: module(x))
    compiled = torch.compile(mapped, backend="aot_eager", fullgraph=True, dynamic=True)
    with torch.no_grad():
        for steps in (3, 5):
            x = torch.randn(2, steps, 3, dtype=torch.float64)
            for one, other in zip(compiled(x), module(x), strict=True):
                torch.testing.assert_close(one, other)


def test_gradients_of_one_step_by_inductor() -> None:
    """What its loops carry is overwritten by PyTorch 2.13, unless it is told not to."""
    module = module_of(GRU + ONE)
    torch._dynamo.reset()
    compiled = torch.compile(module, fullgraph=True, dynamic=True)
    x = torch.randn(2, 1, 3, dtype=torch.float64, requires_grad=True)
    agree(list(compiled(x)), list(module(x)), [x, *module.parameters()])
