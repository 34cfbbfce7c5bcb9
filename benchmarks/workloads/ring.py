"""A tensor ring whose tensors have a leg on either side."""

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.contract import Network, Run
from benchmarks.workloads.linear import LIBRARY, by_hand, plain, written

SIDES, RANK = (4, 8, 8, 4), 8


def halves(leaves: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Two neighbors each: (I·P, b·c) and (b·c, J, Q)."""
    merged = []
    for left, right in (leaves[:2], leaves[2:]):
        b, i, o, m = left.shape
        _, j, p, c = right.shape
        both = (left.reshape(-1, m) @ right.reshape(m, -1)).view(b, i, o, j, p, c)
        merged.append(both.permute(1, 3, 2, 4, 0, 5).reshape(i * j, o * p, b, c))
    A, C = merged
    (I, P, b, c), (J, Q) = A.shape, C.shape[:2]
    return A.reshape(I * P, b * c), C.permute(3, 2, 0, 1).reshape(b * c, J, Q)


def rows_permuted(leaves: Sequence[Tensor]) -> Run:
    """The weight by `bmm` over the digits of the right half; the input is permuted, not it."""

    def run(x: Tensor) -> Tensor:
        A, C = halves(leaves)
        J = C.shape[1]
        I = x.shape[1] // J
        weight = torch.bmm(A.expand(J, -1, -1), C.transpose(0, 1)).view(J * I, -1)
        return x.view(-1, I, J).transpose(1, 2).reshape(-1, J * I) @ weight

    return run


def weight_permuted(leaves: Sequence[Tensor]) -> Run:
    """The weight by one product, then permuted; the input stays as it is."""

    def run(x: Tensor) -> Tensor:
        A, C = halves(leaves)
        J, Q = C.shape[1:]
        I = x.shape[1] // J
        weight = (A @ C.view(C.shape[0], J * Q)).view(I, -1, J, Q)
        return x @ weight.transpose(1, 2).reshape(x.shape[1], -1)

    return run


TERMS = tuple((f"b{k}", f"i{k}", f"o{k}", f"b{(k + 1) % 4}") for k in range(4))

WORKLOADS = (
    plain(
        "ring-1024-r8",
        f"Tensor ring 1024 → 1024, {written(SIDES)}, rank {RANK}",
        Network(
            LIBRARY,
            f"TensorRing(ins = {written(SIDES)}, outs = {written(SIDES)}, ranks = {RANK}, "
            "with_bias = false)",
        ),
        SIDES,
        TERMS,
        tuple(f"o{k}" for k in range(4)),
        (
            by_hand("dense, input permuted", rows_permuted),
            by_hand("dense, weight permuted", weight_permuted),
        ),
        (1, 256),
        omitted={
            "tensorly-torch": "it has no rings",
            "tednet": "its rings have a tensor for every leg: see ring-of-legs",
        },
        quick=(256,),
    ),
)
