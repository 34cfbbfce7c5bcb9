"""Tables of vectors in few parameters: heads, padding, bags."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional

from tests.acceptance.models.case import State, ids, real, train_matrix
from tests.std.case import Case

TABLE = "rows = [4, 5], columns = [3, 2], ranks = 3, words = 18"


def bags(g: Generator, count: int = 9, n: int = 4) -> tuple[Tensor, ...]:
    """Ids in bags, of which one is empty and one has nothing but padding."""
    offsets = torch.tensor([0, 2, 2, 6, 7][:n])
    drawn = ids(g, 18, count)
    drawn[:3] = 5
    return drawn, offsets, real(g, count)


def summed(s: State, drawn: Tensor, offsets: Tensor, weights: Tensor, padding: int) -> Tensor:
    table = train_matrix(s, "table")[:18]
    return functional.embedding_bag(
        drawn,
        table,
        offsets,
        mode="sum",
        per_sample_weights=weights,
        padding_idx=padding if padding >= 0 else None,
    )


CASES = [
    Case("tables", f"TTScores({TABLE})", lambda g, n=7: (real(g, 2, n, 6),),
         lambda s, x: x @ train_matrix(
             {f"table.{key}": s[key] for key in ("G.0", "G.1")}, "table")[:18].T, {"n": 3}),
    Case("tables", f"TTPaddedEmbedding({TABLE}, padding = 17)",
         lambda g, n=5: (torch.stack([ids(g, 18, n), torch.full((n,), 17)]),),
         lambda s, x: functional.embedding(x, train_matrix(s, "table")[:18]) * (x != 17)[..., None],
         {"n": 2}),
    Case("tables", f"TTEmbeddingBag({TABLE})", bags,
         lambda s, *x: summed(s, *x, padding=-1), {"count": 12, "n": 5}),
    Case("tables", f"TTEmbeddingBag({TABLE}, padding = 5)", bags,
         lambda s, *x: summed(s, *x, padding=5), {"count": 12, "n": 5}),
]  # fmt: skip
