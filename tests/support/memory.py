"""A network whose peak memory is measured, and inputs for it."""

from __future__ import annotations

import torch
from torch import Tensor

from tncompile.network.model import TensorNetwork
from tncompile.planning import Cost
from tncompile.simulation.trace import passed_on

TEXT = """
network MPO(ins: int[n], outs: int[n], rank: int) {
  index  i[k in 0..n] = ins[k], o[k in 0..n] = outs[k]
  bond   b[k in 0..n - 1] = rank
  input  x(..., (i[*]))
  tensor G[k in 0..n](b[k - 1]?, i[k], o[k], b[k]?)
  bias   c(o[*])
  output y(..., (o[*]))
}
network Ring(n: int, rank: int) {
  index  p[k in 0..n] = 2
  bond   b[k in 0..n] = rank
  input  x(..., k in 0..n, p[k])
  tensor A[k in 0..n](b[k], p[k], b[(k + 1) % n])
  output y(...)
}
network Chain(n: int, rank: int, classes: int = 3) {
  index  p[k in 0..n] = 2, c = classes
  bond   b[k in 0..n] = rank
  input  x(..., k in 0..n, p[k])
  tensor A[k in 0..n](b[k - 1]?, p[k], b[k])
  tensor T(b[n - 1], c)
  output y(..., c)
}
network Tree(patches: int, chi: int) {
  let depth = log2(patches)
  index  p[j in 0..patches] = 2, c = 4
  bond   v[l in 0..depth + 1, j in 0..patches // 2 ** l] = chi
  input  x(..., j in 0..patches, p[j])
  tensor E[j in 0..patches](p[j], v[0, j]) share j
  tensor N[l in 1..depth + 1, j in 0..patches // 2 ** l](
    v[l - 1, 2 * j], v[l - 1, 2 * j + 1], v[l, j]
  )
  tensor T(v[depth, 0], c)
  output y(..., c)
}
network Words(words: int = 60, rank: int = 6) {
  index  v[k in 0..2] = 8, e[k in 0..2] = 6
  bond   b = rank
  input  id(..., onehot(v[*]) as words)
  tensor G(v[0], e[0], b)
  tensor H(b, v[1], e[1])
  output y(..., (e[*]))
}
network Letters(n: int, rank: int = 4) {
  index  p[k in 0..n] = 5, c = 3
  bond   b[k in 0..n] = rank
  input  x(..., k in 0..n, onehot(p[k]))
  tensor A[k in 0..n](b[k - 1]?, p[k], b[k])
  tensor T(b[n - 1], c)
  output y(..., c)
}
network Frozen(d: int = 32, r: int = 8) {
  index  i = d, o = d
  bond   b = r, e = r
  input  x(..., i)
  tensor A(i, b)
  tensor F(b, e) frozen
  tensor B(o, e) tie A
  output y(..., o)
}
network Bilinear(a: int = 20, b: int = 30, o: int = 12, rank: int = 9) {
  batch  n
  index  i = a, j = b, k = o
  hyper  r = rank
  input  left(n, i)
  input  right(n, j)
  tensor U(i, r)
  tensor V(j, r)
  tensor W(r, k)
  output y(n, k)
}
network Padded(d: int = 60) {
  index  i[k in 0..2] = 8, o[k in 0..2] = 8
  bond   b = 5
  input  x(..., (i[*]) as d)
  tensor G(i[0], o[0], b)
  tensor H(b, i[1], o[1])
  bias   c(o[*])
  output y(..., (o[*]) as d)
}
network Monarch(p: int = 8, q: int = 6) {
  index  a = p, b = q, c = p, d = q
  input  x(..., (a b))
  tensor L(a, b, d)
  tensor R(d, a, c)
  output y(..., (d, c))
}
network CP(ins: int[n], outs: int[m], rank: int = 12) {
  index  i[k in 0..n] = ins[k], o[k in 0..m] = outs[k]
  hyper  r = rank
  input  x(..., (i[*]))
  tensor U[k in 0..n](i[k], r)
  tensor V[k in 0..m](o[k], r)
  tensor w(r) init ones
  output y(..., (o[*]))
}
"""


def random_inputs(network: TensorNetwork, cost: Cost) -> list[Tensor]:
    """Inputs of the planned sizes; those that another layer may have made want gradients."""
    made: list[Tensor] = []
    through = passed_on(network)
    for given in network.inputs:
        shape: list[int] = []
        classes = 0
        for axis in given.axes:
            if axis.kind == "onehot":
                classes = axis.length or 0
            elif axis.length is not None:
                shape.append(axis.length)
            else:
                shape.append(cost.sizes[axis.indices[0]])
        drawn = torch.randint(0, classes, shape) if classes else torch.randn(shape)
        made.append(drawn.requires_grad_(given.name in through))
    return made


def held_bytes(tensors: list[Tensor]) -> int:
    """The bytes of tensors that are there before something runs."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
