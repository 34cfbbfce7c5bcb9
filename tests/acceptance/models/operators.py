"""State spaces, neural operators, Born machines, towers, tables."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import (
    Case,
    Result,
    State,
    convolution,
    ids,
    layer_norm,
    linear,
    real,
    train,
)

CASES: list[Case] = []


def fno(s: State, a: Tensor) -> Tensor:
    length, modes = a.shape[-1], 4
    grid = (torch.arange(length, dtype=a.dtype) / length).expand_as(a)
    x = linear(s, "lift", torch.stack([a, grid], -1)).transpose(-2, -1)
    for l in range(2):
        p = f"block.{l}"
        names = (f"{p}.spectral.{name}" for name in "ABM")
        weight = torch.einsum("ir,or,mr->iom", *(s[name] for name in names))
        low = torch.fft.rfft(x)[..., :modes]
        y = torch.fft.irfft(torch.einsum("bim,iom->bom", low, weight), length)
        x = functional.gelu(y + convolution(s, f"{p}.local", x))
    return linear(s, "drop", x.transpose(-2, -1))


def mps_log(s: State, u: Tensor) -> Result:
    sites, middle = u.shape[-1], u.shape[-1] // 2
    angle = 1.5707963 * u
    raw = torch.stack([angle.cos(), angle.sin(), u], -1)
    features = torch.sigmoid(linear(s, "map", raw))
    left = torch.einsum("zp,pa->za", features[:, 0], s["chain.A.0"])
    for k in range(1, middle):
        left = torch.einsum("za,zp,apb->zb", left, features[:, k], s[f"chain.A.{k}"])
    right = torch.einsum("zp,dp->zd", features[:, sites - 1], s[f"chain.D.{sites - 1}"])
    for k in range(sites - 2, middle - 1, -1):
        right = torch.einsum("zd,zp,epd->ze", right, features[:, k], s[f"chain.D.{k}"])
    y = torch.einsum("za,alb,zb->zl", left, s["chain.Label"], right)
    return y.sign(), y.abs().log()


def born(s: State, symbols: Tensor) -> Tensor:
    left, cores, right = s["psi.L"], s["psi.A"], s["psi.R"]
    v = left.expand(symbols.shape[0], -1)
    for k in range(symbols.shape[-1]):
        v = torch.einsum("za,azb->zb", v, cores[:, symbols[:, k]])
    both = left[:, None] * left
    for _ in range(symbols.shape[-1]):
        both = torch.einsum("ab,asc,bsd->cd", both, cores, cores)
    return 2 * (v @ right).abs().log() - (right @ both @ right).log()


CASES += [
    Case(
        name="fourier neural operator",
        file="fno.tn",
        block="FNO",
        arguments={"depth": 2, "channels": 4, "modes": 4},
        inputs=lambda g, b=2, n=11: (real(g, b, n),),
        twin=fno,
        loose={"b": 3, "n": 16},
        refused={"n": 7},
    ),
    Case(
        name="mps classifier in logarithms",
        file="mps_log.tn",
        block="Classifier",
        arguments={"sites": 8, "features": 3},
        inputs=lambda g, b=2: (real(g, b, 8),),
        twin=mps_log,
        loose={"b": 3},
    ),
    Case(
        name="born machine",
        file="born.tn",
        block="Born",
        arguments={"sites": 4, "symbols": 5, "rank": 3},
        inputs=lambda g, b=2: (ids(g, 5, b, 4),),
        twin=born,
        loose={"b": 3},
    ),
]


def siamese(s: State, left: Tensor, right: Tensor) -> Tensor:
    def tower(x: Tensor) -> Tensor:
        y = layer_norm(s, "encode.norm", functional.relu(train(s, "encode.up", x)))
        return functional.normalize(y, dim=-1)

    return s["temperature"].exp() * tower(left) @ tower(right).T


def dlrm(s: State, x: Tensor, *bags: Tensor) -> Tensor:
    tables = len(bags) // 3
    z = linear(s, "bottom2", functional.relu(linear(s, "bottom1", x)))
    vectors = [z]
    for k in range(tables):
        words, weight, offsets = bags[k], bags[tables + k], bags[2 * tables + k]
        cores = [s[f"table.{k}.G.{j}"] for j in range(3)]
        table = torch.einsum("uea,avfb,bwg->uvwefg", *cores).reshape(27, 8)
        ends = [*offsets.tolist()[1:], len(words)]
        rows = table[words] * weight[:, None]
        sums = [rows[a:b].sum(0) for a, b in zip(offsets.tolist(), ends, strict=True)]
        vectors.append(torch.stack(sums))
    f = torch.stack(vectors, 1)
    pairs = (f @ f.transpose(1, 2)).flatten(1)
    return linear(s, "top2", functional.relu(linear(s, "top1", torch.cat([z, pairs], 1))))


CASES += [
    Case(
        name="siamese",
        file="siamese.tn",
        block="Siamese",
        inputs=lambda g, q=2, n=3: (real(g, q, 768), real(g, n, 768)),
        twin=siamese,
        loose={"q": 4, "n": 2},
    ),
    Case(
        name="dlrm",
        file="dlrm.tn",
        block="DLRM",
        arguments={
            "tables": 3,
            "dense": 4,
            "rows": [3, 3, 3],
            "columns": [2, 2, 2],
            "rank": 2,
            "hidden": 16,
        },
        inputs=lambda g, b=2, n=6: (
            real(g, b, 4),
            *(ids(g, 27, n) for _ in range(3)),
            *(real(g, n) for _ in range(3)),
            *(torch.arange(b) * 2 for _ in range(3)),
        ),
        twin=dlrm,
        loose={"b": 3, "n": 9},
    ),
]


def extern(s: State, x: Tensor, z: Tensor, edges: Tensor) -> Result:
    y = functional.bilinear(
        torch.sinc(x), functional.hardtanh(z, -2.0, 2.0), s["pair.weight"], s["pair.bias"]
    )
    y = functional.glu(linear(s, "wide", y))
    return y, y.amax(-1) - y.amin(-1), torch.bucketize(x, edges, right=True)


CASES.append(
    Case(
        name="python pieces",
        file="extern.tn",
        block="Calls",
        arguments={"d": 4, "bins": 5},
        inputs=lambda g, b=2, t=6: (
            real(g, b, t, 4),
            real(g, b, t, 4),
            torch.linspace(-1, 1, 5, dtype=torch.float64),
        ),
        twin=extern,
        loose={"b": 3, "t": 4},
    )
)
