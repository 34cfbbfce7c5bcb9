"""LoKr: a Kronecker product with one factor of low rank; adapters used to rebuild it every step."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from benchmarks.byhand import products
from benchmarks.contract import Contender, Kind, Network, Run, in_order
from benchmarks.workloads.linear import by_hand, plain

TEXT = """
network LoKr(ins: int[2], outs: int[2], rank: int) {
  index  i[k in 0..2] = ins[k], o[k in 0..2] = outs[k]
  bond   r = rank
  input  x(..., (i[*]))
  tensor W(i[0], o[0])
  tensor A(i[1], r)
  tensor B(r, o[1])
  output y(..., (o[*]))
}
"""


def rebuilt(held: Sequence[Tensor]) -> Run:
    """The whole weight by `torch.kron` in every forward pass."""
    w, a, b = held
    return lambda x: linear(x, torch.kron(w, a @ b).t())


WORKLOADS = (
    plain(
        "lokr-2048-8192-r16",
        "LoKr 2048 → 8192, [16, 128] → [16, 512], rank 16",
        Network(TEXT, "LoKr(ins = [16, 128], outs = [16, 512], rank = 16)"),
        (16, 128),
        (("i0", "o0"), ("i1", "r"), ("r", "o1")),
        ("o0", "o1"),
        (
            by_hand("contracted", products.kronecker),
            by_hand("contracted by rows", products.kronecker_by_rows),
        ),
        (1, 1024),
        peers=(Contender("rebuilt by torch.kron", Kind.PEER, in_order, rebuilt),),
        omitted={
            "tensorly-torch": "it has no Kronecker factors",
            "tednet": "it has no Kronecker factors",
        },
        quick=(1024,),
        note="reported in ostris/ai-toolkit#945: 3 s a step rebuilt, 1 s contracted",
    ),
)
