"""Chunks of a batch, and what stays in cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

CACHE = 2 << 20
"""Bytes that a temporary may have and still be found in the second-level cache."""


def rows_in_cache(elements: int, cache: int = CACHE) -> int:
    """How many rows of so many elements, four bytes each, make one chunk."""
    return max(1, cache // (4 * elements))


def spans(batch: int, rows: int) -> Iterator[tuple[int, int]]:
    """The beginnings and ends of the chunks of a batch."""
    return ((start, min(start + rows, batch)) for start in range(0, batch, rows))


def by_chunks(step: Callable[[Tensor], Tensor], x: Tensor, rows: int) -> Tensor:
    """`step` on chunks of the rows of `x`, with gradients."""
    if x.shape[0] <= rows:
        return step(x)
    return torch.cat([step(chunk) for chunk in torch.split(x, rows)])
