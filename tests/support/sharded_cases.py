"""Networks of which two processes share legs: their modules, inputs, losses and gradients."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

import tncompile

SPEC = """
import "std/linear.tn" { LowRank, MPO, TensorRing, Tucker, CP, Monarch, BilinearTN }
import "std/embedding.tn" { TTEmbedding }
import "std/classifier.tn" { MPSClassifier }

network Wide = MPO(ins = [4, 6, 2], outs = [2, 4, 6], ranks = 4)
network Padded = MPO(ins = [4, 3], outs = [4, 6], ranks = 4, inputs = 11, outputs = 23)

network Chain(n: int = 70) {
  index  p[k in 0..n] = 2, o = 4
  bond   b[k in 0..n] = 2
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k])
  tensor Top(b[n - 1], o)
  output y(..., o)
}
network Sum(n: int = 70) {
  index  p[k in 0..n] = 2
  hyper  r = 4
  input  x(..., k in 0..n, p[k])
  tensor F[k in 0..n](r, p[k])
  output y(...)
}
network Mixed(d: int = 4) {
  batch  s
  index  a = d, b = 6, o = 8
  bond   u = 4
  input  x(..., s, (a b))
  input  z(..., s)
  tensor forward((a b), u) frozen
  tensor W(u, o)
  bias   c(o)
  output y(..., s, o)
}
network State() {
  index  s[k in 0..3] = 2
  bond   b[k in 0..2] = 4
  tensor A[k in 0..3](b[k - 1]?, s[k], b[k]?)
  output y(s[*])
}
network Tied() {
  index  i = 4, o = 4
  bond   u = 6
  input  x(..., i)
  tensor A(u, i)
  tensor B(u, o) tie A
  bias   c(o)
  output y(..., o)
}
"""

CASES = (
    ("LowRank(6, 8, rank = 4)", ("o", "i", "r")),
    ("Wide", ("o[0]", "o[1]", "o[2]", "i[0]", "i[1]", "i[2]", "b[0]", "b[1]")),
    ("MPO(ins = [4, 6], outs = [2, 4], ranks = 4, with_bias = false)", ("o[1]", "b[0]")),
    ("TensorRing(ins = [2, 4], outs = [4, 2], ranks = 4)", ("o[0]", "i[1]", "b[0]")),
    ("Tucker(ins = [4, 2], outs = [2, 6], in_ranks = 2, out_ranks = 2)", ("o[1]", "i[0]", "p[1]")),
    ("CP(ins = [2, 3], outs = [3, 2], rank = 4)", ("r", "o[1]")),
    ("Monarch(ins = [2, 4], outs = [4, 2])", ("o[1]", "i[0]")),
    ("BilinearTN(4, 6, 8, rank = 2)", ("i", "q", "o")),
    ("TTEmbedding(rows = [3, 4], columns = [2, 4], ranks = 2)", ("e[0]", "e[1]", "b[0]")),
    ("MPSClassifier(sites = 4, rank = 4, classes = 2)", ("a[0]",)),
    ("Chain", ("b[40]", "o")),
    ("Sum", ("r",)),
    ("Padded", ("b[0]",)),
    ("Mixed", ("a", "o", "u")),
    ("State", ("s[1]", "b[0]")),
    ("Tied", ("u",)),
)
"""Networks and the legs of each that two ranks share."""


Wanted = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
"""An output, the gradients of the inputs, and those of the parameters by key."""


class Model(nn.Module):
    """A network as one layer of a model."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, **inputs: Tensor) -> Tensor:
        made: Tensor = self.layer(**inputs)
        return made


def made_of(
    architecture: tncompile.Architecture, leg: str | None = None, *, seed: int = 0
) -> nn.Module:
    """A module, ready to be split along a leg."""
    return architecture.module(dtype=torch.float64, seed=seed, batch=4, search="fast", shard=leg)


def draw(architecture: tncompile.Architecture) -> dict[str, Tensor]:
    """Random inputs of a batch of four."""
    rng = torch.Generator().manual_seed(1)
    made: dict[str, Tensor] = {}
    for given in architecture.network.inputs:
        shape: list[int] = []
        for axis in given.axes:
            if axis.kind in ("legs", "slices"):
                shape.append(axis.length or 3)
            elif axis.kind == "dots":
                shape += [2, 2]
        classes = next((axis.length for axis in given.axes if axis.kind == "onehot"), None)
        if classes is None:
            x = torch.randn(shape, generator=rng, dtype=torch.float64)
            made[given.name] = x.requires_grad_()
        else:
            made[given.name] = torch.randint(classes, shape, generator=rng)
    return made


def whole(value: Tensor | None) -> Tensor:
    """A tensor, put together again where it is split."""
    assert value is not None
    return value.full_tensor() if isinstance(value, DTensor) else value


def run(module: nn.Module, inputs: dict[str, Tensor]) -> Wanted:
    """Forward and backward of a loss that is no symmetric function of the output."""
    inputs = {
        name: x.detach().clone().requires_grad_(x.requires_grad) for name, x in inputs.items()
    }
    y = module(**inputs)
    loss(whole(y)).backward()
    slopes = {name: whole(x.grad) for name, x in inputs.items() if x.requires_grad}
    return whole(y).detach(), slopes, gradients(module)


def loss(y: Tensor) -> Tensor:
    """A number of an output, every entry with a weight of its own."""
    return (y * torch.linspace(1, 2, y.numel(), dtype=y.dtype).reshape(y.shape)).square().sum()


def gradients(module: nn.Module) -> dict[str, Tensor]:
    """Those of the parameters by key, whole."""
    return {name: whole(one.grad) for name, one in module.named_parameters()}


def equal(made: object, due: object) -> None:
    """To 1e-10, relative to the size of a number."""
    torch.testing.assert_close(made, due, rtol=1e-10, atol=1e-10)


Case = tuple[str, str, nn.Module, nn.Module, dict[str, Tensor]]
"""A network, a leg, the module without and with it, inputs."""


def write_cases(file: Path) -> None:
    """All cases: the two processes read their modules instead of compiling each."""
    spec = tncompile.loads(SPEC)
    held: list[Case] = []
    for target, legs in CASES:
        architecture = spec.instantiate(target)
        alone, inputs = made_of(architecture), draw(architecture)
        held += [(target, leg, alone, made_of(architecture, leg), inputs) for leg in legs]
    file.write_bytes(pickle.dumps(held))
