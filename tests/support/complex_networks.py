"""Networks of real and complex tensors: named ones, and random ones with conjugated ties."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import tncompile
from tests.support.brute_force import brute_force
from tests.support.strategies import Sketch, network
from tncompile.network.editing import edited
from tncompile.network.model import TensorNetwork

if TYPE_CHECKING:
    from tncompile.typed import TensorNetworkModule

TEXT = """
network Mixed(d: int = 6, r: int = 3) {
  index  i = d, o = d, q = 4
  bond   b = r, c = r
  input  x(..., i, q)
  tensor A(i, b)
  tensor B(b, q, c) complex
  tensor C(c, o)
  bias   e(o)
  output y(..., o)
}
network Projector(d: int = 6, r: int = 2) {
  index  i = d, o = d
  bond   b = r
  input  x(..., i)
  tensor A(i, b) complex
  tensor B(o, b) tie A conj
  bias   c(o)
  output y(..., o)
}
network Chain(n: int = 5) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k]) complex
  tensor Top(b[n - 1], o) frozen
  output y(..., o)
}
network Log(n: int = 5) {
  index  p[k in 0..n] = 2, o = 3
  bond   b[k in 0..n] = 3
  input  x(..., k in 0..n, p[k])
  tensor First(p[0], b[0])
  tensor G[k in 1..n](b[k - 1], p[k], b[k]) complex
  tensor Top(b[n - 1], o)
  output y(..., o) log
}
network Image(r: int = 3) {
  index  i = 4, o = 6
  bond   a = r, b = r
  window h = conv(3, padding = 1), w = conv(3, stride = 2, padding = 1, mode = "circular")
  input  x(..., i, h.in, w.in)
  tensor U(i, a)
  tensor K(a, b, h.kernel, w.kernel) complex
  tensor V(b, o)
  bias   c(o)
  output y(..., o, h.out, w.out)
}
network Words(words: int = 7) {
  index  i = words, o = 4
  bond   b = 3
  input  x(..., onehot(i))
  tensor A(i, b) complex
  tensor B(b, o)
  output y(..., o)
}
network State() {
  index  s[k in 0..3] = 2
  bond   b[k in 0..2] = 3
  tensor A[k in 0..3](b[k - 1]?, s[k], b[k]?) complex
  output y(s[*])
}
"""

SHAPES: dict[str, tuple[int, ...] | None] = {
    "Mixed": (6, 4),
    "Projector": (6,),
    "Chain": (5, 2),
    "Log": (5, 2),
    "Image": (4, 5, 6),
    "Words": (),
    "State": None,
}
"""The shape of the input without leading axes; None for no input."""


@cache
def architecture(name: str) -> tncompile.Architecture:
    """The architecture of a network of `TEXT`."""
    return tncompile.loads(TEXT).instantiate(name)


def made(name: str, dtype: torch.dtype = torch.float64, seed: int = 0) -> TensorNetworkModule:
    """A module of its own."""
    return architecture(name).module(dtype=dtype, seed=seed, search="fast")


def inputs(name: str, dtype: torch.dtype = torch.float64, rows: int = 5) -> list[Tensor]:
    """What `forward` takes."""
    shape, rng = SHAPES[name], torch.Generator().manual_seed(7)
    if shape is None:
        return []
    if name == "Words":
        return [torch.randint(7, (rows,), generator=rng)]
    return [torch.randn(rows, *shape, dtype=dtype, generator=rng)]


def parts(value: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """All results as real tensors."""
    values = value if isinstance(value, tuple) else (value,)
    return tuple(torch.view_as_real(each) if each.is_complex() else each for each in values)


# ── random ones ─────────────────────────────────────────────────────────────────────────────────


def with_complex(
    network: TensorNetwork,
    families: Collection[str],
    conjugates: Collection[str] = (),
    ties: dict[str, str] | None = None,
) -> TensorNetwork:
    """The network with these families complex, and uses of some tensors conjugated or tied."""
    tied = ties or {}
    parameters = tuple(
        edited(parameter, complex=parameter.family in families)
        for parameter in network.parameters
        if parameter.key not in tied
    )
    tensors = tuple(
        edited(
            tensor,
            source=tied.get(tensor.source, tensor.source),
            conjugate=tensor.name in conjugates,
        )
        if tensor.role == "parameter"
        else tensor
        for tensor in network.tensors
    )
    return edited(network, parameters=parameters, tensors=tensors)


class ComplexSketch:
    """A random network: some weights complex, some conjugated, some tied to an earlier one."""

    def __init__(self, sketch: Sketch, seed: int, *, log: bool = False) -> None:
        rng = random.Random(seed)
        names = list(sketch.weights)
        self.sketch = sketch
        self.ties: dict[str, str] = {}
        shape = {
            name: tuple(sketch.sizes[leg] for leg in legs) for name, legs in sketch.weights.items()
        }
        for k, name in enumerate(names):
            alike = [one for one in names[:k] if shape[one] == shape[name] and one not in self.ties]
            if alike and rng.random() < 0.6:
                self.ties[name] = rng.choice(alike)
        own = [name for name in names if name not in self.ties]
        self.complex = {name for name in own if rng.random() < 0.5}
        self.conjugates = {name for name in names if rng.random() < 0.5}
        plain = network(sketch, log=log)
        self.network = with_complex(plain, self.complex, self.conjugates, self.ties)
        self._rng = torch.Generator().manual_seed(seed)

    def parameters(self) -> dict[str, Tensor]:
        """Random parameters by key, in double precision."""
        return {
            parameter.key: torch.randn(
                parameter.shape,
                dtype=torch.complex128 if parameter.complex else torch.float64,
                generator=self._rng,
            ).requires_grad_()
            for parameter in self.network.parameters
        }

    def brute_force(self, parameters: dict[str, Tensor], inputs: dict[str, Tensor]) -> Tensor:
        """The sum of products."""
        used = dict(parameters)
        for name in self.sketch.weights:
            value = parameters[self.ties.get(name, name)]
            used[name] = value.conj() if name in self.conjugates else value
        return brute_force(self.sketch, used, inputs)
