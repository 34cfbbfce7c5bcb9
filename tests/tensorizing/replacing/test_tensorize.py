"""Layers of whole models replaced: what they compute, what is carried over, what is said."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.replacing.models import (
    FULL,
    GPT2,
    INPUTS,
    TENSORS,
    Conv1D,
    Experts,
    Mixtral,
    Padded,
    ResNet,
    rewrite_text,
    seeded,
)
from tncompile.tensorizing.replacing.tensorized import Tensorized

MODELS = list(FULL)
Made = dict[type[nn.Module], tuple[nn.Module, Tensorized]]


@pytest.fixture(scope="module")
def made() -> Made:
    """Each model, and what becomes of it when all layers are replaced without loss."""
    found: Made = {}
    for cls, lines in FULL.items():
        model = seeded(cls)
        rewrite = tncompile.Rewrite.loads(rewrite_text(lines))
        found[cls] = model, tncompile.tensorize(model, rewrite)
    return found


def run(model: nn.Module, cls: type[nn.Module]) -> torch.Tensor:
    with torch.no_grad():
        out: torch.Tensor = model(INPUTS[cls])
    return out


def dense_layers(model: nn.Module) -> Iterator[str]:
    """Names of modules that are still of the kinds that were replaced."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d | nn.Conv2d | Conv1D):
            yield name


def rewritten(model: nn.Module, lines: str, **options: float) -> Tensorized:
    return tncompile.tensorize(model, tncompile.Rewrite.loads(rewrite_text(lines)), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("cls", MODELS)
def test_networks_that_lose_nothing_compute_what_the_layers_did(
    made: Made, cls: type[nn.Module]
) -> None:
    model, done = made[cls]
    reference = run(model, cls)
    assert reference.abs().max() > 0.01
    torch.testing.assert_close(run(done.model, cls), reference, atol=1e-5, rtol=1e-5)
    assert all(row.error < 1e-5 for row in done.report.rows)


@pytest.mark.parametrize("cls", MODELS)
def test_every_layer_is_replaced_and_the_model_untouched(made: Made, cls: type[nn.Module]) -> None:
    model, done = made[cls]
    left = set(dense_layers(done.model))
    assert left == ({"lm_head"} if cls is GPT2 else set())
    assert sum(len(row.names) for row in done.report.rows) >= len(set(dense_layers(model))) - 1
    fresh = seeded(cls)
    assert list(model.state_dict()) == list(fresh.state_dict())
    assert all(map(torch.equal, model.state_dict().values(), fresh.state_dict().values()))
    assert type(model) is type(done.model)
    assert not done.model.training


@pytest.mark.parametrize("cls", MODELS)
def test_copies_and_pickles_compute_the_same(made: Made, cls: type[nn.Module]) -> None:
    _, done = made[cls]
    for other in (copy.deepcopy(done.model), pickle.loads(pickle.dumps(done.model))):
        assert torch.equal(run(other, cls), run(done.model, cls))
        assert list(other.state_dict()) == list(done.model.state_dict())


@pytest.mark.parametrize("cls", MODELS)
def test_gradients_reach_all_networks(made: Made, cls: type[nn.Module]) -> None:
    model = copy.deepcopy(made[cls][1].model)
    model(INPUTS[cls]).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert [name for name in without if not name.startswith("gate.")] == []


def test_settings_of_convolutions_are_carried_over(made: Made) -> None:
    model, done = made[ResNet]
    for name in ("stem", "wide", "temporal"):
        old, new = model.get_submodule(name), done.model.get_submodule(name)
        for setting in ("stride", "padding", "dilation", "groups", "padding_mode", "kernel_size"):
            assert getattr(old, setting) == getattr(new, setting), (name, setting)
    assert done.model.depthwise.groups == 8
    assert done.model.depthwise.padding == (1, 1)
    assert done.model.again is done.model.depthwise
    (row,) = (row for row in done.report.rows if row.names[0] == "depthwise")
    assert row.names == ("depthwise", "again")
    assert "depthwise is shared: again, too" in repr(done.report)


def test_a_tied_head_reads_the_embedding(made: Made) -> None:
    _, done = made[GPT2]
    model = copy.deepcopy(done.model)
    assert torch.equal(model.lm_head.weight, model.wte.weight)
    with torch.no_grad():
        model.wte.G[0].mul_(2.0)
    assert torch.equal(model.lm_head.weight, model.wte.weight)
    assert "lm_head is tied: it reads its weight off wte" in repr(done.report)
    assert done.report.after == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("lines", "network", "readers"),
    [
        ('linear "lm_head" -> LowRank(rank = 8)', "lm_head", ("wte",)),
        ('linear "*" -> LowRank(rank = 8) embedding "wte" -> TTEmbedding', "lm_head", ("wte",)),
        ('embedding "wte" -> TTEmbedding(ranks = 64) linear "*" -> LowRank', "wte", ("lm_head",)),
    ],
)
def test_the_first_line_decides_on_a_tied_weight(
    lines: str, network: str, readers: tuple[str, ...]
) -> None:
    model = seeded(GPT2)
    done = rewritten(model, lines)
    (row,) = done.report.rows
    assert (row.names, row.readers) == ((network,), readers)
    torch.testing.assert_close(run(done.model, GPT2), run(model, GPT2), atol=1e-5, rtol=1e-5)


def test_what_a_line_keeps_is_kept_tied() -> None:
    done = rewritten(seeded(GPT2), 'embedding "wte" -> keep linear "*" -> LowRank')
    assert done.report.rows == ()
    assert done.report.kept == ("wte",)
    assert done.model.lm_head.weight is done.model.wte.weight


def test_a_row_of_padding_stays_and_gets_no_gradient(made: Made) -> None:
    model, done = made[Padded]
    changed = copy.deepcopy(done.model)
    with torch.no_grad():
        for parameter in changed.embed.parameters():
            parameter.normal_()
    assert torch.equal(changed.embed(torch.tensor(3)), model.embed.weight[3])
    assert torch.equal(changed.embed.weight[3], model.embed.weight[3])
    changed.embed(torch.tensor([3, 3])).sum().backward()
    assert all(not p.grad.any() for p in changed.embed.parameters() if p.grad is not None)
    assert changed.embed.padding_idx == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_and_frozen_parameters_are_carried_over(dtype: torch.dtype) -> None:
    model = seeded(Padded).to(dtype).train()
    model.embed.requires_grad_(False)
    model.attend.out_proj.bias.requires_grad_(False)
    done = rewritten(model, FULL[Padded])
    assert {p.dtype for p in done.model.parameters()} == {dtype}
    assert not any(p.requires_grad for p in done.model.embed.parameters())
    trained = {name: p.requires_grad for name, p in done.model.attend.out_proj.named_parameters()}
    assert trained == {"A": True, "B": True, "c": False}
    assert all(module.training for module in done.model.modules())


def test_equal_calls_give_equal_models() -> None:
    lines = (
        'conv1d "*" -> MPO(ins = [2, in_features // 2], outs = [4, out_features // 4], ranks = 3)'
    )
    first, second = (rewritten(seeded(GPT2), lines, seed=3) for _ in range(2))
    assert first.report == second.report
    pairs = zip(first.model.parameters(), second.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_ranks_left_out_follow_a_tolerance() -> None:
    model = nn.ModuleDict({"a": nn.Linear(12, 10), "b": nn.Linear(12, 10)})
    lines = 'linear "a" -> LowRank linear "b" -> LowRank(rank = 2)'
    rows = rewritten(model, lines, tolerance=0.3).report.rows
    assert rows[0].error < 0.3 < rows[1].error
    assert rows[0].network.startswith("LowRank(in_features = 12, out_features = 10, rank = ")


def test_layers_are_fitted_in_their_metrics() -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    x = torch.randn(64, 6) * torch.tensor([1.0, 1.0, 1.0, 1e-6, 1e-6, 1e-6])
    moments = tncompile.calibrate(model, [x], layers=["0"])
    rewrite = tncompile.Rewrite.loads(rewrite_text('linear "*" -> LowRank(rank = 3)'))
    done = tncompile.tensorize(model, rewrite, moments=moments)
    first, second = done.report.rows
    assert first.metric_error is not None
    assert first.metric_error < 0.1 < first.error
    assert second.metric_error is None
    alone = tncompile.from_linear(model[0], "LowRank", rank=3, metric=moments.metric("0"))
    assert torch.equal(done.model[0].weight, alone.weight)


def test_parameters_are_read_where_they_stood(made: Made) -> None:
    model, done = made[Mixtral]
    experts = done.model.experts
    assert isinstance(experts, Experts)
    torch.testing.assert_close(
        experts.gate_up_proj, model.experts.gate_up_proj.detach(), atol=1e-5, rtol=1e-5
    )
    keys = [key for key in done.model.state_dict() if key.startswith("experts.")]
    parts = ("gate_up_proj", "down_proj")
    walked = done.model.get_parameter("experts.networks.gate_up_proj.A")
    assert walked is done.model.get_submodule("experts.networks.gate_up_proj").A
    assert keys == [f"experts.networks.{part}.{key}" for part in parts for key in "ABC"]


def test_experts_are_contracted_once_a_forward_pass(made: Made) -> None:
    model = copy.deepcopy(made[Mixtral][1].model)
    calls: list[int] = []
    network = model.experts.networks.gate_up_proj  # type: ignore[union-attr]
    network.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[operator,union-attr]
    for count in (1, 2):
        run(model, Mixtral)
        assert len(calls) == count
    with torch.no_grad():
        network.A.mul_(2.0)  # type: ignore[union-attr,operator]
    assert not torch.equal(run(model, Mixtral), run(made[Mixtral][1].model, Mixtral))
    assert torch.equal(model.experts.gate_up_proj, network())  # type: ignore[operator,union-attr]
    before = len(calls)
    with pytest.raises(RuntimeError):
        model.experts(torch.ones(2, 5, 7), torch.ones(2, 5))  # type: ignore[operator]
    model.experts.gate_up_proj, model.experts.gate_up_proj  # noqa: B018
    assert len(calls) == before + 3
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(run(compiled, Mixtral), run(model, Mixtral))  # type: ignore[arg-type]


class Twins(nn.Module):
    """A table under two names and a head that are tied, as T5 has them; one that scales."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.shared, self.decoder = nn.Embedding(12, 8), nn.ModuleDict({"e": nn.Embedding(12, 8)})
        self.scaled = Scaled(12, 8)
        self.head = nn.Linear(8, 12, bias=False)
        self.scaled.scale = scale
        for each in (self.decoder["e"], self.scaled, self.head):
            each.weight = self.shared.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.shared(ids) + self.decoder["e"](ids) + self.scaled(ids))
        return out


class Scaled(nn.Embedding):
    scale = 1.0

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) * self.scale


def test_tables_of_one_weight_become_one_module_and_others_read_it() -> None:
    model, ids = Twins(3.0), torch.tensor([[1, 5], [0, 11]])
    done = rewritten(model, 'embedding "shared" -> TTEmbedding(ranks = 64)')
    assert done.model.decoder["e"] is done.model.shared  # type: ignore[index]
    assert isinstance(done.model.scaled, Scaled)
    torch.testing.assert_close(done.model(ids), model(ids), atol=1e-5, rtol=1e-5)
    (row,) = done.report.rows
    assert (row.names, row.readers) == (("shared", "decoder.e"), ("scaled", "head"))
    lines = 'parameter "scaled.weight" -> LowRank(8, 12, rank = 8, with_bias = false)'
    done = rewritten(model, lines)
    torch.testing.assert_close(done.model(ids), model(ids), atol=1e-5, rtol=1e-5)
    assert len(list(done.model.parameters())) == 2
    with pytest.raises(tncompile.CompileError, match="TN701"):
        rewritten(model, 'embedding "scaled" -> TTEmbedding')


def test_a_module_of_the_name_that_networks_take() -> None:
    model = nn.Module()
    model.networks, model.w = nn.Linear(2, 2), nn.Parameter(torch.ones(3, 4, 5))
    with pytest.raises(ValueError, match="`w`: a Module has a `networks` of its own"):
        rewritten(model, 'parameter "w" -> Experts(3, 4, 5, rank = 2)')


def test_a_model_that_is_one_layer() -> None:
    model = nn.Linear(6, 4)
    done = rewritten(model, 'linear "*" -> LowRank(rank = 4)')
    x = torch.randn(2, 6)
    torch.testing.assert_close(done.model(x), model(x), atol=1e-5, rtol=1e-5)
    assert "(the model)" in repr(done.report)


@pytest.mark.parametrize("name", ['a"b', "a\\b", "[*]", "#", "🦊", "def", "a b", "-> keep"])
def test_names_may_be_any(name: str, tmp_path: Path) -> None:
    model = nn.Module()
    model.add_module(name, nn.Linear(4, 4))
    done = rewritten(model, 'linear "*" -> LowRank(rank = 4)')
    done.save(f"{tmp_path}/out")
    again = tncompile.load_model(f"{tmp_path}/out", model=model)
    assert torch.equal(again._modules[name].weight, done.model._modules[name].weight)  # type: ignore[union-attr,arg-type]


def test_memory_is_known_before_anything_is_made() -> None:
    model = seeded(GPT2)
    with pytest.raises(ValueError, match=r"about .* KiB are needed, the limit is 1.00 KiB"):
        rewritten(model, 'conv1d "*" -> LowRank(rank = 2)', memory_limit=1024)


def test_weights_that_cannot_be_fitted_are_named() -> None:
    model = seeded(GPT2)
    with torch.no_grad():
        model.h[1].c_fc.weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"^h\.1\.c_fc: the weight has an entry that is not fini"):
        rewritten(model, 'conv1d "*.c_fc" -> LowRank(rank = 2)')


def test_progress_ends_with_all_layers() -> None:
    calls: list[tuple[int, int]] = []
    rewrite = tncompile.Rewrite.loads(rewrite_text('conv1d "h.0.*" -> LowRank(rank = 1)'))
    tncompile.tensorize(seeded(GPT2), rewrite, progress=lambda *each: calls.append(each))
    assert calls == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


def test_rewrites_that_are_none() -> None:
    model = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="has no `rewrite` block"):
        tncompile.Rewrite.loads(TENSORS)
    two = 'rewrite First { any "*" -> keep } rewrite Second { any "*" -> keep }'
    with pytest.raises(ValueError, match="several rewrites: name one of First, Second"):
        tncompile.tensorize(model, tncompile.loads(two))
    with pytest.raises(ValueError, match="did you mean 'First'"):
        tncompile.Rewrite.loads(two, "Fist")
    assert tncompile.Rewrite.loads(two, "Second").name == "Second"
    with pytest.raises(TypeError, match="not int"):
        tncompile.tensorize(model, 3)  # type: ignore[arg-type]


def test_flops_stand_beside_those_of_the_layer() -> None:
    done = rewritten(nn.Linear(32, 64, bias=False), 'linear "*" -> LowRank(rank = 4)')
    (row,) = done.report.rows
    assert row.dense_flops == 2 * 64 * 32 * 64
    assert row.flops == 2 * 64 * 4 * (32 + 64)
    assert "0.188 ×" in repr(done.report)
