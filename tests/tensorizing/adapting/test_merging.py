"""Merged, switched, unloaded, several at once: the model is what it was, to the bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.adapting.models import IDS, LAYERS, copied, disturb, equal, mixed


@pytest.fixture(params=[torch.float32, torch.bfloat16, torch.float64], ids=str)
def model(request: pytest.FixtureRequest) -> nn.Module:
    """A model of a dtype."""
    return mixed(request.param)


@torch.no_grad()
def out(model: nn.Module) -> torch.Tensor:
    """What it computes; torch has other kernels where gradients are needed."""
    found: torch.Tensor = model(IDS)
    return found


def out_frozen(model: nn.Module) -> torch.Tensor:
    """What it computes when its weights are frozen, as `adapt` leaves them, in the same kernels."""
    return out(copy.deepcopy(model).requires_grad_(False))


def adapted_with(model: nn.Module, **arguments: object) -> tncompile.Adapted:
    """An adapter beside all layers that does something."""
    adapted = tncompile.adapt(model, rank=2, target_modules=LAYERS, **arguments)
    disturb(model)
    return adapted


def test_every_kind_of_layer_comes_and_goes(model: nn.Module) -> None:
    frozen = out(model.requires_grad_(False))  # products of matrices differ by it
    model.requires_grad_(True)
    state, types = copied(model), [type(module) for module in model.modules()]
    dtype = model.up.weight.dtype
    tolerance = {"rtol": 0.05, "atol": 0.05} if dtype == torch.bfloat16 else {}
    before = out(model)
    adapted = adapted_with(model)
    wide = torch.float32 if dtype == torch.bfloat16 else dtype
    assert {t.dtype for t in adapted.state_dict().values()} == {wide}
    assert {key for key in model.state_dict() if ".adapter." not in key} == {*state}
    changed = out(model)
    assert changed.dtype == dtype
    assert not torch.allclose(changed, before)
    with adapted.disable():
        assert torch.equal(out(model), frozen)
    adapted.merge()
    assert adapted.merged
    assert model.up.weight.dtype == dtype
    torch.testing.assert_close(out(model), changed, **tolerance)
    with adapted.disable():
        assert torch.equal(out(model), frozen)
    assert adapted.merged
    adapted.unmerge()
    assert torch.equal(out(model), changed)
    assert model.head.weight is model.embed.weight
    adapted.merge()
    assert adapted.unload() is model
    assert equal(copied(model), state)
    assert [type(module) for module in model.modules()] == types
    assert model.head.weight is model.embed.weight
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(out(model), before)
    with pytest.raises(ValueError, match="it was unloaded"):
        adapted.merge()


def test_merged_for_good() -> None:
    model = mixed()
    keys = [*model.state_dict()]
    model.up.weight.requires_grad_(False)
    adapted = adapted_with(model)
    changed = out(model)
    shared = model.embed.weight.clone()
    assert adapted.merge_and_unload() is model
    assert [*model.state_dict()] == keys
    torch.testing.assert_close(out(model), changed)
    assert type(model.up) is nn.Linear
    trained = {key for key, p in model.named_parameters() if p.requires_grad}
    assert "down.weight" in trained
    assert "up.weight" not in trained
    assert not torch.equal(model.head.weight, model.embed.weight)
    assert torch.equal(model.embed.weight[3], shared[3])


def test_merging_computes_the_sum_and_rounds_once() -> None:
    layer = nn.Linear(32, 32).to(torch.bfloat16)
    weight = layer.weight.detach().clone()
    adapted = tncompile.adapt(layer, rank=2, alpha=3)
    disturb(layer)
    state = adapted.state_dict()
    wanted = weight.float() + 1.5 * (state["A"] @ state["B"]).mT
    adapted.merge()
    assert torch.equal(layer.weight, wanted.to(torch.bfloat16))


def test_the_row_of_padding_stays() -> None:
    model = mixed()
    before = model.embed(IDS)
    adapted = tncompile.adapt(model, rank=2, target_modules=["embed"])
    disturb(model)
    for _ in range(2):
        changed = model.embed(IDS)
        assert torch.equal(changed[IDS == 3], before[IDS == 3])
        assert not torch.equal(changed[IDS == 5], before[IDS == 5])
        adapted.merge()


def test_modules_trained_whole() -> None:
    model = mixed()
    state, before = copied(model), out_frozen(model)
    adapted = tncompile.adapt(model, rank=2, target_modules=["up"], modules_to_save=["norm"])
    trained = [key for key, p in model.named_parameters() if p.requires_grad]
    assert trained == [
        "up.adapter.default.A",
        "up.adapter.default.B",
        "norm.weight",
        "norm.bias",
    ]
    model.train()
    model(IDS).square().sum().backward()
    assert model.norm.weight.grad is not None
    disturb(model)
    model.eval()
    changed = out(model)
    saved = adapted.state_dict()
    assert torch.equal(saved["norm.running_mean"], model.norm.running_mean)
    assert not torch.equal(saved["norm.running_mean"], state["norm.running_mean"])
    assert adapted.trainable.rows[-1] == ("norm", "", 16)
    with adapted.disable():
        assert torch.equal(out(model), before)
    assert torch.equal(out(model), changed)
    again = copy.deepcopy(model)
    adapted.unload()
    assert equal(copied(model), state)
    tncompile.Adapted(again).merge_and_unload()
    torch.testing.assert_close(out(again), changed)


def test_several_adapters_are_independent() -> None:
    model = mixed()
    state, before = copied(model), out_frozen(model)
    first = adapted_with(model, name="first")
    with_first = out(model)
    second = tncompile.adapt(model, "MPO", ranks=2, target_modules=["up", "down"], name="second")
    assert torch.equal(out(model), before)
    assert all("second" in key for key, p in model.named_parameters() if p.requires_grad)
    disturb(model, seed=1)
    with_second = out(model)
    first.select()
    assert torch.equal(out(model), with_first)
    assert all("first" in key for key, p in model.named_parameters() if p.requires_grad)
    second.switch(True)
    with_both = out(model)
    first.merge()
    second.merge()
    torch.testing.assert_close(out(model), with_both)
    first.unmerge()
    torch.testing.assert_close(out(model), with_both)
    first.unload()
    torch.testing.assert_close(out(model), with_second)
    assert not second.model.up.weight.requires_grad
    second.unload()
    assert equal(copied(model), state)
    assert model.up.weight.requires_grad


def test_a_name_is_there_once() -> None:
    model = mixed()
    adapted_with(model)
    with pytest.raises(ValueError, match="the model has an adapter 'default'"):
        adapted_with(model)


def test_what_two_adapters_save_is_in_once() -> None:
    model = mixed()
    first = tncompile.adapt(model, target_modules=["up"], modules_to_save=["norm"], name="first")
    second = tncompile.adapt(model, target_modules=["up"], modules_to_save=["norm"], name="second")
    with pytest.raises(ValueError, match="norm is that of the adapter 'second'"):
        first.switch(True)
    first.select()
    assert not second.enabled


def test_what_is_not_finite_is_not_merged() -> None:
    model = mixed()
    adapted = adapted_with(model)
    state, changed = copied(model), out(model)
    with torch.no_grad():
        model.conv.adapter["default"].A.fill_(torch.inf)
    state["conv.adapter.default.A"].fill_(torch.inf)
    for merge in (adapted.merge, adapted.merge_and_unload):
        with pytest.raises(ValueError, match="conv: the adapter 'default' is not finite"):
            merge()
        assert equal(copied(model), state)
    assert not adapted.merged
    assert changed.isfinite().all()


def test_a_model_that_is_moved_in_between() -> None:
    model = mixed()
    adapted = adapted_with(model, modules_to_save=["norm"])
    adapted.merge()
    model.double()
    adapted.unload()
    assert {t.dtype for t in model.parameters()} == {torch.float64}
    assert torch.equal(model.up.weight, mixed().up.weight.double())


def test_state_dicts_of_the_adapter_alone() -> None:
    model = mixed()
    adapted = adapted_with(model)
    state = {key: tensor.clone() for key, tensor in adapted.state_dict().items()}
    changed = out(model)
    other = mixed()
    twin = tncompile.adapt(other, rank=2, target_modules=LAYERS)
    twin.merge()
    twin.load_state_dict(state)
    assert twin.merged
    torch.testing.assert_close(out(other), changed)
    with pytest.raises(ValueError, match="is missing"):
        twin.load_state_dict({})
    with pytest.raises(ValueError, match="belongs to nothing"):
        twin.load_state_dict({**state, "x": state["up.A"]})
    with pytest.raises(ValueError, match="and not"):
        twin.load_state_dict({**state, "up.A": state["up.B"]})


def test_state_dicts_of_the_base_load_as_before() -> None:
    state = copied(mixed())
    model = mixed()
    adapted_with(model)
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(".adapter." in key for key in missing)


def test_trainable_prints() -> None:
    model = mixed()
    text = repr(adapted_with(model, modules_to_save=["norm"]).trainable)
    assert "trained whole" in text
    assert text.splitlines()[-1].split() == ["all", "30.77%", "of", "832", "256"]
