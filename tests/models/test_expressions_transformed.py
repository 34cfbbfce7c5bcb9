"""Expressions of all functions under `torch.compile`, `torch.export`, `vmap` and autocast."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from tests.support.function_draws import DRAWS
from tests.support.typed_calls import Calls
from tests.support.written import compiled, inputs, source
from tncompile.language.diagnostics.collector import Failed
from tncompile.language.typing.values import Kind, Shape, Term, Tuple, Value, flattened

WITHOUT_GRADIENTS = frozenset({"arange", "linspace", "zeros", "ones", "full", "eye"})


class Module(nn.Module):
    """What is written; the run-time sizes are those of a tensor, as are the axes of `...`."""

    def __init__(self, calls: Calls, term: Term) -> None:
        super().__init__()
        self.written = compiled(*source(calls, term))

    def forward(self, like: Tensor, sizes: Tensor, *inputs: Tensor) -> list[Tensor]:
        *lead, r, s, t = sizes.shape
        return self.written(self, like, lead, r, s, t, *inputs)


def every_function(
    seed: int, kind: Kind, sizes: Sequence[int], lead: tuple[int, ...]
) -> tuple[Calls, Term]:
    """All functions that take a kind, each called once."""
    calls = Calls(random.Random(seed))
    calls.oracle.sizes = dict(zip(calls.oracle.sizes, sizes, strict=True))
    calls.oracle.lead = lead
    results: list[Value] = []
    for function, draw in DRAWS.items():
        arguments, named = draw(calls, kind)
        try:
            term = calls.call(function, *arguments, **named)
        except Failed:
            continue
        results += (value for value in flattened(term) if isinstance(value, Value))
    return calls, Tuple(tuple(results))


def arguments(calls: Calls) -> tuple[Tensor, ...]:
    sizes = torch.zeros((*calls.oracle.lead, *calls.oracle.sizes.values()))
    return torch.zeros((), dtype=torch.float64), sizes, *inputs(calls)


def same(given: Sequence[Tensor], due: Sequence[Tensor]) -> None:
    for one, two in zip(given, due, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9, equal_nan=True)


FIRST, OTHER = (3, 5, 4), (6, 2, 7)


@pytest.mark.parametrize("kind", ["float", "int", "complex"])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
def test_expressions_compile_for_all_sizes(kind: Kind) -> None:
    calls, term = every_function(1, kind, FIRST, (2,))
    module = torch.compile(Module(calls, term), backend="eager", fullgraph=True, dynamic=True)
    same(module(*arguments(calls)), calls.results(term))
    calls, term = every_function(1, kind, OTHER, (3,))
    with torch.compiler.set_stance("fail_on_recompile"):
        same(module(*arguments(calls)), calls.results(term))
