"""Recurrent nets, adapters, mixtures, operators, features, probabilities."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from tests.acceptance.models.case import (
    Result,
    State,
    convolution,
    ids,
    imaginary,
    layer_norm,
    linear,
    real,
    train,
    train_matrix,
)
from tests.std.case import Case

CASES: list[Case] = []


# ── sequences ────────────────────────────────────────────────────────────────────────────────────


def gates(s: State, part: str, dense: bool) -> tuple[Tensor, Tensor]:
    """The weight and the bias of all gates, as torch's cells have them."""
    if dense:
        return s[f"{part}.weight"], s[f"{part}.bias"]
    return train_matrix(s, part).T, s[f"{part}.c"].flatten()


def gru_cell(s: State, x: Tensor, h: Tensor, prefix: str = "", dense: bool = True) -> Tensor:
    (w, b), (u, c) = (gates(s, f"{prefix}{part}", dense) for part in ("ih", "hh"))
    return torch.gru_cell(x, h, w, u, b, c)


def lstm_cell(
    s: State, x: Tensor, h: Tensor, c: Tensor, prefix: str = "", dense: bool = True
) -> tuple[Tensor, Tensor]:
    (w, b), (u, d) = (gates(s, f"{prefix}{part}", dense) for part in ("ih", "hh"))
    return torch.lstm_cell(x, (h, c), w, u, b, d)


def gru_layers(s: State, x: Tensor, dense: bool) -> Tensor:
    for l in range(2):
        states = [x.new_zeros(len(x), 8)]
        for t in range(x.shape[1]):
            states.append(gru_cell(s, x[:, t], states[-1], f"cell.{l}.", dense))
        x = torch.stack(states[1:], 1)
    return x


def lstm_layers(s: State, x: Tensor) -> Tensor:
    layer = nn.LSTM(6, 8, 2, batch_first=True).double()
    held = {
        f"{kind}_{part}_l{l}": s[f"cell.{l}.{part}.{kind}"]
        for kind in ("weight", "bias")
        for part in ("ih", "hh")
        for l in range(2)
    }
    made: Tensor = torch.func.functional_call(layer, held, (x,))[0]
    return made


def mamba(s: State, x: Tensor) -> Tensor:
    """The recurrence as a sum over all earlier places."""
    u, z = linear(s, "in_proj", x, bias=False).chunk(2, -1)
    kernel = s["conv1d.W"]
    v = functional.conv1d(functional.pad(u.mT, (2, 0)), kernel[:, None], s["conv1d.c"], groups=12)
    v = functional.silu(v.mT)
    step, b, c = linear(s, "x_proj", v, bias=False).split([2, 4, 4], -1)
    delta = functional.softplus(linear(s, "dt_proj", step))
    rates = -delta[..., None] * s["cell.A_log"].exp()
    rows = []
    for t in range(x.shape[1]):
        h = torch.zeros_like(rates[:, 0])
        for r in range(t + 1):
            faded = rates[:, r + 1 : t + 1].sum(1).exp()
            h = h + faded * (delta * v)[:, r, :, None] * b[:, r, None]
        rows.append((h * c[:, t, None]).sum(-1))
    y = torch.stack(rows, 1) + s["D"] * v
    return linear(s, "out_proj", y * functional.silu(z), bias=False)


def selective(s: State, x: Tensor, delta: Tensor, b: Tensor, c: Tensor, h: Tensor) -> Result:
    fade = torch.exp(-torch.einsum("zd,dn->zdn", delta, s["A_log"].exp()))
    h = fade * h + torch.einsum("zd,zd,zn->zdn", delta, x, b)
    return torch.einsum("zdn,zn->zd", h, c), h


THIN = "dense = false, sites = 2, rank = 3"
CASES += [
    Case("recurrent", "GRUCell(6, 8)", lambda g, b=3: (real(g, b, 6), real(g, b, 8)), gru_cell),
    Case("recurrent", f"GRUCell(6, 8, {THIN})", lambda g, b=3: (real(g, b, 6), real(g, b, 8)),
         lambda s, x, h: gru_cell(s, x, h, dense=False)),
    Case("recurrent", "LSTMCell(6, 8)",
         lambda g, b=3: (real(g, b, 6), real(g, b, 8), real(g, b, 8)), lstm_cell),
    Case("recurrent", f"LSTMCell(6, 8, {THIN})",
         lambda g, b=3: (real(g, b, 6), real(g, b, 8), real(g, b, 8)),
         lambda s, x, h, c: lstm_cell(s, x, h, c, dense=False)),
    Case("recurrent", f"GRULayers(6, 8, 2, {THIN})", lambda g, t=4: (real(g, 3, t, 6),),
         lambda s, x: gru_layers(s, x, dense=False), {"t": 6}),
    Case("recurrent", "LSTMLayers(6, 8, 2)", lambda g, t=4: (real(g, 3, t, 6),), lstm_layers,
         {"t": 6}),
    Case("statespace", "SelectiveCell(6, 4)",
         lambda g, b=3: (real(g, b, 6), real(g, b, 6), real(g, b, 4), real(g, b, 4),
                         real(g, b, 6, 4)), selective),
    Case("statespace", "CausalDepthwise(6, 3)", lambda g, t=5: (real(g, 2, t, 6),),
         lambda s, x: functional.conv1d(
             functional.pad(x.mT, (2, 0)), s["W"][:, None], s["c"], groups=6).mT, {"t": 7}),
    Case("statespace", "MambaBlock(8, 12, 4, 2, 3)", lambda g, t=5: (real(g, 2, t, 8),), mamba,
         {"t": 7}),
]  # fmt: skip


# ── adapters and mixtures ────────────────────────────────────────────────────────────────────────


def zero_matrix(s: State, part: str = "") -> Tensor:
    """A train of two cores: (in, in) to (out, out)."""
    matrix = torch.einsum("iar,rjb->ijab", s[f"{part}First"], s[f"{part}Last"])
    return matrix.flatten(2).flatten(0, 1)


def circuit(s: State, x: Tensor, axes: list[int], prefix: str = "") -> Tensor:
    """The gates one after the other, each on two axes of the vector."""
    y = x.unflatten(-1, axes)
    for a, b in itertools.combinations(range(len(axes)), 2):
        gate = s[f"{prefix}T.{a}.{b}"]
        sizes = (axes[a] * axes[b], axes[a] * axes[b])
        moved = y.movedim((a + 1, b + 1), (-2, -1))
        turned = moved.flatten(-2) @ gate.reshape(sizes).T
        y = turned.unflatten(-1, (axes[a], axes[b])).movedim((-2, -1), (a + 1, b + 1))
    return y.flatten(1)


def meta(s: State, x: Tensor, l: Tensor | int, m: Tensor | int, prefix: str = "") -> Tensor:
    first, layer, matrix, last = (s[f"{prefix}{n}"] for n in ("First", "Layer", "Matrix", "Last"))
    return x @ first @ layer[:, l] @ matrix[:, m] @ last


META = """
import "std/adapters.tn"
model Mine() {
  part meta = MetaTT(6, 6, 3, 2, 4)
  part query[l in 0..2] = MetaTTLinear(meta, l + 1, 1, 6, alpha = 2.0)
  input x(..., 6)
  output x |> repeat l in 0..2 { query[l] }
}
"""


def meta_linear(s: State, x: Tensor) -> Tensor:
    for l in range(2):
        x = linear(s, f"query.{l}.base", x) + 2 * meta(s, x, l + 1, 1, "meta.")
    return x


def mixture(s: State, x: Tensor, dense: bool) -> Tensor:
    """Vector by vector, expert by expert."""
    rows = []
    for row in x:
        score, found = linear(s, "router", row, bias=False).topk(2)
        total = torch.zeros_like(row)
        for weight, e in zip(score.softmax(-1), found, strict=True):
            total = total + weight * expert(s, int(e), row, dense)
        rows.append(total)
    return torch.stack(rows)


def expert(s: State, e: int, x: Tensor, dense: bool) -> Tensor:
    if dense:
        up, down = s["up.W"][e], s["down.W"][e]
    else:
        up, down = (picked(s, e, f"{part}.").T for part in ("up", "down"))
    return down @ functional.gelu(up @ x)


def picked(s: State, e: int, prefix: str = "") -> Tensor:
    g = s[f"{prefix}G.0"], s[f"{prefix}G.1"]
    return torch.einsum("a,aiob,bjp->ijop", s[f"{prefix}E"][e], *g).flatten(2).flatten(0, 1)


def vectors(g: Generator, b: int = 3) -> tuple[Tensor, ...]:
    return (real(g, b, 12),)


CASES += [
    Case("adapters", "LoRA(12, 6, 3)", vectors, lambda s, x: linear(s, "base", x)
         + 16 / 3 * functional.linear(functional.linear(x, s["A"]), s["B"]),
         frozen=("base.",)),
    Case("adapters", "ZeroMPO([4, 3], [2, 3], 2)", vectors, lambda s, x: x @ zero_matrix(s)),
    Case("adapters", "LoRETTA(12, 6, 4, 3, 0.5, 2)", vectors, lambda s, x: linear(s, "base", x)
         + 0.5 * (train(s, "down", x, bias=False) @ zero_matrix(s, "up.")), frozen=("base.",)),
    Case("adapters", "LoRETTAAdapter(12, 4, 3, 2)", vectors,
         lambda s, x: x + functional.gelu(train(s, "down", x)) @ zero_matrix(s, "up.")),
    Case("adapters", "MetaTT(12, 6, 3, 2, 4)",
         lambda g: (*vectors(g), torch.tensor(2), torch.tensor(1)), meta),
    Case("adapters", "MetaTTLinear", lambda g, b=3: (real(g, b, 6),), meta_linear,
         frozen=("query.0.base", "query.1.base"), text=META),
    Case("adapters", "PairCircuit([2, 3, 2])", vectors, lambda s, x: circuit(s, x, [2, 3, 2])),
    Case("adapters", "PairCircuit([3, 4])", vectors, lambda s, x: circuit(s, x, [3, 4])),
    Case("adapters", "QuanTA([2, 3, 2, 1])", vectors, lambda s, x: linear(s, "base", x)
         + circuit(s, x, [2, 3, 2, 1], "circuit.") - x, frozen=("base.",)),
    Case("adapters", "LowRankTable(18, 6, 3)", lambda g: (ids(g, 18, 5),),
         lambda s, x: functional.embedding(x, s["A"] @ s["B"])),
    Case("adapters", "LowRankConv(4, 6, [3, 2], 3, [2, 1], [1, 0])",
         lambda g: (real(g, 2, 4, 8, 7),),
         lambda s, x: functional.conv2d(functional.conv2d(x, s["A"], None, (2, 1), (1, 0)),
                                        s["B"][:, :, None, None])),
    Case("mixtures", "DenseExperts(3, 12, 5)", vectors,
         lambda s, x: torch.einsum("zi,eoi->zeo", x, s["W"])),
    Case("mixtures", "DenseExperts(3, 12, 5, spread = true)", lambda g: (real(g, 2, 3, 12),),
         lambda s, x: torch.einsum("zei,eoi->zeo", x, s["W"])),
    Case("mixtures", "PickedExperts(4, [4, 3], [2, 3], [3, 2])",
         lambda g, k=2: (*vectors(g), ids(g, 4, 3, k)),
         lambda s, x, at: torch.stack([torch.stack([row @ picked(s, int(e)) for e in found])
                                       for row, found in zip(x, at, strict=True)]), {"k": 3}),
    Case("mixtures", "MixtureOfExperts(12, 10, 4)", vectors, lambda s, x: mixture(s, x, True)),
    Case("mixtures", "MixtureOfExperts(12, 15, 4, dense = false, sites = 2, rank = 3)", vectors,
         lambda s, x: mixture(s, x, False)),
]  # fmt: skip


# ── operators ────────────────────────────────────────────────────────────────────────────────────


def kernel(s: State, part: str) -> Tensor:
    """The matrices of all modes: (in, out, modes)."""
    if f"{part}W" in set(s):
        return s[f"{part}W"]
    u, v, core = (s[f"{part}{name}"] for name in ("U", "V", "Core"))
    factors = [s[key] for key in s if key.startswith(f"{part}M.")]
    for factor in factors:  # each is moved behind the others, so the order stays
        core = torch.tensordot(core, factor, ([2], [1]))
    return torch.einsum("pq...,ip,oq->io...", core, u, v)


def spectral(s: State, x: Tensor, prefix: str = "") -> Tensor:
    """Mode by mode, as a sum of waves."""
    n = x.shape[-1]
    weights = kernel(s, f"{prefix}maps.")
    modes = weights.shape[-1]
    turns = (torch.arange(modes)[:, None] * torch.arange(n)).double() / n
    waves = torch.polar(torch.ones((), dtype=torch.float64), 2 * math.pi * turns)
    found = torch.einsum("zcn,mn->zcm", x.to(waves.dtype), waves.conj())
    mapped = torch.einsum("zim,iom->zom", found, weights)
    twice = torch.where(torch.arange(modes) == 0, 1.0, 2.0)
    return torch.einsum("zom,m,mn->zon", mapped, twice.to(waves.dtype), waves).real / n


def spectral2d(s: State, x: Tensor, prefix: str = "") -> Tensor:
    up, down = kernel(s, f"{prefix}up."), kernel(s, f"{prefix}down.")
    m = up.shape[-1]
    found = torch.fft.rfft2(x)
    mapped = torch.zeros(len(x), up.shape[1], *found.shape[2:], dtype=found.dtype)
    mapped[..., :m, :m] = torch.einsum("zixy,ioxy->zoxy", found[..., :m, :m], up)
    mapped[..., -m:, :m] = torch.einsum("zixy,ioxy->zoxy", found[..., -m:, :m], down)
    return torch.fft.irfft2(mapped, s=x.shape[-2:])


def fno(s: State, x: Tensor) -> Tensor:
    n = x.shape[-1]
    grid = torch.linspace(0, 1, n + 1, dtype=torch.float64)[:n].expand(len(x), 1, n)
    y = convolution(s, "lift", torch.cat([x, grid], 1))
    for l in range(2):
        y = spectral(s, y, f"block.{l}.spectral.") + convolution(s, f"block.{l}.local", y)
        y = y if l == 1 else functional.gelu(y)
    return convolution(s, "down", functional.gelu(convolution(s, "up", y)))


def monarch(s: State, part: str, x: Tensor, axes: tuple[int, int]) -> Tensor:
    """Blocks, a transposition, blocks."""
    y = torch.einsum("...ab,abe->...ae", x.unflatten(-1, axes), s[f"{part}.L"])
    return torch.einsum("...ae,ead->...de", y, s[f"{part}.R"]).flatten(-2)


def monarch_mixer(s: State, x: Tensor) -> Tensor:
    y = functional.relu(s["place_kernel"] * monarch(s, "m1", x.mT, (2, 3)))
    y = monarch(s, "m2", y, (2, 3)).mT
    z = functional.relu(s["feature_kernel"] * monarch(s, "m3", y, (4, 2)))
    return layer_norm(s, "norm", y + monarch(s, "m4", z, (4, 2)))


def line(g: Generator, n: int = 9) -> tuple[Tensor, ...]:
    return (real(g, 2, 4, n),)


def plane(g: Generator, h: int = 8, w: int = 7) -> tuple[Tensor, ...]:
    return (real(g, 2, 4, h, w),)


CASES += [
    Case("spectral", "ModeMaps(4, 3, [2, 5])", lambda g: (imaginary(g, 2, 4, 2, 5),),
         lambda s, x: torch.einsum("zixy,ioxy->zoxy", x, kernel(s, ""))),
    Case("spectral", "TuckerModeMaps(4, 3, [2, 5], 2, 3)", lambda g: (imaginary(g, 2, 4, 2, 5),),
         lambda s, x: torch.einsum("zixy,ioxy->zoxy", x, kernel(s, ""))),
    Case("spectral", "SpectralConv1d(4, 3, 3)", line, spectral, {"n": 12}),
    Case("spectral", "SpectralConv1d(4, 3, 3, dense = false, rank = 2)", line, spectral,
         {"n": 12}),
    Case("spectral", "SpectralConv2d(4, 3, 3)", plane, spectral2d, {"h": 9, "w": 8}),
    Case("spectral", "SpectralConv2d(4, 3, 3, dense = false, rank = 2)", plane, spectral2d,
         {"h": 9, "w": 8}),
    Case("spectral", "FNOBlock(4, 3)", line, lambda s, x: functional.gelu(
        spectral(s, x, "spectral.") + convolution(s, "local", x)), {"n": 12}),
    Case("spectral", "FNOBlock2d(4, 3, linear = true)", plane,
         lambda s, x: spectral2d(s, x, "spectral.") + convolution(s, "local", x),
         {"h": 9, "w": 8}),
    Case("spectral", "FNO(4, 2, 5, 2, 3, 6)", line, fno, {"n": 12}),
    Case("spectral", "MonarchMixer([2, 3], [4, 2])", lambda g, b=2: (real(g, b, 6, 8),),
         monarch_mixer),
]  # fmt: skip


# ── features and probabilities ───────────────────────────────────────────────────────────────────


def trigonometric(s: State, x: Tensor, features: int) -> Tensor:
    """The product state of `features - 1` halves, seen in its symmetric basis."""
    n = features - 1
    c, d = torch.cos(math.pi / 2 * x), torch.sin(math.pi / 2 * x)
    return torch.stack([math.comb(n, k) ** 0.5 * c ** (n - k) * d**k for k in range(features)], -1)


def legendre(s: State, x: Tensor) -> Tensor:
    written = [
        x**0,
        x,
        (3 * x**2 - 1) / 2,
        (5 * x**3 - 3 * x) / 2,
        (35 * x**4 - 30 * x**2 + 3) / 8,
    ]
    return torch.stack([math.sqrt(2 * k + 1) * p for k, p in enumerate(written)], -1)


def cut(s: State, x: Tensor) -> Tensor:
    return functional.unfold(x, 2, stride=2).mT


def born(s: State, tokens: Tensor) -> Tensor:
    """The probabilities of all sequences, by brute force."""

    def amplitude(sequence: tuple[int, ...]) -> Tensor:
        vector = s["psi.Left"]
        for k, symbol in enumerate(sequence):
            vector = vector @ s[f"psi.A.{k}"][:, symbol]
        return vector @ s["psi.Right"]

    every = torch.stack([amplitude(q) for q in itertools.product(range(3), repeat=4)])
    found = torch.stack([amplitude(tuple(map(int, row))) for row in tokens])
    return (found.square() / every.square().sum()).log()


def chain(s: State) -> Tensor:
    """A matrix product state of two sites, as one tensor."""
    a, b = s["A.0"], s["A.1"]
    return torch.einsum("a,aib,bjc,c->ij", s["Left"], a, b, s["Right"])


def log_amplitude(s: State, tokens: Tensor) -> Result:
    found = chain(s)[tokens[:, 0], tokens[:, 1]]
    return found.sign().detach(), found.abs().log()


def log_norm(s: State) -> Result:
    return torch.ones((), dtype=torch.float64), chain(s).square().sum().log()


CASES += [
    Case("features", "Trigonometric()", lambda g, n=5: (real(g, 2, n),),
         lambda s, x: trigonometric(s, x, 2), {"n": 3}),
    Case("features", "Trigonometric(5)", lambda g, n=5: (real(g, 2, n),),
         lambda s, x: trigonometric(s, x, 5), {"n": 3}),
    Case("features", "Legendre(4)", lambda g, n=5: (real(g, 2, n),), legendre, {"n": 3}),
    Case("features", "FourierFeatures(2, 6, 3.0)", lambda g: (real(g, 4, 2),), lambda s, x:
         torch.cat([(2 * math.pi * x @ s["B"]).cos(), (2 * math.pi * x @ s["B"]).sin()], -1)),
    Case("features", "Patches(3, 2)", lambda g, h=4, w=6: (real(g, 2, 3, h, w),), cut,
         {"h": 6, "w": 4}),
    Case("generative", "BornMachine(4, 3, 2)", lambda g, b=5: (ids(g, 3, b, 4),), born),
    Case("generative", "MPSAmplitude(2, 3, 2)", lambda g, b=5: (ids(g, 3, b, 2),), log_amplitude),
    Case("generative", "MPSNorm(2, 3, 2)", lambda g: (), log_norm),
]  # fmt: skip
