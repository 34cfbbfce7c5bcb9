"""A matrix product state classifier by hand: stacked once, merged in bit-reversed order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.contract import Run

GROUP = 4
"""Sites whose cores are merged before they meet the input."""


def segments(half: int, levels: int) -> list[int]:
    """Where the groups of a half go: those merged on the next levels stand a half stack apart."""
    groups = half // GROUP
    size = 2**levels
    order = [0]
    for _ in range(levels):
        order = [2 * j for j in order] + [2 * j + 1 for j in order]
    return [size * s + j for j in order for s in range(groups // size)]


def merged_cores(cores: Sequence[Tensor], half: int, order: Sequence[int]) -> Tensor:
    """Groups of four cores, input first: (slot, half, p⁴, r·r); the right half runs mirrored."""
    rank = cores[1].shape[0]
    first = pad(cores[0].unsqueeze(0), (0, 0, 0, 0, 0, rank - 1))
    last = pad(cores[-1].unsqueeze(-1), (0, rank - 1))
    sites = [first, *cores[1:-1], last]
    groups = half // GROUP
    starts = [s for k in order for s in (GROUP * k, 2 * half - GROUP * (k + 1))]
    stack = torch.stack([sites[s + j] for j in (0, 2, 1, 3) for s in starts])
    p = stack.shape[2]
    a, b = stack.view(2, -1, rank, p, rank)
    pairs = torch.bmm(a.reshape(-1, rank * p, rank), b.reshape(-1, rank, p * rank))
    a, b = pairs.view(2, -1, rank, p * p, rank)
    four = torch.bmm(a.reshape(-1, rank * p**2, rank), b.reshape(-1, rank, p**2 * rank))
    four = four.view(groups, 2, rank, p**4, rank)
    left, right = four[:, 0].transpose(1, 2), four[:, 1].permute(0, 2, 3, 1)
    return torch.stack([left, right], dim=1).view(groups, 2, p**4, rank * rank)


def products(x: Tensor, half: int, order: Sequence[int]) -> Tensor:
    """The products of the features of each group of four sites: (slot, half, n, p⁴)."""
    n, _, p = x.shape
    groups = x.view(n, 2 * half // GROUP, GROUP, p)
    total = 2 * half // GROUP
    index = torch.tensor([g for k in order for g in (k, total - 1 - k)])
    u = groups.transpose(0, 1).index_select(0, index)
    left = (u[:, :, 0, :, None] * u[:, :, 1, None, :]).view(-1, n, p * p)
    right = (u[:, :, 2, :, None] * u[:, :, 3, None, :]).view(-1, n, p * p)
    return (left[..., :, None] * right[..., None, :]).view(-1, n, p**4)


def chain(leaves: Sequence[Tensor], levels: int, folded: bool = False) -> Run:
    """Merge parameters twice, form transfer matrices, merge `levels` more, then run in lockstep.

    The leaves are the cores of the left half, the label (a, label, d), the cores of the right one.
    """
    half = (len(leaves) - 1) // 2
    cores, label = [*leaves[:half], *leaves[half + 1 :]], leaves[half]
    order = segments(half, levels)
    kept = merged_cores(cores, half, order) if folded else None

    def run(x: Tensor) -> Tensor:
        W = merged_cores(cores, half, order) if kept is None else kept
        n, rank = x.shape[0], label.shape[0]
        f = products(x, half, order)
        T = torch.bmm(f, W.view(f.shape[0], -1, rank * rank)).view(-1, rank, rank)
        for _ in range(levels):
            a, b = T.view(2, -1, rank, rank).unbind(0)
            T = torch.bmm(a, b)
        first, *others = T.view(-1, 2 * n, rank, rank).unbind(0)
        v = first[:, :1]
        for matrix in others:
            v = torch.bmm(v, matrix)
        left, right = v.view(2, n, rank).unbind(0)
        ends = (left @ label.view(rank, -1)).view(n, -1, rank)
        return torch.bmm(ends, right.unsqueeze(-1)).squeeze(-1)

    return run
