"""The network of dgasmith/opt_einsum#133: sixteen vectors a row against one tensor of 2¹⁷ entries.

The issue has 320,000 rows in float64; there are fewer here, so that every peer fits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from benchmarks.byhand.chunks import by_chunks, rows_in_cache
from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Network, Parameters, Run, Workload
from benchmarks.workloads.linear import by_hand

SITES = 16

TEXT = """
network Table(sites: int) {
  index  p[k in 0..sites] = 2, o = 2
  input  x(..., k in 0..sites, p[k])
  tensor W(p[*], o)
  output y(..., o)
}
"""


def vectors(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Sixteen vectors of two numbers a row."""
    return (torch.rand(batch, SITES, 2, generator=generator),)


def outer(x: Tensor) -> Tensor:
    """The products of one entry of every vector: (n, 2^sites)."""
    held = x[:, 0]
    for k in range(1, x.shape[1]):
        held = (held[:, :, None] * x[:, k, None]).flatten(1)
    return held


def in_pieces(parameters: Parameters, x: Tensor) -> Tensor:
    """A few rows at a time against the whole table; going back, their products are made again."""
    (table,) = parameters.values()
    flat = table.reshape(-1, 2)

    def piece(rows: Tensor) -> Tensor:
        return outer(rows) @ flat

    pieces = [checkpoint(piece, rows, use_reentrant=False) for rows in torch.split(x, 64)]
    return torch.cat(pieces)


def halves(held: Sequence[Tensor]) -> Run:
    """Products of eight vectors a side; one wide matrix product, one short sum a row."""
    table = held[0]

    def step(x: Tensor) -> Tensor:
        left, right = outer(x[:, :8]), outer(x[:, 8:])
        met = (left @ table.view(256, 512)).view(-1, 256, 2)
        return torch.bmm(right.unsqueeze(1), met).squeeze(1)

    return lambda x: by_chunks(step, x, rows_in_cache(512))


WORKLOADS = (
    Workload(
        name="opt-einsum-133",
        title="opt_einsum#133: 16 vectors of 2 against a tensor of 2^17",
        networks=(Network(TEXT, f"Table(sites = {SITES})"),),
        batches=(2000, 32000),
        inputs=vectors,
        reference=in_pieces,
        contenders=(
            *equations(
                Equation(
                    tuple(("n", f"p{k}") for k in range(SITES)),
                    ((*(f"p{k}" for k in range(SITES)), "o"),),
                    ("n", "o"),
                    lambda x: x.unbind(1),
                ),
                suits=lambda batch: batch <= 2000,
            ),
            by_hand("halves", halves),
        ),
        omitted={
            "nn.Linear": "the map is no matrix",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
            "TensorKrowch": "one tensor with all pixels is none of its models",
        },
        quick=(),
        input_gradients=False,
        note="reported there: 640,000 elements promised, 156 GiB asked for; the einsum libraries "
        "run at 2,000 rows only",
    ),
)
