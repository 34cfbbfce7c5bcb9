"""A tensor-train embedding by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from benchmarks.byhand.chunks import rows_in_cache, spans
from benchmarks.byhand.trains import cores, merge
from benchmarks.contract import Run


def digits(ids: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    """The digits of ids, the first one most significant."""
    held: list[Tensor] = []
    for size in reversed(sizes):
        held.append(ids % size)
        ids = ids // size
    return held[::-1]


def lookup(leaves: Sequence[Tensor]) -> Run:
    """Every core looked up by its digit, multiplied left to right, chunk by chunk."""
    chain = cores(leaves)
    tables = [core.transpose(0, 1) for core in chain]

    def step(found: Sequence[Tensor]) -> Tensor:
        state, *others = found
        n = state.shape[0]
        state = state.reshape(n, -1, state.shape[-1])
        for core in others:
            b, o, c = core.shape[1:]
            state = torch.bmm(state, core.reshape(n, b, o * c)).view(n, -1, c)
        return state.view(n, -1)

    def run(ids: Tensor) -> Tensor:
        held = digits(ids, [table.shape[0] for table in tables])
        rows = rows_in_cache(sum(table[0].numel() for table in tables))
        made = [
            step([t.index_select(0, d[a:b]) for t, d in zip(tables, held, strict=True)])
            for a, b in spans(ids.shape[0], rows)
        ]
        return torch.cat(made) if len(made) > 1 else made[0]

    return run


def paired(leaves: Sequence[Tensor], split: int, folded: bool = False) -> Run:
    """The cores left and right of `split` merged for all ids first: two look-ups and one `bmm`."""
    chain = cores(leaves)

    def tables() -> tuple[Tensor, Tensor]:
        left, right = merge(chain[:split])[0], merge(chain[split:])[..., 0]
        return left.contiguous(), right.transpose(0, 1).contiguous()

    kept = tables() if folded else None

    def run(ids: Tensor) -> Tensor:
        left, right = kept or tables()
        high, low = digits(ids, (left.shape[0], right.shape[0]))
        rows = rows_in_cache(left[0].numel() + right[0].numel())
        made = [
            torch.bmm(left.index_select(0, high[a:b]), right.index_select(0, low[a:b])).flatten(1)
            for a, b in spans(ids.shape[0], rows)
        ]
        return torch.cat(made) if len(made) > 1 else made[0]

    return run
