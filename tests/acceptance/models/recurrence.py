"""Recurrent nets, run by `scan` or by torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    State,
    gru_direction,
    linear,
    real,
    train,
)

CASES: list[Case] = []


def tt_gru(s: State, x: Tensor) -> Tensor:
    h = torch.zeros(*x.shape[:-2], 128, dtype=x.dtype)
    for t in range(x.shape[-2]):
        xr, xz, xn = train(s, "cell.wx", x[..., t, :]).chunk(3, -1)
        hr, hz, hn = train(s, "cell.wh", h).chunk(3, -1)
        z = torch.sigmoid(xz + hz)
        h = (1 - z) * torch.tanh(xn + torch.sigmoid(xr + hr) * hn) + z * h
    return linear(s, "head", h)


def tt_lstm(s: State, x: Tensor) -> Tensor:
    h = c = torch.zeros(*x.shape[:-2], 128, dtype=x.dtype)
    tags = []
    for t in range(x.shape[-2]):
        gates = train(s, "cell.wx", x[..., t, :]) + train(s, "cell.wh", h, bias=False)
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        tags.append(linear(s, "head", h))
    return torch.stack(tags, -2)


def tensorized_birnn(s: State, x: Tensor) -> Tensor:
    length = x.shape[-2]
    seen: dict[str, list[Tensor]] = {"forth": [], "back": []}
    for part, order in (("forth", range(length)), ("back", reversed(range(length)))):
        h = torch.zeros(*x.shape[:-2], 64, dtype=x.dtype)
        for t in order:
            h = torch.tanh(train(s, f"{part}.w", torch.cat([x[..., t, :], h], -1)))
            seen[part].append(h)
    seen["back"].reverse()
    both = [torch.stack(seen[part], -2) for part in ("forth", "back")]
    return linear(s, "head", torch.cat(both, -1))


def dense_birnn(s: State, x: Tensor) -> Tensor:
    start = torch.zeros(x.shape[0], 128, dtype=x.dtype)
    both = [
        torch.stack(gru_direction(s, "rnn", suffix, x, start), 1) for suffix in ("l0", "l0_reverse")
    ]
    return linear(s, "head", torch.cat(both, -1))


CASES += [
    Case(
        name="tt gru",
        file="tt_gru.tn",
        block="Classifier",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 64),),
        twin=tt_gru,
        loose={"b": 3, "t": 4},
        fixed=("t",),
    ),
    Case(
        name="tt lstm",
        file="tt_lstm.tn",
        block="Tagger",
        inputs=lambda g, b=2, t=6: (real(g, b, t, 64),),
        twin=tt_lstm,
        loose={"b": 3, "t": 4},
        step=(1, 1),
        fixed=("t",),
    ),
    Case(
        name="bidirectional scan",
        file="birnn.tn",
        block="Tensorized",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 64),),
        twin=tensorized_birnn,
        loose={"b": 3, "t": 4},
        fixed=("t",),
    ),
    Case(
        name="bidirectional gru",
        file="birnn.tn",
        block="Dense",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 64),),
        twin=dense_birnn,
        loose={"b": 3, "t": 4},
        fixed=("t",),
    ),
]


def ssm(s: State, x: Tensor) -> Tensor:
    delta, b, c = torch.split(linear(s, "project", x), [4, 3, 3], -1)
    delta = functional.softplus(delta)
    h = torch.zeros(*x.shape[:-2], 4, 3, dtype=x.dtype)
    results = []
    for t in range(x.shape[-2]):
        step = delta[..., t, :, None]
        kept = torch.exp(-step * s["cell.A_log"].exp()) * h
        h = kept + step * b[..., t, None, :] * x[..., t, :, None]
        results.append((h * c[..., t, None, :]).sum(-1))
    return torch.stack(results, -2) + s["skip"] * x


CASES.append(
    Case(
        name="state space layer",
        file="ssm.tn",
        block="SSM",
        arguments={"d": 4, "n": 3},
        inputs=lambda g, b=2, t=6: (real(g, b, t, 4),),
        twin=ssm,
        loose={"b": 3, "t": 4},
        step=(1, 1),
        fixed=("t",),
    )
)
