"""Mixtures of experts, adapters, tied heads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    Result,
    State,
    attend,
    heads,
    ids,
    joined,
    layer_norm,
    linear,
    real,
    train,
)

CASES: list[Case] = []


def moe(s: State, x: Tensor) -> Result:
    p = linear(s, "route", x, bias=False).softmax(-1)
    weight, picked = p.topk(2, -1)
    weight = weight / weight.sum(-1, keepdim=True)
    maps = torch.einsum("ea,aipb,bjq->eijpq", s["up.E"], s["up.G.0"], s["up.G.1"])
    maps = maps.flatten(3, 4).flatten(1, 2)
    hidden = torch.einsum("bi,bkio->bko", x, maps[picked])
    y = linear(s, "down", functional.gelu(hidden))
    load = functional.one_hot(picked, 4).double().mean(-2)
    return (weight[..., None] * y).sum(-2), p * load


CASES.append(
    Case(
        name="mixture of experts",
        file="moe.tn",
        block="TopK",
        arguments={"experts": 4, "picked": 2, "ins": [2, 3], "outs": [3, 4], "rank": 2},
        inputs=lambda g, b=5: (real(g, b, 6),),
        twin=moe,
        loose={"b": 3},
    )
)


def lora(s: State, x: Tensor) -> Tensor:
    return linear(s, "base", x) + x @ s["delta.A"] @ s["delta.B"] * 8.0


def metatt(s: State, x: Tensor) -> Tensor:
    def adapted(part: str, place: int, layer: int, y: Tensor) -> Tensor:
        middle = s["meta.L"][:, layer] @ s["meta.M"][:, place]
        return linear(s, part, y) + y @ s["meta.A"] @ middle @ s["meta.B"]

    for l in range(3):
        p = f"block.{l}"
        q, v = adapted(f"{p}.q", 0, l, x), adapted(f"{p}.v", 1, l, x)
        mixed = attend(heads(q, 4), heads(linear(s, f"{p}.k", x), 4), heads(v, 4))
        x = linear(s, f"{p}.out", joined(mixed))
    return x


def quanta(s: State, x: Tensor) -> Tensor:
    y = torch.unflatten(x, -1, (2, 3, 4))
    y = torch.einsum("zabc,wuab->zwuc", y, s["circuit.T01"])
    y = torch.einsum("zwuc,pvuc->zwpv", y, s["circuit.T12"])
    y = torch.einsum("zwpv,oqwv->zopq", y, s["circuit.T02"])
    return linear(s, "base", x) + y.flatten(1) - x


def tensorized_language(s: State, words: Tensor) -> Tensor:
    table = torch.einsum("veb,bwf->vwef", s["embed.G.0"], s["embed.G.1"])
    table = table.flatten(2, 3).flatten(0, 1)
    return layer_norm(s, "norm", table[words]) @ table.T


def dense_language(s: State, words: Tensor) -> Tensor:
    return functional.linear(s["embed.weight"][words], s["embed.weight"], s["head.bias"])


CASES += [
    Case(
        name="lora",
        file="lora.tn",
        block="LoRALinear",
        arguments={"ins": 5, "outs": 6, "rank": 2},
        inputs=lambda g, b=3: (real(g, b, 5),),
        twin=lora,
        loose={"b": 2},
        frozen=("base.",),
    ),
    Case(
        name="metatt",
        file="metatt.tn",
        block="Stack",
        arguments={"depth": 3, "d": 16, "heads": 4},
        inputs=lambda g, b=2, t=5: (real(g, b, t, 16),),
        twin=metatt,
        loose={"b": 3, "t": 4},
        frozen=("block.",),
    ),
    Case(
        name="quanta",
        file="quanta.tn",
        block="QuanTA",
        arguments={"a": 2, "b": 3, "c": 4},
        inputs=lambda g, b=3: (real(g, b, 24),),
        twin=quanta,
        loose={"b": 2},
        frozen=("base.",),
    ),
    Case(
        name="tied head, tensorized",
        file="tied_head.tn",
        block="Language",
        inputs=lambda g, b=2, t=4: (ids(g, 500, b, t),),
        twin=tensorized_language,
        loose={"b": 3, "t": 5},
    ),
    Case(
        name="tied head, dense",
        file="tied_head.tn",
        block="Dense",
        inputs=lambda g, b=2, t=4: (ids(g, 500, b, t),),
        twin=dense_language,
        loose={"b": 3, "t": 5},
    ),
]


def topology(ring: bool, dense: bool, s: State, x: Tensor) -> Tensor:
    if dense:
        hidden = linear(s, "up", x)
    elif ring:
        matrix = torch.einsum("aipb,bjqa->ijpq", s["up.G.0"], s["up.G.1"])
        hidden = x @ matrix.flatten(2, 3).flatten(0, 1) + s["up.c"].flatten()
    else:
        hidden = train(s, "up", x)
    return train(s, "down", functional.gelu(hidden))


CASES += [
    Case(
        name=f"topology, {name}",
        file="topology.tn",
        block="FeedForward",
        arguments={"d": [2, 3], "hidden": [3, 4], "ring": ring, "dense": dense},
        inputs=lambda g, b=2: (real(g, b, 6),),
        twin=lambda s, x, ring=ring, dense=dense: topology(ring, dense, s, x),
        loose={"b": 3},
    )
    for name, ring, dense in (("train", False, False), ("ring", True, False), ("dense", True, True))
]
