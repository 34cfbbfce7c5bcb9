"""Transformers: attention of all kinds, positions, masks."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    State,
    attend,
    convolution,
    flags,
    heads,
    ids,
    joined,
    layer_norm,
    linear,
    real,
    rms_norm,
)

CASES: list[Case] = []


def gpt2(s: State, tokens: Tensor) -> Tensor:
    x = s["wte.weight"][tokens] + s["wpe.weight"][: tokens.shape[-1]]
    for l in range(2):
        h = f"h.{l}"
        q, k, v = linear(s, f"{h}.attn.qkv", layer_norm(s, f"{h}.ln1", x)).chunk(3, -1)
        mixed = attend(heads(q, 4), heads(k, 4), heads(v, 4), causal=True)
        x = x + linear(s, f"{h}.attn.out", joined(mixed))
        up = functional.gelu(linear(s, f"{h}.fc", layer_norm(s, f"{h}.ln2", x)), approximate="tanh")
        x = x + linear(s, f"{h}.proj", up)
    return functional.linear(layer_norm(s, "ln_f", x), s["wte.weight"])


CASES.append(
    Case(
        name="gpt2",
        file="gpt2.tn",
        block="GPT2",
        arguments={"depth": 2, "vocab": 50, "context": 16, "d": 16, "heads": 4},
        inputs=lambda g, b=3, t=7: (ids(g, 50, b, t),),
        twin=gpt2,
        loose={"b": 2, "t": 11},
        refused={"t": 17},
        step=(1, 1),
    )
)


def llama(s: State, tokens: Tensor) -> Tensor:
    width, queries, keys = 32, 4, 2
    length, half = tokens.shape[-1], width // queries // 2
    rates = 10000.0 ** (-2 * torch.arange(half, dtype=torch.float64) / (2 * half))
    angle = torch.arange(length)[:, None] * torch.cat([rates, rates])

    def rotated(x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * angle.cos() + torch.cat([-b, a], -1) * angle.sin()

    x = s["embed.weight"][tokens]
    for l in range(2):
        p = f"block.{l}"
        n = rms_norm(s, f"{p}.norm1", x, 1e-5)
        q = rotated(heads(linear(s, f"{p}.attn.q", n, bias=False), queries))
        k = rotated(heads(linear(s, f"{p}.attn.k", n, bias=False), keys))
        v = heads(linear(s, f"{p}.attn.v", n, bias=False), keys)
        k, v = (y.repeat_interleave(queries // keys, -3) for y in (k, v))
        x = x + linear(s, f"{p}.attn.o", joined(attend(q, k, v, causal=True)), bias=False)
        n = rms_norm(s, f"{p}.norm2", x, 1e-5)
        gate = functional.silu(linear(s, f"{p}.gate", n, bias=False))
        x = x + linear(s, f"{p}.down", gate * linear(s, f"{p}.up", n, bias=False), bias=False)
    return linear(s, "head", rms_norm(s, "norm", x, 1e-5), bias=False)


CASES.append(
    Case(
        name="llama",
        file="llama.tn",
        block="Llama",
        arguments={"depth": 2, "vocab": 50, "d": 32, "hidden": 48, "heads": 4, "groups": 2},
        inputs=lambda g, b=3, t=7: (ids(g, 50, b, t),),
        twin=llama,
        loose={"b": 2, "t": 5},
        step=(1, 1),
    )
)


def split(s: State, x: Tensor, count: int) -> tuple[Tensor, ...]:
    q, k, v = linear(s, "split.qkv", x, bias=False).chunk(3, -1)
    return heads(q, count), heads(k, count), heads(v, count)


def t5(s: State, x: Tensor) -> Tensor:
    """The buckets as in T5's own code: half of them exact, the others logarithmic."""
    length, buckets, far = x.shape[-2], 8, 20
    place = torch.arange(length)
    distance = (place[:, None] - place).clamp(min=0)
    near = buckets // 2
    grown = torch.log(distance.double() / near) / math.log(far / near) * (buckets - near)
    large = (near + grown.nan_to_num(neginf=0.0).long()).clamp(max=buckets - 1)
    bucket = torch.where(distance < near, distance, large)
    bias = s["bias.weight"][bucket].permute(2, 0, 1)
    q, k, v = split(s, x, 2)
    y = attend(q * q.shape[-1] ** 0.5, k, v, bias, causal=True)
    return linear(s, "output", joined(y), bias=False)


def alibi(s: State, x: Tensor) -> Tensor:
    place = torch.arange(x.shape[-2])
    slopes = torch.tensor([2.0 ** (-8 * (k + 1) / 4) for k in range(4)], dtype=x.dtype)
    bias = -slopes[:, None, None] * (place[:, None] - place)
    return joined(attend(*split(s, x, 4), bias, causal=True))


CASES += [
    Case(
        name=name,
        file="relative.tn",
        block=block,
        arguments=arguments,
        inputs=lambda g, b=2, t=23: (real(g, b, t, 8),),
        twin=twin,
        loose={"b": 3, "t": 5},
        step=(1, 1),
    )
    for name, block, arguments, twin in (
        ("t5", "T5", {"d": 8, "heads": 2, "buckets": 8, "far": 20}, t5),
        ("alibi", "ALiBi", {"d": 8, "heads": 4}, alibi),
    )
]


def bert(s: State, words: Tensor, kinds: Tensor, present: Tensor) -> Tensor:
    places = s["places.weight"][: words.shape[-1]]
    x = s["words.weight"][words] + s["types.weight"][kinds] + places
    x = layer_norm(s, "norm", x, 1e-12)
    for l in range(2):
        p = f"layer.{l}"
        q, k, v = (
            heads(linear(s, f"{p}.attention.{name}", x), 4) for name in ("query", "key", "value")
        )
        mixed = joined(attend(q, k, v, mask=present[:, None, None]))
        a = layer_norm(
            s, f"{p}.attention.norm", x + linear(s, f"{p}.attention.dense", mixed), 1e-12
        )
        up = functional.gelu(linear(s, f"{p}.up", a))
        x = layer_norm(s, f"{p}.norm", a + linear(s, f"{p}.down", up), 1e-12)
    weight = present[..., None].double()
    return (x * weight).sum(-2) / weight.sum(-2).clamp(min=1)


CASES.append(
    Case(
        name="bert",
        file="bert.tn",
        block="MiniLM",
        arguments={"depth": 2, "vocab": 60, "d": 24, "heads": 4, "hidden": 32},
        inputs=lambda g, b=3, t=6: (ids(g, 60, b, t), ids(g, 2, b, t), flags(g, b, t)),
        twin=bert,
        loose={"b": 2, "t": 9},
    )
)


def vit(s: State, image: Tensor) -> Tensor:
    patches = convolution(s, "patches", image, stride=4).flatten(-2).transpose(-2, -1)
    token = s["token"].expand(image.shape[0], 1, -1)
    x = torch.cat([token, patches], -2) + s["place"]
    for l in range(2):
        p = f"block.{l}"
        q, k, v = linear(s, f"{p}.attn.qkv", layer_norm(s, f"{p}.norm1", x)).chunk(3, -1)
        mixed = joined(attend(heads(q, 3), heads(k, 3), heads(v, 3)))
        x = x + linear(s, f"{p}.attn.out", mixed)
        up = functional.gelu(linear(s, f"{p}.up", layer_norm(s, f"{p}.norm2", x)))
        x = x + linear(s, f"{p}.down", up)
    return linear(s, "head", layer_norm(s, "norm", x)[..., 0, :])


CASES.append(
    Case(
        name="vit",
        file="vit.tn",
        block="ViT",
        arguments={"depth": 2, "d": 12, "heads": 3, "classes": 5, "patch": 4, "side": 16},
        inputs=lambda g, b=3: (real(g, b, 3, 16, 16),),
        twin=vit,
        loose={"b": 2},
    )
)


def swin(s: State, x: Tensor) -> Tensor:
    """As in the paper: roll, cut, attend with a relative bias and the mask of the shift."""
    batch, high, wide, d = x.shape
    win, shift, count = 2, 1, 2
    places = win * win

    def cut(y: Tensor) -> Tensor:
        y = y.view(-1, high // win, win, wide // win, win, y.shape[-1])
        return y.permute(0, 1, 3, 2, 4, 5).reshape(y.shape[0], -1, places, y.shape[-1])

    rolled = cut(torch.roll(x, (-shift, -shift), (1, 2)))
    fused = torch.unflatten(linear(s, "qkv", rolled), -1, (3, count, -1))
    q, k, v = fused.permute(3, 0, 1, 4, 2, 5)

    grid = torch.meshgrid(torch.arange(win), torch.arange(win), indexing="ij")
    corner = torch.stack(grid).flatten(1)
    apart = corner[:, :, None] - corner[:, None] + win - 1
    bias = s["bias_table"][apart[0] * (2 * win - 1) + apart[1]].permute(2, 0, 1)

    image, region = torch.zeros(1, high, wide, 1), 0
    strips = (slice(0, -win), slice(-win, -shift), slice(-shift, None))
    for rows in strips:
        for columns in strips:
            image[:, rows, columns] = region
            region += 1
    regions = cut(image)[0, :, :, 0]
    apart_before = (regions[:, None] != regions[:, :, None])[None, :, None]

    scores = q @ k.transpose(-2, -1) * (d // count) ** -0.5 + bias
    mixed = scores.masked_fill(apart_before, -math.inf).softmax(-1) @ v
    y = mixed.transpose(2, 3).reshape(batch, high // win, wide // win, win, win, d)
    y = y.permute(0, 1, 3, 2, 4, 5).reshape(batch, high, wide, d)
    return linear(s, "out", torch.roll(y, (shift, shift), (1, 2)))


CASES.append(
    Case(
        name="swin",
        file="swin.tn",
        block="WindowAttention",
        arguments={"d": 4, "heads": 2, "win": 2, "high": 6, "wide": 4, "shift": 1},
        inputs=lambda g, b=3: (real(g, b, 6, 4, 4),),
        twin=swin,
        loose={"b": 2},
    )
)
