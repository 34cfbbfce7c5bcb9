"""Every function of values."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    Result,
    State,
    attend,
    flags,
    ids,
    imaginary,
    real,
)

CASES: list[Case] = []


def elementwise(s: State, x: Tensor) -> Result:
    positive = x.abs() + 0.5
    a = (
        functional.relu(x)
        + functional.relu6(x)
        + functional.gelu(x)
        + functional.gelu(x, approximate="tanh")
        + functional.silu(x)
        + functional.mish(x)
    )
    b = (
        functional.elu(x, 0.7)
        + functional.leaky_relu(x, 0.2)
        + functional.selu(x)
        + functional.softplus(x)
    )
    c = (
        x.tanh() * x.sigmoid()
        - functional.logsigmoid(x)
        + functional.hardswish(x)
        + functional.hardsigmoid(x)
    )
    e = x.sin() + x.cos() + (0.3 * x).tan() + (-x).exp() + (x / 4).expm1() + x.erf()
    f = positive.log() + positive.log1p() + positive.sqrt() * (positive + 1).rsqrt()
    g = x.sign() + x.square() + x.floor() + x.ceil() + x.round()
    h = x.clamp(-0.5, 0.5) + x.clamp(max=0.25) + x.clamp(min=0) + torch.minimum(x, a)
    i = torch.where(x > 0, b, -x) + x.detach() * x
    return a, b, c, e, f, g, h, i


def reductions(s: State, x: Tensor) -> Result:
    same = x.softmax(-1) + x.log_softmax(-2) + x.cumsum(-2)
    unit = functional.normalize(x, dim=-1) + functional.normalize(x, dim=-2, p=1.0)
    one = x.sum(-1) + x.prod(-1) + x.amax(-1) + x.amin(-1)
    two = x.mean((-2, -1), keepdim=True) + x.logsumexp((-2, -1), keepdim=True)
    spread = x.var(-1) + x.std(-1, correction=0)
    size = torch.linalg.vector_norm(x, dim=-2) + x.abs().sum(-2)
    return same, unit, one, two, spread, size, x.argmax(-1), x.argmin(-2, keepdim=True)


def logic(s: State, x: Tensor, flag: Tensor) -> Result:
    near = (x.abs() < 1) | ~flag
    counts = near.sum(-1), flag.any(-1), near.all(-1), flag.long() * 2
    return torch.where(near, x, x.floor().detach()), x.remainder(0.75), x**2 != x, *counts


def shapes(s: State, x: Tensor) -> Result:
    batch, length, c = x.shape
    y = x.flip(1).roll(1, 1)
    p, q = y[..., :1], y[..., 1:]
    u, v = y.chunk(2, -1)
    w = torch.cat([q, p, u * v], -1)
    rows = torch.stack([w, 2 * w]).flatten(2)
    first = x[:, :1].expand(batch, length, c) + x[:, -1].sum(-1)[:, None, None]
    around = torch.cat([x[:, -1:], x, x[:, :1]], 1)
    return rows, first.flatten(1), functional.pad(x, (0, 0, 1, 2), value=0.5), around


def images(s: State, x: Tensor) -> Result:
    big = x.repeat_interleave(2, -2).repeat_interleave(3, -1)
    return big, functional.interpolate(x, size=(5, 4), mode="bilinear")


def lookups(s: State, words: Tensor, x: Tensor) -> Result:
    best, place = x.topk(2)
    hot = functional.one_hot(words, 5).double()
    own = (hot * x).sum(-1, keepdim=True)
    return s["table"][words], hot * x, own + best, place


def sums(s: State, x: Tensor, offsets: Tensor, to: Tensor) -> Result:
    ends = [*offsets.tolist()[1:], len(x)]
    bags = [x[a:b].sum(0) for a, b in zip(offsets.tolist(), ends, strict=True)]
    return torch.stack(bags), functional.one_hot(to, 4).double().T @ x


def spectra(s: State, x: Tensor, z: Tensor) -> Result:
    w = torch.fft.ifft(torch.fft.fft(x) * z.conj() * s["filter"])
    m = torch.complex(w.real, w.imag + x)
    back = torch.fft.irfft(torch.fft.rfft(x, dim=-2), x.shape[-2], -2)
    return m, m.abs(), z.angle(), back, torch.fft.rfft(x, 16)


def constants(s: State, x: Tensor) -> Tensor:
    length = x.shape[-2]
    ramp = torch.arange(length, dtype=x.dtype)[:, None] / length
    grid = torch.linspace(0, 1, 4, dtype=x.dtype)
    shade = torch.tensor([[0.48, 0.46, 0.41, 0.5]], dtype=x.dtype)
    mixed = torch.matmul(x, torch.eye(4, dtype=x.dtype) + 0.25)
    return mixed + ramp * grid - math.sqrt(2.0) * shade - 1.0


def attentions(s: State, q: Tensor, k: Tensor, v: Tensor, look: Tensor, bias: Tensor) -> Result:
    k, v = k.repeat_interleave(2, -3), v.repeat_interleave(2, -3)
    queries, keys = q.shape[-2], k.shape[-2]
    behind = torch.arange(queries)[:, None] + keys - queries - torch.arange(keys)
    return (
        attend(q, k, v) + attend(q, k, v, mask=look),
        attend(q * (0.25 * q.shape[-1] ** 0.5), k, v, mask=bias),
        attend(q, k, v, mask=behind >= 0),
        attend(q, k, v, mask=(behind >= 0) & (behind < 2)),
    )


CASES += [
    Case(
        name="elementwise functions",
        file="functions.tn",
        block="Elementwise",
        inputs=lambda g, b=4: (real(g, b, 6),),
        twin=elementwise,
        loose={"b": 3},
    ),
    Case(
        name="reductions",
        file="functions.tn",
        block="Reductions",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 6),),
        twin=reductions,
        loose={"b": 3, "t": 4},
    ),
    Case(
        name="logic",
        file="functions.tn",
        block="Logic",
        inputs=lambda g, b=5: (real(g, b, 4), flags(g, b, 4)),
        twin=logic,
        loose={"b": 3},
    ),
    Case(
        name="shapes",
        file="functions.tn",
        block="Shapes",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 4),),
        twin=shapes,
        loose={"b": 3, "t": 6},
    ),
    Case(
        name="images",
        file="functions.tn",
        block="Images",
        inputs=lambda g, b=2, h=3, w=5: (real(g, b, 2, h, w),),
        twin=images,
        loose={"b": 3, "h": 4, "w": 6},
    ),
    Case(
        name="lookups",
        file="functions.tn",
        block="Lookups",
        inputs=lambda g, b=2, t=4: (ids(g, 5, b, t), real(g, b, t, 5)),
        twin=lookups,
        loose={"b": 3, "t": 6},
    ),
    Case(
        name="sums over segments",
        file="functions.tn",
        block="Sums",
        inputs=lambda g, n=7, b=3: (real(g, n, 3), torch.arange(b) * 2, ids(g, 4, n)),
        twin=sums,
        loose={"n": 6, "b": 2},
    ),
    Case(
        name="spectra",
        file="functions.tn",
        block="Spectra",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 8), imaginary(g, b, t, 8)),
        twin=spectra,
        loose={"b": 3, "t": 6},
    ),
    Case(
        name="constants",
        file="functions.tn",
        block="Constants",
        inputs=lambda g, b=2, t=5: (real(g, b, t, 4),),
        twin=constants,
        loose={"b": 3, "t": 6},
    ),
    Case(
        name="attentions",
        file="functions.tn",
        block="Attentions",
        inputs=lambda g, b=2, s=6, t=4: (
            real(g, b, 4, t, 8),
            real(g, b, 2, s, 8),
            real(g, b, 2, s, 3),
            flags(g, b, 1, t, s),
            real(g, b, 4, t, s),
        ),
        twin=attentions,
        loose={"b": 3, "s": 7, "t": 5},
    ),
]
