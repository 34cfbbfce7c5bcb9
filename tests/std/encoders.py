"""Encoders and decoders, by torch's own layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.acceptance.models.case import Result, State, flags, ids, layer_norm, real
from tests.std.case import Case
from tests.std.transformers import masked_sequence, sequence


def stacked(s: State, prefix: str, names: Sequence[str] = "qkv") -> dict[str, Tensor]:
    """The weights of nn.MultiheadAttention."""
    held = {
        f"in_proj_{kind}": torch.cat([s[f"{prefix}.{name}.{kind}"] for name in names])
        for kind in ("weight", "bias")
    }
    held |= {f"out_proj.{kind}": s[f"{prefix}.out.{kind}"] for kind in ("weight", "bias")}
    return held


def torch_layer(s: State, prefix: str, parts: dict[str, str]) -> dict[str, Tensor]:
    """The weights of a layer of torch by those of ours."""
    held = {
        f"{theirs}.{kind}": s[f"{prefix}{ours}.{kind}"]
        for theirs, ours in parts.items()
        for kind in ("weight", "bias")
    }
    return held | {f"self_attn.{k}": v for k, v in stacked(s, f"{prefix}attend").items()}


def encoder_block(
    s: State,
    x: Tensor,
    mask: Tensor | None = None,
    prefix: str = "",
    norm_first: bool = False,
    eps: float = 1e-5,
) -> Tensor:
    layer = nn.TransformerEncoderLayer(
        16, 4, 24, 0.0, functional.gelu, eps, batch_first=True, norm_first=norm_first
    )
    parts = {"linear1": "feed.up", "linear2": "feed.down", "norm1": "norm1", "norm2": "norm2"}
    held = torch_layer(s, prefix, parts)
    padding = None if mask is None else ~mask
    made: Tensor = torch.func.functional_call(
        layer.double().train(), held, (x,), {"src_key_padding_mask": padding}
    )
    return made


def encoder(s: State, words: Tensor, kinds: Tensor, mask: Tensor) -> Tensor:
    x = s["words.weight"][words] + s["kinds.weight"][kinds]
    x = layer_norm(s, "norm", x + s["places.weight"][: words.shape[-1]], 1e-12)
    for l in range(2):
        x = encoder_block(s, x, mask, f"block.{l}.", eps=1e-12)
    return x


def decoder_block(s: State, x: Tensor, memory: Tensor, mask: Tensor) -> Result:
    layer = nn.TransformerDecoderLayer(
        16, 4, 24, 0.0, functional.gelu, batch_first=True, norm_first=True
    )
    parts = {"linear1": "feed.up", "linear2": "feed.down"} | {f"norm{k}": f"norm{k}" for k in "123"}
    held = torch_layer(s, "", parts)
    held |= {f"multihead_attn.{k}": v for k, v in stacked(s, "cross").items()}
    later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    options = {"tgt_mask": later, "memory_key_padding_mask": ~mask}
    made: Tensor = torch.func.functional_call(layer.double(), held, (x, memory), options)
    return made


CASES = [
    Case("encoder", "EncoderBlock(16, 4, hidden = 24, masked = true)", masked_sequence,
         encoder_block, {"t": 7}),
    Case("encoder", "EncoderBlock(16, 4, hidden = 24, norm_first = true)", sequence,
         lambda s, x: encoder_block(s, x, norm_first=True), {"t": 7}),
    Case("encoder", "Encoder(2, 20, 9, 3, 16, 4, 24)",
         lambda g, t=5: (ids(g, 20, 2, t), ids(g, 3, 2, t), flags(g, 2, t)), encoder, {"t": 7}),
    Case("encoder", "DecoderBlock(16, 16, 4, 24, masked = true)",
         lambda g, s=4, t=5: (real(g, 2, s, 16), real(g, 2, t, 16), flags(g, 2, t)),
         decoder_block, {"s": 6, "t": 4}, held=(1, 2)),
]  # fmt: skip
