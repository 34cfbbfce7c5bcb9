"""Any network adds nothing at the start, and is reached by gradients in all of its tensors."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import tncompile
from tncompile.tensorizing.adapting.starting import vanishing

BLOCKS = {
    "LowRank": {"rank": 2},
    "MPO": {"ranks": 2},
    "TensorRing": {"ranks": 2},
    "Tucker": {"in_ranks": 2, "out_ranks": 2, "ins": [4, 4], "outs": [2, 4]},
    "CP": {"rank": 3},
    "BlockTerm": {"ranks": 2},
    "KroneckerSum": {},
    "Monarch": {},
    "HierarchicalTucker": {"rank": 2},
    "ZeroMPO": {"ins": [4, 4], "outs": [2, 4]},
}

SYMMETRIC = """
network Symmetric(n: int, r: int) {
  index  i = n, o = n
  bond   a = r
  input  x(..., i)
  tensor U(i, a)
  tensor V(o, a) tie U
  output y(..., o)
}
"""


def own(body: str) -> tncompile.Architecture:
    """A network from 4 inputs to 4 outputs with these tensors."""
    bond = "bond a = 2" if "a)" in body or "(a" in body else ""
    text = f"network N() {{ index i = 4, o = 4 {bond} {body} output y(..., o) }}"
    return tncompile.loads(text).instantiate()


def live(model: nn.Module, x: torch.Tensor) -> tuple[set[str], set[str]]:
    """The parameters that gradients reach at the start, and after a step."""
    trained = {key: p for key, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.Adam(trained.values(), lr=1e-2)
    found: list[set[str]] = []
    for _ in range(2):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        found.append({key for key, p in trained.items() if p.grad.abs().max() > 0})
        optimizer.step()
    return found[0], found[1]


@pytest.mark.parametrize("block", BLOCKS)
def test_nothing_is_added_and_all_tensors_are_reached(block: str) -> None:
    torch.manual_seed(0)
    layer, x = nn.Sequential(nn.Linear(16, 8)), torch.randn(5, 16)
    before = layer(x)
    adapted = tncompile.adapt(layer, block, **BLOCKS[block])
    assert torch.equal(layer(x), before)
    values = adapted.state_dict()
    assert sum(not tensor.any() for tensor in values.values()) == 1
    start, after = live(layer, x)
    assert start
    assert after == {key for key, p in layer.named_parameters() if p.requires_grad}
    assert not torch.equal(layer(x), before)


def test_the_start_of_low_rank_is_that_of_lora() -> None:
    layer = nn.Linear(256, 64)
    state = tncompile.adapt(layer, rank=16).state_dict()
    assert not state["B"].any()
    assert float(state["A"].std()) == pytest.approx(1 / math.sqrt(3 * 256), rel=0.02)


def test_layers_start_differently_and_the_same_every_time() -> None:
    first, second = (
        tncompile.adapt(nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8)), rank=2).state_dict()
        for _ in range(2)
    )
    assert torch.equal(first["0.A"], second["0.A"])
    assert not torch.equal(first["0.A"], first["1.A"])


def test_what_is_tied_everywhere_has_its_start_taken_off() -> None:
    torch.manual_seed(0)
    layer, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(5, 8)
    before, weight = layer(x), layer[0].weight.clone()
    symmetric = tncompile.loads(SYMMETRIC)["Symmetric"]
    adapted = tncompile.adapt(layer, symmetric, n=8, r=2)
    assert torch.equal(layer(x), before)
    assert adapted.trainable.parameters == 16
    start, _ = live(layer, x)
    assert start == {"0.adapter.default.network.U"}
    state = adapted.state_dict()
    u, u0 = state["0.network.U"], state["0.start.U"]
    torch.testing.assert_close(layer(x), before + x @ (u @ u.T - u0 @ u0.T))
    after = layer(x)
    adapted.merge()
    torch.testing.assert_close(layer(x), after)
    adapted.unload()
    assert torch.equal(layer[0].weight, weight)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ("input x(..., i) tensor B(a, o) tensor A(i, a)", "B"),
        ("input x(..., i) tensor A(i, a) init zeros tensor B(a, o)", "A"),
        ("input x(..., i) tensor A(i, a) tensor B(a, o) init eye frozen", "A"),
        ("input x(..., i) hyper h = 3 tensor A(i, h) tensor M(h) tensor B(h, o)", "B"),
        ("input x(..., i) tensor A(i, o)", "A"),
    ],
)
def test_which_tensor_is_zero(body: str, key: str) -> None:
    assert vanishing(own(body).network) == key


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("tensor A(i, a) init zeros tensor B(a, o) init zeros", "`A` and `B` start at zero"),
        ("tensor A(i, a) tensor B(a, o) init zeros frozen", "`B` of N is frozen at zero"),
        ("tensor A(i, a) init eye frozen tensor B(a, o) init eye frozen", "are frozen"),
        ("tensor A(i, a) init zeros tensor B(o, a) tie A", "stands at several places"),
    ],
)
def test_what_no_gradient_reaches_is_refused(body: str, message: str) -> None:
    layer = nn.Linear(4, 4)
    with pytest.raises(ValueError, match=message):
        tncompile.adapt(layer, own(f"input x(..., i) {body}"))
    assert type(layer) is nn.Linear
    assert layer.weight.requires_grad


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("input x(..., i) tensor A(i, a) tensor B(a, o) bias c(o)", "has a bias"),
        ("input x(..., i) tensor A(i, a) complex tensor B(a, o)", "is complex"),
        ("input x(..., i) tensor weight(i, a) tensor B(a, o)", "has a tensor `weight`"),
        ("input x(..., onehot(i)) tensor A(i, a) tensor B(a, o)", "is no map like the layer"),
        ("input x(..., i) input z(..., o) tensor A(i, o)", "is no map like the layer"),
    ],
)
def test_what_is_no_adapter_is_refused(body: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tncompile.adapt(nn.Linear(4, 4), own(body))


def test_alpha_is_over_the_rank_for_low_rank_alone() -> None:
    for block, scale in (("LowRank", 4.0), ("MPO", 16.0)):
        layer = nn.Linear(16, 16)
        arguments = {"LowRank": {"rank": 4}, "MPO": {"ranks": 4}}[block]
        adapted = tncompile.adapt(layer, block, alpha=16, **arguments)
        x = torch.randn(3, 16)
        before = layer(x)
        with torch.no_grad():
            for parameter in layer.parameters():
                if parameter.requires_grad:
                    parameter.normal_()
        added = layer.adapter["default"](x)
        torch.testing.assert_close(layer(x), before + scale * added)
        assert adapted.trainable.rows[0][1].startswith(block)
