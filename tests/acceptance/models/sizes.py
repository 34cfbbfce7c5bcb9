"""Rules of the language: run-time sizes, items, choices."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    Result,
    State,
    flags,
    linear,
    real,
)

CASES: list[Case] = []


def halves(s: State, x: Tensor) -> Result:
    second = x.chunk(2, -1)[1]
    return second, x[..., -1], x[..., x.shape[-1] // 4]


def choices(masked: bool, deep: bool, s: State, x: Tensor, keep: Tensor) -> Tensor:
    y = x * keep[..., None] if masked else -x
    z = functional.relu(-y) if deep else torch.tanh(linear(s, "inner", y))
    members = [z]
    for k, count in enumerate((2, 0, 1)):
        y = members[-1]
        for j in range(count):
            y = functional.relu(linear(s, f"many.{k}.{j}", y))
        members.append(y)
    ends = torch.stack(members, -1)
    return ends @ ends.transpose(-2, -1)


def products(s: State, x: Tensor, y: Tensor) -> Tensor:
    pair = torch.unflatten(x, -1, (2, 3))
    return s["point"] * torch.einsum("btni,ij,jk,bsk->bnts", pair, s["G.0"], s["G.1"], y)


CASES += [
    Case(
        name="halves of an even length",
        file="sizes.tn",
        block="Halves",
        inputs=lambda g, b=2, t=8: (real(g, b, t),),
        twin=halves,
        loose={"b": 3, "t": 12},
        refused={"t": 10},
    ),
    Case(
        name="two sizes required equal",
        file="sizes.tn",
        block="Pairs",
        inputs=lambda g, b=2, s=5, t=5: (real(g, b, s), real(g, b, t)),
        twin=lambda s, x, y: x * y + x.shape[-1],
        loose={"b": 3, "s": 4, "t": 4},
        refused={"t": 6},
    ),
    Case(
        name="sizes equal for even lengths only",
        file="sizes.tn",
        block="Undecided",
        inputs=lambda g, b=2, t=8: (real(g, b, t),),
        twin=lambda s, x: torch.cat([x.chunk(2, -1)[0]] * 2, -1) + x,
        loose={"b": 3, "t": 6},
        refused={"t": 7},
        warnings=("TN608",),
    ),
    *(
        Case(
            name=f"choices, masked = {masked}, deep = {deep}",
            file="sizes.tn",
            block="Choices",
            arguments={"masked": masked, "deep": deep},
            inputs=lambda g, b=2, t=5: (real(g, b, t, 6), flags(g, b, t)),
            twin=lambda s, x, keep, m=masked, d=deep: choices(m, d, s, x, keep),
            loose={"b": 3, "t": 4},
        )
        for masked, deep in ((True, False), (False, False))
    ),
    Case(
        name="choices, a named instance",
        file="sizes.tn",
        block="Unmasked",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 6), flags(g, b, t)),
        twin=lambda s, x, keep: choices(False, True, s, x, keep),
        loose={"b": 3, "t": 4},
    ),
    Case(
        name="products of values and tensors",
        file="sizes.tn",
        block="Products",
        inputs=lambda g, b=2, t=4, s=5: (real(g, b, t, 6), real(g, b, s, 3)),
        twin=products,
        loose={"b": 3, "t": 6, "s": 2},
    ),
]
