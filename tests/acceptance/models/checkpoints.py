"""Models with the keys of published checkpoints: heads tied to tables inside another part."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    State,
    attend,
    heads,
    ids,
    joined,
    layer_norm,
    linear,
)


def gpt2(s: State, tokens: Tensor) -> Tensor:
    table = s["transformer.wte.weight"]

    def conv1d(part: str, x: Tensor) -> Tensor:
        return x @ s[f"{part}.weight"] + s[f"{part}.bias"]

    x = table[tokens] + s["transformer.wpe.weight"][: tokens.shape[-1]]
    for l in range(2):
        h = f"transformer.h.{l}"
        q, k, v = conv1d(f"{h}.attn.c_attn", layer_norm(s, f"{h}.ln_1", x)).chunk(3, -1)
        mixed = attend(heads(q, 2), heads(k, 2), heads(v, 2), causal=True)
        x = x + conv1d(f"{h}.attn.c_proj", joined(mixed))
        up = conv1d(f"{h}.mlp.c_fc", layer_norm(s, f"{h}.ln_2", x))
        x = x + conv1d(f"{h}.mlp.c_proj", functional.gelu(up, approximate="tanh"))
    return functional.linear(layer_norm(s, "transformer.ln_f", x), table)


def bert(s: State, tokens: Tensor) -> Tensor:
    inside, head = "bert.embeddings", "cls.predictions"
    table = s[f"{inside}.word_embeddings.weight"]
    x = table[tokens] + s[f"{inside}.position_embeddings.weight"][: tokens.shape[-1]]
    x = layer_norm(s, f"{inside}.LayerNorm", x, 1e-12)
    for l in range(2):
        p = f"bert.encoder.layer.{l}"
        x = x + linear(s, f"{p}.output", functional.gelu(linear(s, f"{p}.intermediate", x)))
    x = functional.gelu(linear(s, f"{head}.transform.dense", x))
    x = layer_norm(s, f"{head}.transform.LayerNorm", x, 1e-12)
    return functional.linear(x, table, s[f"{head}.bias"])


CASES: list[Case] = [
    Case(
        name="gpt2 with its head",
        file="checkpoints.tn",
        block="GPT2LMHeadModel",
        arguments={"depth": 2, "vocab": 30, "context": 12, "d": 8, "heads": 2},
        inputs=lambda g, b=3, t=7: (ids(g, 30, b, t),),
        twin=gpt2,
        loose={"b": 2, "t": 11},
        refused={"t": 13},
        step=(1, 1),
    ),
    Case(
        name="bert with its head",
        file="checkpoints.tn",
        block="BertForMaskedLM",
        inputs=lambda g, b=3, t=6: (ids(g, 60, b, t),),
        twin=bert,
        loose={"b": 2, "t": 9},
        refused={"t": 17},
    ),
]
