"""Moments of the projection of torch's attention, which is never called."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

import tncompile


class ByHand(nn.Module):
    """nn.MultiheadAttention with two heads, its projection called."""

    def __init__(self, attend: nn.MultiheadAttention) -> None:
        super().__init__()
        self.weight, self.bias = attend.in_proj_weight, attend.in_proj_bias
        self.out_proj = nn.Linear(8, 8)
        self.out_proj.load_state_dict(attend.out_proj.state_dict())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = functional.linear(x, self.weight, self.bias).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in parts)
        heads = functional.scaled_dot_product_attention(q, k, v)
        out: torch.Tensor = self.out_proj(heads.transpose(1, 2).flatten(2))
        return out


class Torchs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        nn.init.normal_(self.attend.out_proj.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.attend(x, x, x)[0]
        return out


def test_they_are_those_of_attention_by_hand() -> None:
    model, batches = Torchs(), [torch.randn(4, 5, 8) for _ in range(2)]
    projection = model.attend.out_proj
    found = tncompile.calibrate(model, batches)
    wanted = tncompile.calibrate(ByHand(model.attend), batches)
    ours, theirs = found.layers["attend.out_proj"], wanted.layers["out_proj"]
    torch.testing.assert_close(ours.inputs, theirs.inputs, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(ours.outputs, theirs.outputs, rtol=1e-4, atol=1e-4)
    assert ours.rows == theirs.rows
    assert found.unreached == ()
    assert model.attend.out_proj is projection
    assert not model.attend._forward_hooks


def test_the_model_is_as_before_after_an_error() -> None:
    model = Torchs()
    projection = model.attend.out_proj
    with pytest.raises(AssertionError, match="embedding dimension"):
        tncompile.calibrate(model, [torch.randn(4, 5, 9)])
    assert model.attend.out_proj is projection
    assert not model.attend._forward_hooks


def test_frozen_encoders_are_seen_and_replaced() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval().requires_grad_(False)
    x = torch.randn(4, 5, 8)
    moments = tncompile.calibrate(model, [x])
    assert moments.unreached == ()
    assert len(moments.layers) == 6
    rewrite = tncompile.Rewrite.loads(
        'import "std/linear.tn" { LowRank } rewrite R {'
        ' parameter "*.in_proj_weight" -> LowRank(8, 24, rank = 8, with_bias = false)'
        ' linear "*" -> LowRank(rank = 8) }'
    )
    done = tncompile.tensorize(model, rewrite, moments=moments)
    rows = {row.names[0]: row.metric_error for row in done.report.rows}
    assert rows["layers.1.self_attn.out_proj"] is not None
    for training in (True, False):
        for gradients in (True, False):
            both = copy.deepcopy((model, done.model))
            with torch.set_grad_enabled(gradients):
                a, b = (each.train(training)(x) for each in both)
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
