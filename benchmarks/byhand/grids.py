"""A tree classifier and a grid classifier (PEPS) by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.contract import Run


def bit_reversed(size: int) -> list[int]:
    """The numbers below a power of two, so that neighbors 2j and 2j + 1 stand half a list apart."""
    order = [0]
    while len(order) < size:
        order = [2 * j for j in order] + [2 * j + 1 for j in order]
    return order


def tree_levels(leaves: Sequence[Tensor], sites: int) -> list[Tensor]:
    """The nodes of each level as one matrix each, (nodes, left · right, up), bit-reversed."""
    held, levels = list(leaves[:-1]), []
    count = sites // 2
    while count:
        nodes = torch.stack([held[j] for j in bit_reversed(count)])
        levels.append(nodes.view(count, -1, nodes.shape[-1]))
        held, count = held[count:], count // 2
    return levels


def tree(leaves: Sequence[Tensor], sites: int, folded: bool = False) -> Run:
    """Level by level: the outer products of pairs, then one `bmm` for all nodes."""
    order = torch.tensor(bit_reversed(sites))
    kept = tree_levels(leaves, sites) if folded else None

    def run(x: Tensor) -> Tensor:
        state = x.transpose(0, 1).index_select(0, order)
        for nodes in kept or tree_levels(leaves, sites):
            left, right = state.view(2, nodes.shape[0], x.shape[0], -1).unbind(0)
            pairs = (left[..., :, None] * right[..., None, :]).flatten(2)
            state = torch.bmm(pairs, nodes)
        return state[0] @ leaves[-1]

    return run


def tree_without_pairs(leaves: Sequence[Tensor], sites: int) -> Run:
    """Level by level: one wide `bmm` with the left vectors, then one `bmm` a sample."""
    order = torch.tensor(bit_reversed(sites))

    def run(x: Tensor) -> Tensor:
        state = x.transpose(0, 1).index_select(0, order)
        n = x.shape[0]
        for nodes in tree_levels(leaves, sites):
            left, right = state.view(2, nodes.shape[0], n, -1).unbind(0)
            v = left.shape[-1]
            half = torch.bmm(left, nodes.view(nodes.shape[0], v, -1)).view(-1, v, nodes.shape[-1])
            state = torch.bmm(right.reshape(-1, 1, v), half).view(nodes.shape[0], n, -1)
        return state[0] @ leaves[-1]

    return run


def absorbed(state: Tensor, sites: Sequence[Tensor]) -> Tensor:
    """A boundary (n, legs of a row) after the next row, whose sites are (n, l, r, in, out)."""
    n = state.shape[0]
    held = state.view(n, sites[0].shape[3], -1)
    for k, site in enumerate(sites):
        _, l, r, u, d = site.shape
        wide = site.permute(0, 2, 4, 1, 3).reshape(n, r * d, l * u)
        below = sites[k + 1].shape[3] if k + 1 < len(sites) else 1
        moved = torch.bmm(wide, held).view(n, r, d, -1).transpose(2, 3)
        held = moved.reshape(n, r * below, -1)
    return held.view(n, -1)


def peps(leaves: Sequence[Tensor], rows: int, columns: int) -> Run:
    """From above and from below to the row with the label, site by site.

    A leaf is (p, left?, right?, up?, down?, label?) as declared, the label at the center.
    """
    middle, center = rows // 2, columns // 2

    def met(pixel: Tensor, leaf: Tensor, r: int, c: int) -> Tensor:
        """A site that has met its pixel: (n, left, right, up, down, label)."""
        present = (c > 0, c < columns - 1, r > 0, r < rows - 1, (r, c) == (middle, center))
        axes = iter(leaf.shape[1:])
        shape = [next(axes) if there else 1 for there in present]
        return (pixel @ leaf.reshape(leaf.shape[0], -1)).view(-1, *shape)

    def run(x: Tensor) -> Tensor:
        n = x.shape[0]
        pixels = x.view(n, rows * columns, -1).unbind(1)
        grid = [
            [met(pixels[k], leaves[k], *divmod(k, columns)) for k in range(start, start + columns)]
            for start in range(0, rows * columns, columns)
        ]
        above = below = x.new_ones(n, 1)
        for row in grid[:middle]:
            above = absorbed(above, [site.flatten(4) for site in row])
        for row in reversed(grid[middle:]):
            below = absorbed(below, [site.transpose(3, 4).flatten(4) for site in row])
        labels = grid[middle][center].shape[-1]
        tail = columns - 1 - center
        size = grid[middle][0].shape[3]
        held = below.view(n, -1, labels, size**tail).transpose(1, 2).reshape(n, labels, -1)
        return torch.bmm(held, above.view(n, -1, 1)).squeeze(-1)

    return run
