"""A tensor ring with a tensor for every leg, as tednet has it."""

from collections.abc import Sequence

from torch import Tensor

from benchmarks.contenders import tednet_layers
from benchmarks.contract import Network, Run
from benchmarks.workloads.linear import by_hand, plain, written

SIDES, RANK = (8, 8, 16), 8

TEXT = """
network RingOfLegs(ins: int[n], outs: int[m], rank: int) {
  index  i[k in 0..n] = ins[k], o[k in 0..m] = outs[k]
  bond   b[k in 0..n + m] = rank
  input  x(..., (i[*]))
  tensor U[k in 0..n](b[k], i[k], b[k + 1])
  tensor V[k in 0..m](b[n + k], o[k], b[(n + k + 1) % (n + m)])
  output y(..., (o[*]))
}
"""


def chain(leaves: Sequence[Tensor]) -> Tensor:
    """Neighbors merged: (b, legs, c)."""
    held = leaves[0]
    for leaf in leaves[1:]:
        b, legs, m = held.shape
        held = (held.reshape(b * legs, m) @ leaf.reshape(m, -1)).view(b, -1, leaf.shape[2])
    return held


def sides(leaves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Either side as one matrix: (inputs, b·c) and (b·c, outputs)."""
    n = len(leaves) // 2
    U, V = chain(leaves[:n]), chain(leaves[n:])
    return U.transpose(0, 1).reshape(U.shape[1], -1), V.permute(2, 0, 1).reshape(-1, V.shape[1])


def two_products(leaves: Sequence[Tensor]) -> Run:
    """A map of low rank: the inputs meet the outputs in two bonds."""

    def run(x: Tensor) -> Tensor:
        U, V = sides(leaves)
        return (x @ U) @ V

    return run


def folded(leaves: Sequence[Tensor]) -> Run:
    """As `two_products`, the sides merged once."""
    U, V = sides(leaves)
    return lambda x: (x @ U) @ V


TERMS = tuple((f"b{k}", f"{'io'[k // 3]}{k % 3}", f"b{(k + 1) % 6}") for k in range(6))

WORKLOADS = (
    plain(
        "ring-of-legs-1024-r8",
        f"Ring of legs 1024 → 1024, {written(SIDES)}, rank {RANK}",
        Network(
            TEXT, f"RingOfLegs(ins = {written(SIDES)}, outs = {written(SIDES)}, rank = {RANK})"
        ),
        SIDES,
        TERMS,
        ("o0", "o1", "o2"),
        (by_hand("two products", two_products, folded),),
        (1, 256),
        peers=(tednet_layers.ring(SIDES, SIDES, (RANK,) * 6),),
        omitted={"tensorly-torch": "it has no rings"},
    ),
)
