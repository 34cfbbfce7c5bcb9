"""Every block of the standard library as a module: subjects that capabilities are tried on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

import tncompile
from tncompile.network.model import TensorNetwork

ODDITIES = """
import "std/linear.tn" { MPO, BTT }

network Swept = MPO(ins = [8, 8, 8], outs = [8, 8, 8], ranks = 3)
network Cut = BTT(ins = [3, 4], outs = [5, 3], inputs = 10, outputs = 13)
network Unequal = MPO(ins = [4, 3], outs = [2, 2, 3], ranks = 3, with_bias = false)

network Names(d: int = 3, r: int = 2) {
  index  self = d, torch = d
  bond   lambda = r, B = r
  input  forward(..., self)
  tensor train(self, lambda)
  tensor None(lambda, B)
  tensor lead(B, torch) frozen
  output half(..., torch)
}
network Scores(d: int = 4) {
  batch  s, t
  index  i = d
  input  q(..., s, i)
  input  k(..., t, i)
  tensor w(i)
  output y(..., s, t)
}
network Padded(wide: int = 7) {
  index  i[k in 0..2] = 3, o[k in 0..2] = 3
  bond   b = 2
  input  x(..., (i[*]) as wide)
  tensor L(i[0], o[0], b) init orthogonal
  tensor R(b, i[1], o[1])
  bias   c(o[1])
  output y(..., (o[*]) as 8)
}
network Grid() {
  index  p[r in 0..2, c in 0..2] = 2, o = 3
  bond   h[r in 0..2, c in 0..1] = 2, v[r in 0..1, c in 0..2] = 2
  bond   t[r in 1..2, c in 1..2] = 2
  input  x(..., r in 0..2, c in 0..2, p[r, c])
  tensor S[r in 0..2, c in 0..2](p[r, c], h[r, c - 1]?, h[r, c]?, v[r - 1, c]?, v[r, c]?, t[r, c]?)
  tensor Top(t[1, 1], o)
  output y(..., o)
}
network Shared(n: int = 4) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k]) share k
  tensor Top(b[n - 1], o)
  output y(..., o)
}
network Chain(n: int = 80) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k])
  tensor Top(b[n - 1], o)
  output y(..., o)
}
network Log(n: int = 4) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k])
  tensor Top(b[n - 1], o)
  output y(..., o) log
}
network State() {
  index  s[k in 0..3] = 2
  bond   b[k in 0..2] = 3
  tensor A[k in 0..3](b[k - 1]?, s[k], b[k]?)
  output y(s[*])
}
network Several(n: int = 3) {
  index  i[k in 0..n] = 4, o = 3
  input  x[k in 0..n](..., i[k])
  tensor A(i[*], o)
  output y(..., o)
}
network Heads(h: int = 3) {
  index  s = h, i = 4, o = 2
  input  x(..., (s, i))
  tensor W(o, s, i)
  bias   c(o)
  bias   d(s)
  output y(..., (o, s))
}
network Projector(d: int = 6) {
  index  i = d, o = d
  bond   r = 2
  input  x(..., i)
  tensor A(i, r)
  tensor B(o, r) tie A conj
  bias   c(o)
  output y(..., o)
}
network Member() {
  index  l = 3, i = 4, o = 5
  batch  n
  input  which(n, onehot(l))
  input  x(n, i)
  tensor W(l, i, o)
  output y(n, o)
}
"""

STACKED = """
network Ring(n: int = 7) {
  index  p[k in 0..n] = 3
  bond   b[k in 0..n] = 4
  input  x(..., k in 0..n, p[k])
  tensor G[k in 0..n](b[k], p[k], b[(k + 1) % n])
  output y(...)
}
network Chain(n: int = 9, r: int = 3) {
  index  f[k in 0..n] = 2
  bond   b[k in 0..n + 1] = r
  input  x(..., k in 0..n, f[k])
  tensor S(b[0])
  tensor A[k in 0..n](b[k], f[k], b[k + 1])
  tensor E(b[n])
  output y(...)
}
network Star(n: int = 70) {
  index  s[k in 0..n] = 2, o = 6
  hyper  r = 3
  input  x(..., k in 0..n, s[k])
  tensor A[k in 0..n](s[k], r)
  tensor V(r, o)
  output y(..., o)
}
network SharedStar(n: int = 20) {
  index  s[k in 0..n] = 2, o = 6
  hyper  r = 3
  input  x(..., k in 0..n, s[k])
  tensor A[k in 0..n](s[k], r) share k
  tensor V(r, o)
  output y(..., o)
}
network SharedChain(n: int = 80) {
  index  s[k in 0..n] = 2
  bond   a[k in 0..n + 1] = 3
  input  x(..., k in 0..n, s[k])
  tensor First(a[0])
  tensor A[k in 0..n](a[k], s[k], a[k + 1]) share k
  tensor Last(a[n])
  output y(...)
}
network ByTurns(n: int = 80) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n + 1] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(b[0])
  tensor E[k in 0..n // 2](b[2 * k], p[2 * k], b[2 * k + 1])
  tensor O[k in 0..n // 2](b[2 * k + 1], p[2 * k + 1], b[2 * k + 2])
  tensor Top(b[n], o)
  output y(..., o)
}
network Frozen(n: int = 70) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n + 1] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(b[0])
  tensor A[k in 0..n](b[k], p[k], b[k + 1]) frozen init orthogonal
  tensor Top(b[n], o)
  output y(..., o)
}
network LogChain(n: int = 72) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k])
  tensor Top(b[n - 1], o)
  output y(..., o) log
}
"""
"""Runs of neighbors, members by turns, steps that run together, with and without sharing."""

OWN = {"oddities": ODDITIES, "stacked": STACKED}
"""Networks of the tests, by the name of a file that they could be."""

STANDARD = {
    "linear": (
        "LowRank(6, 5, rank = 2)",
        "MPO(ins = [2, 3], outs = [3, 2], ranks = 2)",
        "TensorRing(ins = [2, 3], outs = [3, 2], ranks = 2)",
        "Tucker(ins = [2, 3], outs = [3, 2], in_ranks = 2, out_ranks = 2)",
        "CP(ins = [2, 3], outs = [3, 2], rank = 4)",
        "BlockTerm(ins = [2, 3], outs = [3, 2], terms = 2, ranks = 2)",
        "KroneckerSum(ins = [2, 3], outs = [3, 2], terms = 2)",
        "BTT(ins = [2, 3], outs = [3, 2], rank = 2)",
        "Monarch(ins = [2, 3], outs = [3, 2])",
        "HierarchicalTucker(ins = [2, 3], outs = [3, 2], rank = 2)",
        "TreeLinear(ins = [2, 3], outs = [3, 2], rank = 2)",
        "BilinearTN(4, 3, 5, rank = 2)",
        "TensorContraction(ins = [2, 3], outs = [3, 2])",
        "TensorRegression(ins = [2, 3], out_features = 5, in_ranks = 2, out_rank = 2)",
    ),
    "convolution": (
        "Tucker2Conv(4, 6, padding = 1)",
        "TuckerConv(4, 6, kernel_size = [5], kernel_ranks = 2, padding = 2)",
        "CPConv(4, 6, rank = 3, stride = 2)",
        "TTConv(ins = [2, 3], outs = [3, 2], ranks = 2, padding = 1)",
        "TRConv(ins = [2, 3], outs = [3, 2], kernel_size = [3], ranks = 2)",
        "DepthwiseSeparable(4, 6, kernel_size = [3], padding = 2, dilation = 2)",
        "GroupedConv(4, 6, kernel_size = [3, 2, 1], groups = 2, circular = true)",
    ),
    "embedding": ("TTEmbedding(rows = [3, 4], columns = [2, 3], ranks = 2)",),
    "classifier": (
        "MPSClassifier(sites = 6, rank = 3, classes = 3)",
        "TreeClassifier(sites = 4, rank = 3, classes = 3)",
        "PEPSClassifier(rows = 2, columns = 3, classes = 3)",
        "MERAClassifier(sites = 4, rank = 2, classes = 3)",
    ),
}
"""One small instance of every block of the standard library."""

ODD = (
    "Swept", "Cut", "Unequal", "Names", "Scores", "Padded", "Grid", "Shared", "Chain",
    "Log", "State", "Several", "Heads", "Projector", "Member",
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """A module to try: where it comes from, which target it is, the effort of its plan."""

    file: str
    target: str
    search: Literal["fast", "normal"] = "normal"

    def __str__(self) -> str:
        return self.target.split("(")[0]

    @property
    def architecture(self) -> tncompile.Architecture:
        """The architecture, made once."""
        return _architecture(self.file, self.target)

    @property
    def network(self) -> TensorNetwork:
        """Its network."""
        return self.architecture.network

    @property
    def batched(self) -> bool:
        """Whether it takes leading axes."""
        return any(axis.kind == "dots" for given in self.network.inputs for axis in given.axes)

    @property
    def images(self) -> bool:
        """Whether its input has axes of windows."""
        return bool(self.network.windows)

    def module(
        self, dtype: torch.dtype = torch.float32, seed: int | None = 0, device: str | None = None
    ) -> torch.nn.Module:
        """A module of its own."""
        return self.architecture.module(dtype=dtype, seed=seed, device=device, search=self.search)

    def inputs(
        self,
        *lead: int,
        dtype: torch.dtype = torch.float32,
        seed: int = 0,
        sizes: dict[str, int] | None = None,
    ) -> list[Tensor]:
        """Random inputs with these leading axes; run-time ones are 5 long, or as `sizes` say."""
        rng = torch.Generator().manual_seed(seed)
        made: list[Tensor] = []
        for given in self.network.inputs:
            shape: list[int] = []
            for axis in given.axes:
                if axis.kind == "dots":
                    shape += lead
                elif axis.kind != "onehot":
                    shape.append(axis.length or (sizes or {}).get(axis.indices[0], 5))
            classes = next((axis.length for axis in given.axes if axis.kind == "onehot"), None)
            if classes is not None:
                made.append(torch.randint(classes, shape, generator=rng))
            else:
                made.append(torch.randn(shape, generator=rng, dtype=dtype))
        return made


@cache
def _spec(file: str) -> tncompile.Spec:
    return tncompile.loads(OWN.get(file, f'import "std/{file}.tn"'))


@cache
def _architecture(file: str, target: str) -> tncompile.Architecture:
    return _spec(file).instantiate(target)


LIBRARY = tuple(Subject(file, target) for file, targets in STANDARD.items() for target in targets)
ODDS = tuple(Subject("oddities", target) for target in ODD)
ALL = LIBRARY + ODDS


def tensors(value: Tensor | Sequence[Tensor]) -> tuple[Tensor, ...]:
    """What a module returned, as a tuple; sign and logarithm where it is `log`."""
    return (value,) if isinstance(value, Tensor) else tuple(value)
