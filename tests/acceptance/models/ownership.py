"""Rules of the language: who owns which weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    State,
    layer_norm,
    linear,
    real,
)

CASES: list[Case] = []


def sharing(extra: bool, s: State, x: Tensor) -> Tensor:
    def low_rank(part: str, y: Tensor) -> Tensor:
        return y @ s[f"{part}.A"] @ s[f"{part}.B"]

    y = low_rank("first", low_rank("first", x))
    for _ in range(3):
        y = low_rank("same", y)
    y = low_rank("first", y)
    y = y * s["scale"] * s["scale"] + s["shift"] + s["shift"] * s["fixed"]
    y = torch.tanh(linear(s, "half.0", y, bias=False))
    y = functional.linear(y, s["half.0.weight"], s["other.0.bias"])
    y = linear(s, "half.1", torch.tanh(linear(s, "half.1", y)))
    y = low_rank(
        "thin", linear(s, "cold", functional.linear(y, s["half.0.weight"], s["last.bias"]))
    )
    return layer_norm(s, "late", y) + s["bonus"] if extra else y


def handed_on(s: State, x: Tensor) -> Tensor:
    for l in range(2):
        for k in (l, 0):
            x = linear(s, f"inner.{k}", x) * s[f"outer.{k}.gate"] * (0.5 + k)
    return x


CASES += [
    Case(
        name=f"sharing, extra = {extra}",
        file="sharing.tn",
        block="Sharing",
        arguments={"extra": extra},
        inputs=lambda g, b=3: (real(g, b, 6),),
        twin=lambda s, x, extra=extra: sharing(extra, s, x),
        loose={"b": 2},
        frozen=("cold.", "fixed"),
    )
    for extra in (True, False)
]
CASES.append(
    Case(
        name="parts handed on",
        file="sharing.tn",
        block="HandedOn",
        inputs=lambda g, b=3: (real(g, b, 6),),
        twin=handed_on,
        loose={"b": 2},
    )
)
