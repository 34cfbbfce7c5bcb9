"""Weights under several names, as T5 has its table: one price, sums over all names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tncompile import Moments, allocate, calibrate
from tncompile.tensorizing.calibrating.sharing import shared_sums

WORDS, WIDTH = 60, 24
NAMES = ("shared", "encoder.embed_tokens", "decoder.embed_tokens", "lm_head")


class Stack(nn.Module):
    def __init__(self, table: nn.Parameter) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(WORDS, WIDTH)
        self.embed_tokens.weight = table
        self.map = nn.Linear(WIDTH, WIDTH)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = torch.tanh(self.map(self.embed_tokens(ids)))
        return out


class T5(nn.Module):
    """The first name is never called; the head is scaled as that of T5."""

    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Embedding(WORDS, WIDTH)
        self.encoder, self.decoder = Stack(self.shared.weight), Stack(self.shared.weight)
        self.lm_head = nn.Linear(WIDTH, WORDS, bias=False)
        self.lm_head.weight = self.shared.weight

    def forward(self, ids: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        memory = self.encoder(ids).mean(1, keepdim=True)
        out: torch.Tensor = self.lm_head((self.decoder(others) + memory) * WIDTH**-0.5)
        return out


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return T5().eval()


@pytest.fixture(scope="module")
def moments(model: nn.Module) -> Moments:
    torch.manual_seed(1)
    pairs = [(torch.randint(0, 30, (8, 6)), torch.randint(20, WORDS, (8, 4))) for _ in range(3)]
    return calibrate(model, pairs)


def test_sums_are_those_of_all_names(model: nn.Module, moments: Moments) -> None:
    assert "shared" in moments.unreached
    assert "shared" not in moments
    tables = shared_sums(moments, NAMES[:3], "embedding")
    whole = shared_sums(moments, NAMES, "embedding")
    assert tables is not None
    assert whole is not None
    first, second = (moments.layers[name] for name in NAMES[1:3])
    torch.testing.assert_close(tables.rows, first.rows + second.rows)
    torch.testing.assert_close(tables.outputs, first.outputs + second.outputs)
    head = moments.layers["lm_head"]
    torch.testing.assert_close(whole.outputs, tables.outputs + head.inputs)
    torch.testing.assert_close(whole.inputs.sum(), whole.outputs.trace())
    assert shared_sums(moments, ["shared", "nowhere"], "embedding") is None


@pytest.mark.parametrize(
    ("kind", "other"), [("embedding", "lm_head"), ("linear", "decoder.embed_tokens")]
)
def test_a_map_in_the_other_direction_counts_an_error_alike(
    kind: str, other: str, moments: Moments
) -> None:
    """Of diagonal moments of ids, which is all that a table has, nothing is lost."""
    turned = shared_sums(moments, [other], kind)
    assert turned is not None
    error = torch.randn(WORDS, WIDTH, generator=torch.Generator().manual_seed(3)).double()

    def counted(ids: torch.Tensor, features: torch.Tensor) -> float:
        each = torch.einsum("ve,ef,vf->v", error, features.double(), error)
        return float(ids.double() @ each)

    own = moments.layers[other].metric(moments.samples, "gradients", 0.0)
    mine = turned.metric(moments.samples, "gradients", 0.0)
    table, head = (mine, own) if kind == "embedding" else (own, mine)
    assert table.inputs is not None
    assert table.outputs is not None
    assert head.inputs is not None
    assert head.outputs is not None
    expected = counted(head.outputs.diagonal(), head.inputs)
    assert counted(table.inputs, table.outputs) == pytest.approx(expected, rel=1e-6)


def test_the_table_is_priced_once_and_replaced_under_all_names(
    model: nn.Module, moments: Moments
) -> None:
    found = allocate(model, 0.6, moments=moments, multiple=4)
    assert [each.name for each in found.layers] == ["shared", "encoder.map", "decoder.map"]
    table = found.layers[0]
    assert (table.block, table.kind, table.dense) == ("TTEmbedding", "embedding", WORDS * WIDTH)
    assert found.dense == sum(p.numel() for p in model.parameters())
    assert found.parameters <= 0.6 * found.dense
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    assert done.report.after == found.parameters
    row = done.report.rows[0]
    assert row.names == NAMES[:3]
    assert row.readers == ("lm_head",)
    assert row.metric_error is not None
    assert row.call == (32,)  # 8 × 6 of the encoder and 8 × 4 of the decoder, the lower median
    small = done.model
    assert small.shared is small.encoder.embed_tokens is small.decoder.embed_tokens
    ids = torch.randint(0, WORDS, (2, 5))
    with torch.no_grad():
        assert small(ids, ids).shape == (2, 5, WORDS)
        torch.testing.assert_close(small.lm_head.weight[ids], small.shared(ids))


def test_floors_and_layers_take_any_name(model: nn.Module, moments: Moments) -> None:
    for name in NAMES:
        found = allocate(model, 0.9, moments=moments, multiple=4, floors={name: 16})
        assert int(found.layers[0].rank) >= 16
    alone = allocate(model, 0.9, moments=moments, multiple=4, layers=["decoder.embed_tokens"])
    assert [each.name for each in alone.layers] == ["decoder.embed_tokens"]
    done = tncompile.tensorize(model, alone.rewrite, moments=moments)
    assert done.report.rows[0].names == NAMES[:3]
