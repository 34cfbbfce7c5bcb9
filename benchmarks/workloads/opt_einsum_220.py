"""The network of dgasmith/opt_einsum#220: one of two inputs has no batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Contender, Network, Parameters, Run, Workload
from benchmarks.workloads.linear import by_hand

SIZE, BATCH = 32, 10000

TEXT = """
network Modulated(size: int) {
  batch  n
  index  i = size, j = size, k = size
  input  x(n, j)
  input  v(k)
  tensor T(i, j, k)
  output y(n, i)
}
"""


def vectors(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Rows, and one vector for all of them."""
    return torch.randn(batch, SIZE, generator=generator), torch.randn(SIZE, generator=generator)


def einsum(parameters: Parameters, x: Tensor, v: Tensor) -> Tensor:
    """The equation as it stands."""
    (T,) = parameters.values()
    return torch.einsum("ijk,bj,k->bi", T, x, v)


def vector_first(held: Sequence[Tensor]) -> Run:
    """A matrix for all rows first."""
    T = held[0]
    return lambda x, v: x @ torch.mv(T.view(-1, SIZE), v).view(SIZE, SIZE).t()


def told_apart() -> tuple[Contender, ...]:
    """Libraries that are told that the second input has no batch."""
    return equations(
        Equation((("n", "j"), ("k",)), (("i", "j", "k"),), ("n", "i"), lambda x, v: (x, v))
    )


WORKLOADS = (
    Workload(
        name="opt-einsum-220",
        title="opt_einsum#220: a bilinear map, one input without batch",
        networks=(Network(TEXT, f"Modulated(size = {SIZE})"),),
        batches=(BATCH,),
        inputs=vectors,
        reference=einsum,
        contenders=(*told_apart(), by_hand("vector first", vector_first)),
        omitted={
            "nn.Linear": "the map is bilinear",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
            "TensorKrowch": "it has no such model",
        },
        quick=(BATCH,),
        note="the einsum libraries are told that the vector has no batch: given one of size 1 they "
        "spend 338 million multiply-adds where 10 do",
    ),
)
