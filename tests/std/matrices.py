"""Linear maps and tables that are models."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.acceptance.models.case import State, ids, real
from tests.std.case import Case


def chosen(s: State, x: Tensor, whole: bool = False) -> Tensor:
    """The columns of a weight that are chosen, and the others as sums of them."""
    columns = s["columns"]
    if not whole:
        columns = torch.cat([columns, s["rest"] @ columns])
    weight = torch.zeros_like(columns)
    weight[s["order"]] = columns
    return x @ weight + s["c"]


def mixed(s: State, drawn: Tensor) -> Tensor:
    """Rows that are wider the nearer they stand to the front."""
    more = [
        torch.cat([each, each[-1:].expand(18 - len(each), -1)])
        for each in (s["more.0"], s["more.1"])
    ]
    rows = torch.cat([s["base"], *more], 1)
    return functional.embedding(s["places"][drawn], rows) @ s["basis"]


CASES: list[Case] = [
    Case("embedding", "MixedEmbedding(18, 6, counts = [8, 3], ranks = [2, 4, 5])",
         lambda g, n=5: (ids(g, 18, 2, n),), mixed, {"n": 3}, frozen=("places",)),
    Case("linear", "Interpolative(12, 10, rank = 4)", lambda g: (real(g, 3, 12),), chosen,
         frozen=("order",)),
    Case("linear", "Interpolative(6, 10, rank = 6)", lambda g: (real(g, 3, 6),),
         lambda s, x: chosen(s, x, whole=True)),
]  # fmt: skip
