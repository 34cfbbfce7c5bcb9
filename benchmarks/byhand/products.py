"""Low rank, CP, Tucker, Kronecker sums and block-diagonal products by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.contract import Run


def low_rank(leaves: Sequence[Tensor]) -> Run:
    """Two products."""
    A, B = leaves
    return lambda x: (x @ A) @ B


def columns(factors: Sequence[Tensor]) -> Tensor:
    """The Khatri-Rao product of CP factors, (product of sizes, rank)."""
    held = factors[0]
    for factor in factors[1:]:
        held = (held[:, None] * factor).view(-1, factor.shape[1])
    return held


def cp(leaves: Sequence[Tensor], inputs: int) -> Run:
    """The factors of either side multiplied out, then two products."""

    def run(x: Tensor) -> Tensor:
        return (x @ columns(leaves[:inputs])) @ columns(leaves[inputs:]).t()

    return run


def folded_cp(leaves: Sequence[Tensor], inputs: int) -> Run:
    """As `cp`, the factors multiplied out once."""
    U, V = columns(leaves[:inputs]), columns(leaves[inputs:]).t().contiguous()
    return lambda x: (x @ U) @ V


def crossed(factors: Sequence[Tensor]) -> Tensor:
    """The Kronecker product of matrices (i, p), in order: (product of i, product of p)."""
    held = factors[0]
    for factor in factors[1:]:
        (i, p), (j, q) = held.shape, factor.shape
        held = (held[:, None, :, None] * factor[None, :, None]).view(i * j, p * q)
    return held


def tucker_halves(leaves: Sequence[Tensor], inputs: int) -> tuple[Tensor, Tensor]:
    """The input side with the core, and the output side; leaves are U…, Core, V…."""
    U, core, V = crossed(leaves[:inputs]), leaves[inputs], crossed(leaves[inputs + 1 :])
    return U @ core.view(U.shape[1], V.shape[0]), V


def tucker(leaves: Sequence[Tensor], inputs: int) -> Run:
    """The factors of either side multiplied out, then two products."""

    def run(x: Tensor) -> Tensor:
        U, V = tucker_halves(leaves, inputs)
        return (x @ U) @ V

    return run


def folded_tucker(leaves: Sequence[Tensor], inputs: int) -> Run:
    """As `tucker`, the factors multiplied out once."""
    U, V = tucker_halves(leaves, inputs)
    return lambda x: (x @ U) @ V


def blocks_by_columns(leaves: Sequence[Tensor]) -> Run:
    """Two block-diagonal products, both with the batch as columns: gradients BLAS can take.

    L is (i, j, p, r), R is (p, r, i, o); the output is (o, p).
    """
    L, R = leaves

    def run(x: Tensor) -> Tensor:
        i, j, p, r = L.shape
        o, n = R.shape[3], x.shape[0]
        columns = x.view(n, i, j).permute(1, 2, 0)
        first = torch.bmm(L.reshape(i, j, p * r).transpose(1, 2), columns)
        if r == 1:
            held = first.transpose(0, 1)
        else:
            held = first.view(i, p, r, n).permute(1, 2, 0, 3).reshape(p, r * i, n)
        second = torch.bmm(R.reshape(p, r * i, o).transpose(1, 2), held)
        return second.permute(2, 1, 0).reshape(n, o * p)

    return run


def blocks_by_rows(leaves: Sequence[Tensor]) -> Run:
    """Two block-diagonal products with the batch as rows."""
    L, R = leaves

    def run(x: Tensor) -> Tensor:
        i, j, p, r = L.shape
        o, n = R.shape[3], x.shape[0]
        first = torch.bmm(x.view(n, i, j).transpose(0, 1), L.reshape(i, j, p * r))
        held = first.view(i, n, p, r).permute(2, 1, 3, 0).reshape(p, n, r * i)
        second = torch.bmm(held, R.reshape(p, r * i, o))
        return second.permute(1, 2, 0).reshape(n, o * p)

    return run


def blocks_mixed(leaves: Sequence[Tensor]) -> Run:
    """The first product with the batch as columns, the second with it as rows."""
    L, R = leaves

    def run(x: Tensor) -> Tensor:
        i, j, p, r = L.shape
        o, n = R.shape[3], x.shape[0]
        first = torch.bmm(L.reshape(i, j, p * r).transpose(1, 2), x.view(n, i, j).permute(1, 2, 0))
        held = first.view(i, p, r, n).permute(1, 3, 2, 0).reshape(p, n, r * i)
        second = torch.bmm(held, R.reshape(p, r * i, o))
        return second.permute(1, 2, 0).reshape(n, o * p)

    return run


def kronecker(leaves: Sequence[Tensor]) -> Run:
    """LoKr: x times the Kronecker product of a small matrix and one of low rank, unbuilt."""
    w, a, b = leaves

    def run(x: Tensor) -> Tensor:
        (i, o), (j, r) = w.shape, a.shape
        n = x.shape[0]
        thin = (x.view(n * i, j) @ a).view(n, i, r)
        mixed = torch.bmm(w.t().expand(n, -1, -1), thin)
        return (mixed.view(n * o, r) @ b).view(n, -1)

    return run


def kronecker_by_rows(leaves: Sequence[Tensor]) -> Run:
    """LoKr with the small matrix applied by `mm` on a permuted thin factor."""
    w, a, b = leaves

    def run(x: Tensor) -> Tensor:
        (i, o), (j, r) = w.shape, a.shape
        n = x.shape[0]
        thin = (x.view(n * i, j) @ a).view(n, i, r).transpose(1, 2).reshape(n * r, i)
        mixed = (thin @ w).view(n, r, o).transpose(1, 2).reshape(n * o, r)
        return (mixed @ b).view(n, -1)

    return run
