"""Families of tensors are read as lists are."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import cache
from typing import SupportsIndex

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import tncompile

FAMILIES = """
network Chain(n: int = 5) {
  index  i[k in 0..n] = 2, o[k in 0..n] = 2
  bond   b[k in 0..n - 1] = 3
  input  x(..., (i[*]))
  tensor G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?)
  output y(..., (o[*]))
}
network Later(n: int = 4) {
  index  i[k in 0..n] = 2, o[k in 0..n] = 2
  bond   b[k in 0..n - 1] = 3
  input  x(..., (i[*]))
  tensor H(i[0], o[0], b[0])
  tensor G[k in 1..n](b[k - 1], i[k], o[k], b[k]?) frozen
  output y(..., (o[*]))
}
network Below() {
  index  i[k in -1..2] = 2, o[k in -1..2] = 3
  input  x(..., (i[*]))
  tensor G[k in -1..2](i[k], o[k])
  output y(..., (o[*]))
}
network Grid(rows: int = 2, columns: int = 3) {
  index  p[r in 1..rows + 1, c in 0..columns] = 2, q[r in 1..rows + 1, c in 0..columns] = 2
  input  x(..., (p[*]))
  tensor S[r in 1..rows + 1, c in 0..columns](p[r, c], q[r, c])
  output y(..., (q[*]))
}
"""


@cache
def architecture(name: str) -> tncompile.Architecture:
    return tncompile.loads(FAMILIES).instantiate(name)


def made(name: str) -> nn.Module:
    """A module of its own."""
    return architecture(name).module(search="fast", seed=0)


def held(module: nn.Module, family: str) -> list[Tensor]:
    """The members of a family, by the keys of the state dict."""
    tensors = dict(module.named_parameters()) | dict(module.named_buffers())
    return [tensor for key, tensor in tensors.items() if key.startswith(f"{family}.")]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    """Whether two lists hold the same tensors, not only equal ones."""
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("name", "family"), [("Chain", "G"), ("Later", "G"), ("Below", "G")])
def test_a_family_is_a_sequence(name: str, family: str) -> None:
    module = made(name)
    tensors, due = getattr(module, family), held(module, family)
    assert len(tensors) == len(due) > 1
    assert same(list(tensors), due)
    assert same([*reversed(tensors)], due[::-1])
    assert all(tensor in tensors for tensor in due)
    assert torch.zeros(2, 2) not in tensors


def test_it_counts_back_from_the_last_one() -> None:
    chain, later = made("Chain"), made("Later")
    assert chain.G[-1] is chain.G[4]
    assert chain.G[-5] is chain.G[0]
    assert later.G[-1] is later.G[3]
    assert later.G[-3] is later.G[1]
    for family, wrong in ((chain.G, (5, 7, -6)), (later.G, (0, 4, -4))):
        for subscript in wrong:
            assert subscript not in family
            with pytest.raises(IndexError, match=rf"no member {subscript}: there are [01] to [34]"):
                family[subscript]
    assert 0 in chain.G
    with pytest.raises(TypeError):
        chain.G["last"]


def test_subscripts_below_zero_that_the_declaration_has_are_those() -> None:
    module = made("Below")
    assert module.G[-1] is dict(module.named_parameters())["G.-1"]
    assert [k for k in range(-4, 4) if k in module.G] == [-1, 0, 1]
    with pytest.raises(IndexError, match="no member -2: there are -1 to 1"):
        module.G[-2]


def test_slices_are_lists_of_members() -> None:
    chain, later = made("Chain"), made("Later")
    due = held(chain, "G")
    for chosen in (slice(None), slice(1, 3), slice(-2, None), slice(None, None, -2), slice(9, 12)):
        assert same(chain.G[chosen], due[chosen])
    assert same(later.G[1:3], [later.G[1], later.G[2]])
    assert same(later.G[:2], [later.G[1]])


def test_families_of_several_subscripts() -> None:
    module = made("Grid")
    family = module.S
    assert family[1, 2] is dict(module.named_parameters())["S.1.2"]
    assert family[-1, -1] is family[2, 2]
    assert len(family) == 2
    assert same(list(family), [family[1], family[2]])
    assert same([*reversed(family)], [family[2], family[1]])
    assert same([core for row in family for core in row], held(module, "S"))
    assert family[1] in family
    assert all(tensor in family for tensor in held(module, "S"))
    assert torch.zeros(2, 2) not in family
    assert same(list(family[1]), [family[1, 0], family[1, 1], family[1, 2]])
    assert same(family[2, 1:], [family[2, 1], family[2, 2]])
    assert [place in family for place in ((1, 0), (2, 2), (0, 0), (1, 3), (1, 2, 0))] == [
        True, True, False, False, False,
    ]  # fmt: skip
    for wrong in ((0, 0), (3, 0), (1, 3), (1, 1, 1), 0):
        with pytest.raises(IndexError):
            family[wrong]


@pytest.mark.parametrize("integer", [torch.tensor, np.int64, np.uint8])
def test_any_integer_is_a_subscript(integer: Callable[[int], SupportsIndex]) -> None:
    for name in ("Chain", "Later"):
        family = made(name).G
        assert family[integer(1)] is family[1]
    grid = made("Grid").S
    assert grid[integer(2)] is grid[2]
    assert grid[integer(2), integer(1)] is grid[2, 1]
    later = made("Later")
    later.G[integer(2)] = fresh = torch.zeros_like(later.G[2])
    assert later.G[2] is fresh
    with pytest.raises(IndexError, match="no member 7"):
        later.G[integer(7)]
    with pytest.raises(TypeError):
        later.G[1.0]


def test_members_are_replaced_by_parameters() -> None:
    for name, family, place in (("Chain", "G", -1), ("Grid", "S", (2, -1))):
        module = made(name)
        keys = list(module.state_dict())
        tensors = getattr(module, family)
        fresh = nn.Parameter(torch.zeros_like(tensors[place]))
        tensors[place] = fresh
        assert tensors[place] is fresh
        assert list(module.state_dict()) == keys
        assert any(parameter is fresh for parameter in module.parameters())
        assert module(torch.ones(1, 2 ** len(keys))).abs().max() == 0
        with pytest.raises(TypeError, match="cannot assign"):
            tensors[place] = torch.zeros_like(fresh)
    with pytest.raises(IndexError, match="no member 5"):
        made("Chain").G[5] = nn.Parameter(torch.zeros(2))
    later = made("Later")
    later.G[2] = torch.zeros_like(later.G[2])
    assert later(torch.ones(1, 16)).abs().max() == 0


def test_its_repr_is_that_of_a_parameter_list() -> None:
    tensors = made("Chain").G
    lines = repr(nn.ParameterList(tensors)).splitlines()[1:-1]
    assert [line.strip() for line in repr(tensors).splitlines()[1:-1]] == [*map(str.strip, lines)]
    assert repr(made("Later").G).splitlines()[1:-1] == [
        "  (1): Tensor containing: [torch.float32 of size 3x2x2x3]",
        "  (2): Tensor containing: [torch.float32 of size 3x2x2x3]",
        "  (3): Tensor containing: [torch.float32 of size 3x2x2]",
    ]
    assert repr(made("Grid").S).count("Parameter containing: [torch.float32 of size 2x2]") == 6


def test_copies_and_pickles_are_families() -> None:
    for name, family in (("Chain", "G"), ("Grid", "S")):
        module = made(name)
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
            own = held(twin, family)
            assert all(tensor in getattr(twin, family) for tensor in own)
            assert not any(tensor in getattr(module, family) for tensor in own)


def test_members_that_tools_replace_are_still_there() -> None:
    class Twice(nn.Module):
        def forward(self, tensor: Tensor) -> Tensor:
            return 2 * tensor

    module = made("Chain")
    x = torch.randn(3, 32)
    due = module(x)
    parametrize.register_parametrization(module.G, "1", Twice())
    prune.l1_unstructured(module.G, "2", amount=0)
    assert len(module.G) == 5
    assert [tuple(core.shape) for core in module.G][1:4] == [(3, 2, 2, 3)] * 3
    torch.testing.assert_close(module(x), 2 * due)
    with pytest.raises(IndexError):
        module.G[5]


class Penalized(nn.Module):
    """A layer that reads the cores of another one."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        cores = self.layer.G
        total = sum((core.square().sum() for core in cores), torch.zeros(()))
        edges = cores[0].sum() + cores[-1].sum() + sum(core.sum() for core in cores[1:3])
        made: Tensor = self.layer(x) + total + edges * len(cores)
        return made


def test_compilers_see_a_list() -> None:
    model = Penalized(made("Chain"))
    x = torch.randn(3, 32)
    due = model(x)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), due)
    torch.testing.assert_close(torch.export.export(model, (x,)).module()(x), due)
    given = {key: 2 * value for key, value in model.named_parameters()}
    called = torch.func.functional_call(model, given, x)
    assert not torch.equal(called, due)


@pytest.mark.parametrize("name", ["property", "overload", "Iterator", "reversed", "any", "slice"])
def test_a_network_may_be_called_like_what_families_use(name: str) -> None:
    text = FAMILIES.replace("network Chain", f"network {name}")
    module = tncompile.loads(text).instantiate(name, n=2).module(search="fast", seed=0)
    assert next(reversed(module.G)) is module.G[-1]
    assert module.G[:][1] is module.G[1]
    assert module.G[1] in module.G
    assert "Parameter containing" in repr(module.G)
    assert module.fold().weight.shape == module.weight.shape == (4, 4)
