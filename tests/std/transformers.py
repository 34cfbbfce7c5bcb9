"""Attention and transformers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    State,
    attend,
    flags,
    heads,
    ids,
    joined,
    layer_norm,
    linear,
    real,
    rms_norm,
    train,
    train_matrix,
)
from tests.std.case import Case


def rotated(x: Tensor, base: float = 10000.0) -> Tensor:
    """Pairs of features as complex numbers, turned."""
    half = x.shape[-1] // 2
    rates = base ** -(torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[-2])[:, None] * rates
    pairs = torch.complex(x[..., :half], x[..., half:])
    turned = pairs * torch.polar(torch.ones_like(angle), angle)
    return torch.cat([turned.real, turned.imag], -1)


def mixed(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    count: int,
    groups: int,
    rotary: bool = False,
    causal: bool = False,
    reach: int = 0,
) -> Tensor:
    """Heads by repeating keys for every query."""
    q, k, v = heads(q, count), heads(k, groups), heads(v, groups)
    if rotary:
        q, k = rotated(q), rotated(k)
    k, v = (each.repeat_interleave(count // groups, -3) for each in (k, v))
    if mask is not None:
        mask = mask[..., None, None, :]
    if reach:
        places = torch.arange(q.shape[-2])
        mask = places[:, None] - places < reach
    return joined(attend(q, k, v, mask=mask, causal=causal))


def maps(s: State, part: str, x: Tensor, dense: bool, bias: bool = True) -> Tensor:
    return linear(s, part, x, bias) if dense else train(s, part, x, bias)


def attention(
    s: State,
    x: Tensor,
    memory: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    prefix: str = "",
    dense: bool = True,
    bias: bool = True,
    count: int = 4,
    groups: int = 4,
    rotary: bool = False,
    causal: bool = False,
    reach: int = 0,
) -> Tensor:
    other = x if memory is None else memory
    q = maps(s, f"{prefix}q", x, dense, bias)
    k, v = (maps(s, f"{prefix}{name}", other, dense, bias) for name in "kv")
    y = mixed(q, k, v, mask, count=count, groups=groups, rotary=rotary, causal=causal, reach=reach)
    return maps(s, f"{prefix}out", y, dense, bias)


def sequence(g: torch.Generator, b: int = 2, t: int = 5) -> tuple[Tensor, ...]:
    return (real(g, b, t, 16),)


def masked_sequence(g: torch.Generator, b: int = 2, t: int = 5) -> tuple[Tensor, ...]:
    return real(g, b, t, 16), flags(g, b, t)


CASES = [
    Case("attention", "Rotary(6)", lambda g, t=5: (real(g, 2, t, 6),), lambda s, x: rotated(x),
         {"t": 7}),
    Case(
        "attention",
        "Heads(16, 4, 2, rotary = true, masked = true)",
        lambda g, s=4, t=5: (real(g, 2, s, 16), real(g, 2, t, 8), real(g, 2, t, 8), flags(g, 2, t)),
        lambda s, q, k, v, m: mixed(q, k, v, m, count=4, groups=2, rotary=True),
        {"s": 6, "t": 4}, held=(1, 2, 3),
    ),
    Case(
        "attention",
        "CausalHeads(16, 4, 2, rotary = true, reach = 3)",
        lambda g, t=5: (real(g, 2, t, 16), real(g, 2, t, 8), real(g, 2, t, 8)),
        lambda s, q, k, v: mixed(q, k, v, count=4, groups=2, rotary=True, causal=True, reach=3),
        {"t": 7},
    ),
    Case(
        "attention",
        "Attention(16, 4, masked = true)",
        masked_sequence,
        lambda s, x, m: attention(s, x, mask=m),
        {"t": 7},
    ),
    Case(
        "attention",
        "Attention(16, 4, 2, dense = false, sites = 2, rank = 3)",
        sequence,
        lambda s, x: attention(s, x, dense=False, groups=2),
        {"t": 7},
    ),
    Case(
        "attention",
        "CausalAttention(16, 4, 2, rotary = true, with_bias = false)",
        sequence,
        lambda s, x: attention(s, x, groups=2, rotary=True, causal=True, bias=False),
        {"t": 7},
    ),
    Case(
        "attention",
        "CausalAttention(16, 4, reach = 2, dense = false, sites = 2, rank = 3)",
        sequence,
        lambda s, x: attention(s, x, dense=False, causal=True, reach=2),
        {"t": 7},
    ),
    Case(
        "attention",
        "CrossAttention(16, 12, 4, 2, masked = true)",
        lambda g, s=4, t=5: (real(g, 2, s, 16), real(g, 2, t, 12), flags(g, 2, t)),
        lambda s, x, memory, m: attention(s, x, memory, m, groups=2),
        {"s": 6, "t": 4}, held=(1, 2),
    ),
    Case(
        "attention",
        "CrossAttention(16, 12, 4, dense = false, sites = 2, rank = 3)",
        lambda g, s=4, t=5: (real(g, 2, s, 16), real(g, 2, t, 12)),
        lambda s, x, memory: attention(s, x, memory, dense=False),
        {"s": 6, "t": 4}, held=(1,),
    ),
]  # fmt: skip


# ── any maps ─────────────────────────────────────────────────────────────────────────────────────

OVER = """
import "std/attention.tn"
import "std/linear.tn" { LowRank }
model Mine() {
  part q = Linear(16, 16)
  part k = LowRank(16, 8, 3)
  part v = LowRank(16, 8, 3)
  part out = LowRank(16, 16, 3)
  part over = ATTENTION(q, k, v, out, 16, 4, 2, rotary = true)
  batch t CAUSAL
  input x(..., t, 16)
  output over(x)
}
"""


def low_rank(s: State, part: str, x: Tensor) -> Tensor:
    return x @ s[f"{part}.A"] @ s[f"{part}.B"] + s[f"{part}.c"]


def over(s: State, x: Tensor, causal: bool) -> Tensor:
    k, v = low_rank(s, "k", x), low_rank(s, "v", x)
    y = mixed(linear(s, "q", x), k, v, count=4, groups=2, rotary=True, causal=causal)
    return low_rank(s, "out", y)


CASES += [
    Case("attention", name, sequence, lambda s, x, causal=causal: over(s, x, causal), {"t": 7},
         text=OVER.replace("ATTENTION", name).replace("CAUSAL", "causal" * causal))
    for name, causal in (("AttentionOver", False), ("CausalAttentionOver", True))
]  # fmt: skip


def tensor_product(s: State, x: Tensor) -> Tensor:
    """Queries, keys and values as sums of outer products, term by term."""

    def summed(name: str, rank: int) -> Tensor:
        a = linear(s, f"a_{name}", x, bias=False).unflatten(-1, (rank, 4))
        b = linear(s, f"b_{name}", x, bias=False).unflatten(-1, (rank, 6)).transpose(-3, -2)
        b = (b if name == "v" else rotated(b)).transpose(-3, -2)
        terms = [a[..., r, :, None] * b[..., r, None, :] for r in range(rank)]
        return torch.stack(terms).mean(0).transpose(-3, -2)

    y = attend(summed("q", 3), summed("k", 2), summed("v", 1), causal=True)
    return linear(s, "out", joined(y), bias=False)


CASES.append(
    Case(
        "attention",
        "TensorProductAttention(16, 4, 6, 3, 2, 1)",
        sequence,
        tensor_product,
        {"t": 7},
    )
)


# ── transformers ─────────────────────────────────────────────────────────────────────────────────


def feed(
    s: State,
    x: Tensor,
    prefix: str = "",
    dense: bool = True,
    gated: bool = False,
    bias: bool = True,
) -> Tensor:
    up = maps(s, f"{prefix}up", x, dense, bias)
    if gated:
        h = functional.silu(maps(s, f"{prefix}gate", x, dense, bias)) * up
    else:
        h = functional.gelu(up)
    return maps(s, f"{prefix}down", h, dense, bias)


def llama_block(s: State, x: Tensor, prefix: str = "", dense: bool = True) -> Tensor:
    n = rms_norm(s, f"{prefix}norm1", x, 1e-5)
    x = x + attention(
        s,
        n,
        prefix=f"{prefix}attend.",
        dense=dense,
        bias=False,
        groups=2,
        rotary=True,
        causal=True,
    )
    n = rms_norm(s, f"{prefix}norm2", x, 1e-5)
    return x + feed(s, n, f"{prefix}feed.", gated=True, bias=False)


def gpt_block(s: State, x: Tensor, prefix: str = "") -> Tensor:
    n = layer_norm(s, f"{prefix}norm1", x)
    x = x + attention(s, n, prefix=f"{prefix}attend.", causal=True)
    return x + feed(s, layer_norm(s, f"{prefix}norm2", x), f"{prefix}feed.", dense=False)


def gpt(s: State, tokens: Tensor) -> Tensor:
    x = s["embed.weight"][tokens] + s["place.weight"][: tokens.shape[-1]]
    for l in range(2):
        x = gpt_block(s, x, f"block.{l}.")
    return layer_norm(s, "norm", x) @ s["embed.weight"].T


def llama(s: State, tokens: Tensor) -> Tensor:
    x = train_matrix(s, "embed")[tokens]
    for l in range(2):
        x = llama_block(s, x, f"block.{l}.", dense=False)
    return linear(s, "scores", rms_norm(s, "norm", x, 1e-5), bias=False)


def tensorized_gpt(s: State, tokens: Tensor) -> Tensor:
    """One tensor train is the table and, transposed, the head."""
    table = train_matrix(s, "embed")[:18]
    x = gpt_block(s, table[tokens] + s["place.weight"][: tokens.shape[-1]], "block.0.")
    return layer_norm(s, "norm", x) @ table.T


LLAMA = "groups = 2, hidden = 24, rotary = true, gated = true, rms = true, with_bias = false"
BLOCK_OVER = """
import "std/transformer.tn"
import "std/attention.tn"
model Mine() {
  part attend = CausalAttention(16, 4)
  part feed = FeedForward(16, 24)
  part over = TransformerBlockOver(attend, feed, 16)
  batch t causal
  input x(..., t, 16)
  output over(x)
}
"""


def block_over(s: State, x: Tensor) -> Tensor:
    y = x + attention(s, layer_norm(s, "over.norm1", x), prefix="attend.", causal=True)
    return y + feed(s, layer_norm(s, "over.norm2", y), "feed.")


CASES += [
    Case("transformer", "FeedForward(16, 24)", sequence, feed),
    Case(
        "transformer",
        "FeedForward(16, 24, gated = true, dense = false, sites = 2, rank = 3)",
        sequence,
        lambda s, x: feed(s, x, dense=False, gated=True),
    ),
    Case("transformer", f"TransformerBlock(16, 4, {LLAMA})", sequence, llama_block, {"t": 7}),
    Case(
        "transformer",
        "TransformerBlock(16, 4, hidden = 24, dense_feed = false, sites = 2, rank = 3)",
        sequence,
        gpt_block,
        {"t": 7},
    ),
    Case("transformer", "TransformerBlockOver", sequence, block_over, {"t": 7}, text=BLOCK_OVER),
    Case(
        "transformer",
        "LanguageModel(2, 20, 8, 16, 4, hidden = 24, dense_feed = false, sites = 2, rank = 3)",
        lambda g, t=5: (ids(g, 20, 2, t),),
        gpt,
        {"t": 7},
    ),
    Case(
        "transformer",
        f"LanguageModel(2, 20, 8, 16, 4, {LLAMA}, dense_embedding = false, rows = [4, 5], "
        "dense_attention = false, sites = 2, rank = 3)",
        lambda g, t=5: (ids(g, 20, 2, t),),
        llama,
        {"t": 12},
    ),
    Case(
        "transformer",
        "LanguageModel(1, 18, 8, 16, 4, hidden = 24, dense_embedding = false, tied = true, "
        "rows = [4, 5], dense_feed = false, sites = 2, rank = 3)",
        lambda g, t=5: (ids(g, 18, 2, t),),
        tensorized_gpt,
        {"t": 7},
    ),
]
