"""Every layer of the table."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    Result,
    State,
    attend,
    batch_norm,
    convolution,
    flags,
    group_norm,
    gru_direction,
    heads,
    ids,
    joined,
    layer_norm,
    linear,
    real,
    rms_norm,
)

CASES: list[Case] = []


def row_layers(s: State, words: Tensor) -> Result:
    x = layer_norm(s, "first", s["words.weight"][words], 1e-6)
    x = functional.prelu(linear(s, "map", x), s["bend.weight"])
    return rms_norm(s, "second", x, 1e-6), s["bag.weight"][words].sum(-2)


def bags(s: State, words: Tensor, offsets: Tensor) -> Tensor:
    ends = [*offsets.tolist()[1:], len(words)]
    rows = s["bag.weight"][words]
    return torch.stack([rows[a:b].mean(0) for a, b in zip(offsets.tolist(), ends, strict=True)])


def line_layers(s: State, x: Tensor) -> Result:
    y = batch_norm(s, "norm", convolution(s, "conv", x, padding=1, groups=2))
    y = functional.avg_pool1d(functional.max_pool1d(y, 2), 3, 1, 1)
    grown = functional.conv_transpose1d(y, s["grow.weight"], s["grow.bias"], stride=2, padding=1)
    return y, grown, functional.adaptive_avg_pool1d(y, 3)


def plane_layers(s: State, x: Tensor) -> Result:
    y = batch_norm(s, "norm", convolution(s, "conv", x, stride=(2, 1), padding=(1, 0)))
    y = functional.instance_norm(y)
    grown = functional.conv_transpose2d(
        functional.avg_pool2d(y, 2), s["grow.weight"], s["grow.bias"], stride=2
    )
    high = functional.max_pool2d(y, 2, ceil_mode=True)
    return (
        high,
        grown,
        functional.adaptive_avg_pool2d(y, (2, 1)),
        functional.adaptive_max_pool2d(y, 2),
    )


def space_layers(s: State, x: Tensor) -> Result:
    y = batch_norm(s, "norm", convolution(s, "conv", x, padding=1))
    return functional.max_pool3d(y, 2), functional.avg_pool3d(y, 2)


def step_layers(s: State, x: Tensor, start: Tensor) -> Result:
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    h, rows = torch.zeros_like(start[0]), []
    for t in range(x.shape[1]):
        h = torch.rnn_tanh_cell(x[:, t], h, *(s[f"plain.{name}_l0"] for name in names))
        rows.append(h)
    below = gru_direction(s, "gated", "l0", torch.stack(rows, 1), start[0])
    above = gru_direction(s, "gated", "l1", torch.stack(below, 1), start[1])
    z = torch.stack(above, 1)

    both, last_states, last_cells = [], [], []
    for suffix in ("l0", "l0_reverse"):
        weights = [s[f"long.{name}_{suffix}"] for name in names]
        state = cell = torch.zeros_like(start[0])
        order = list(range(x.shape[1]))[:: -1 if suffix.endswith("reverse") else 1]
        seen = {}
        for t in order:
            state, cell = torch.lstm_cell(z[:, t], (state, cell), *weights)
            seen[t] = state
        both.append(torch.stack([seen[t] for t in sorted(seen)], 1))
        last_states.append(state)
        last_cells.append(cell)
    last = torch.stack([below[-1], above[-1]])
    return torch.cat(both, -1), h[None], last, torch.stack(last_states), torch.stack(last_cells)


def look_layers(s: State, x: Tensor, memory: Tensor, ignored: Tensor) -> Result:
    weights = s["look.in_proj_weight"].chunk(3)
    biases = s["look.in_proj_bias"].chunk(3)
    values = (x, memory, memory)
    q, k, v = (
        heads(functional.linear(y, w, b), 2)
        for y, w, b in zip(values, weights, biases, strict=True)
    )
    mask = ~ignored[:, None, None]
    return tuple(
        linear(s, "look.out_proj", joined(attend(q, k, v, mask=seen))) for seen in (None, mask)
    )


CASES += [
    Case(
        name="layers on rows",
        file="layers.tn",
        block="Rows",
        inputs=lambda g, b=2, t=4: (ids(g, 8, b, t) + 1,),
        twin=row_layers,
        loose={"b": 3, "t": 5},
    ),
    Case(
        name="layers on bags",
        file="layers.tn",
        block="Bags",
        inputs=lambda g, n=7, b=3: (ids(g, 9, n), torch.arange(b) * 2),
        twin=bags,
        loose={"n": 5, "b": 2},
    ),
    Case(
        name="layers on lines",
        file="layers.tn",
        block="Lines",
        inputs=lambda g, b=2, t=9: (real(g, b, 4, t),),
        twin=line_layers,
        loose={"b": 3, "t": 12},
        fixed=("t",),
    ),
    Case(
        name="layers on planes",
        file="layers.tn",
        block="Planes",
        inputs=lambda g, b=2, h=13, w=8: (real(g, b, 4, h, w),),
        twin=plane_layers,
        loose={"b": 3, "h": 12, "w": 11},
    ),
    Case(
        name="layers on groups",
        file="layers.tn",
        block="Groups",
        inputs=lambda g, b=2: (real(g, b, 4, 3, 2),),
        twin=lambda s, x: group_norm(s, "norm", x, 2).flatten(1),
        loose={"b": 3},
    ),
    Case(
        name="layers on spaces",
        file="layers.tn",
        block="Spaces",
        inputs=lambda g, b=2, d=4, h=5, w=6: (real(g, b, 2, d, h, w),),
        twin=space_layers,
        loose={"b": 3, "d": 6, "h": 4, "w": 5},
    ),
    Case(
        name="layers on steps",
        file="layers.tn",
        block="Steps",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 4), real(g, 2, b, 6)),
        twin=step_layers,
        loose={"b": 3, "t": 4},
        fixed=("t",),
    ),
    Case(
        name="multi-head attention",
        file="layers.tn",
        block="Looks",
        inputs=lambda g, b=2, s=3, t=5: (real(g, b, s, 8), real(g, b, t, 8), ~flags(g, b, t)),
        twin=look_layers,
        loose={"b": 3, "s": 4, "t": 6},
    ),
]
