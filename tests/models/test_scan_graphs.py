"""Graphs of models with a `scan`: compiled, exported, for any number of steps."""

from __future__ import annotations

import pytest
import torch
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


@pytest.mark.parametrize("text", [GRU + ONE, TWO_STATES], ids=["gru", "two states"])
def test_compiled_gradients(text: str) -> None:
    module = module_of(text)
    torch._dynamo.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True, dynamic=True)
    widths = [3] if "wx" in text else [2, 3]
    for steps in (2, 4):
        xs = [
            torch.randn(2, steps, width, dtype=torch.float64).requires_grad_() for width in widths
        ]
        agree(list(compiled(*xs)), list(module(*xs)), [*xs, *module.parameters()])
