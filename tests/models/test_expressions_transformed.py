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
from tncompile.language.typing.operations import Option
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Term, Tuple, Value, flattened


class Module(nn.Module):
    """What is written; the run-time sizes are those of a tensor, as are the axes of `...`."""

    def __init__(self, calls: Calls, term: Term) -> None:
        super().__init__()
        self.written = compiled(*source(calls, term))

    def forward(self, like: Tensor, sizes: Tensor, *inputs: Tensor) -> list[Tensor]:
        *lead, r, s, t = sizes.shape
        return self.written(self, like, lead, r, s, t, *inputs)


def every_function(
    seed: int,
    kind: Kind,
    sizes: Sequence[int],
    lead: tuple[int, ...],
    without: frozenset[str] = frozenset(),
) -> tuple[Calls, Term]:
    """All functions that take a kind, each called once."""
    calls = Calls(random.Random(seed))
    calls.oracle.sizes = dict(zip(calls.oracle.sizes, sizes, strict=True))
    calls.oracle.lead = lead
    results: list[Value] = []
    for function, draw in DRAWS.items():
        arguments, named = draw(calls, kind)
        if function in without:
            continue
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
TRANSFORMS = frozenset({"fft", "ifft", "rfft", "irfft"})
"""They pad or cut, and torch compiles these one by one."""


@pytest.mark.parametrize("kind", ["float", "int", "complex"])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
def test_expressions_compile_for_all_sizes(kind: Kind) -> None:
    calls, term = every_function(1, kind, FIRST, (2,), TRANSFORMS)
    torch.compiler.reset()
    module = torch.compile(Module(calls, term), backend="eager", fullgraph=True, dynamic=True)
    with torch.fx.experimental._config.patch(use_duck_shape=False):
        same(module(*arguments(calls)), calls.results(term))
    calls, term = every_function(1, kind, OTHER, (3,), TRANSFORMS)
    with torch.compiler.set_stance("fail_on_recompile"):
        same(module(*arguments(calls)), calls.results(term))


@pytest.mark.parametrize("kind", ["float", "int", "complex"])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_expressions_are_exported_for_all_sizes(kind: Kind) -> None:
    calls, term = every_function(1, kind, FIRST, (2,))
    given = arguments(calls)
    shapes = tuple(dict.fromkeys(range(tensor.dim()), Dim.AUTO) for tensor in given)
    exported = torch.export.export(
        Module(calls, term), given, dynamic_shapes=(shapes[0], shapes[1], shapes[2:])
    ).module()
    same(exported(*given), calls.results(term))
    calls, term = every_function(1, kind, OTHER, (3,))
    same(exported(*arguments(calls)), calls.results(term))


@pytest.mark.parametrize("kind", ["float", "int", "complex"])
@pytest.mark.filterwarnings("ignore:.*degrees of freedom:UserWarning")
@pytest.mark.filterwarnings("ignore:.*non-contiguous:UserWarning")
def test_expressions_work_under_vmap(kind: Kind) -> None:
    pairs = [every_function(1, kind, FIRST, (2,)) for _ in range(2)]
    calls, term = pairs[0]
    module = Module(calls, term)
    like, sizes, *tensors = arguments(calls)
    others = [tensor.flip(0) if tensor.dim() else tensor for tensor in tensors]
    stacked = [torch.stack(both) for both in zip(tensors, others, strict=True)]
    given = torch.vmap(lambda *each: module(like, sizes, *each))(*stacked)
    for k, each in enumerate((tensors, others)):
        due = module(like, sizes, *each)
        same([result[k] for result in given], due)


@pytest.mark.parametrize("axes", [(), (4,), (3, 4)])
@pytest.mark.parametrize("options", [{"causal": True}, {"causal": True, "reach": 2}, {}])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_attention_is_exported_for_all_sizes(
    axes: tuple[int, ...], options: dict[str, Option]
) -> None:
    def attention(sizes: tuple[int, ...]) -> tuple[Module, tuple[Tensor, ...]]:
        calls = Calls(random.Random(0))
        calls.oracle.sizes = dict(zip(calls.oracle.sizes, sizes, strict=True))
        calls.oracle.lead = (sizes[0],)
        q = calls.value(*axes, Size.name("t"), 8, dots=True)
        shared = (*axes[:-1], 2) if axes else ()
        k, v = (calls.value(*shared, Size.name("t"), 8, dots=True) for _ in range(2))
        grouped: Option = 2 if axes else 1
        more: dict[str, Option] = {"grouped": grouped, "aligned": True, **options}
        value = calls.typing.apply("attention", [q, k, v], "float", q.shape, q.span, more)
        return Module(calls, value), arguments(calls)

    module, given = attention(FIRST)
    shapes = tuple(dict.fromkeys(range(tensor.dim()), Dim.AUTO) for tensor in given)
    exported = torch.export.export(
        module, given, dynamic_shapes=(shapes[0], shapes[1], shapes[2:])
    ).module()
    same(exported(*given), module(*given))
    _, other = attention(OTHER)
    same(exported(*other), module(*other))
