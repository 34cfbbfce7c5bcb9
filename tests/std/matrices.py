"""Linear maps that are models."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.acceptance.models.case import State, real
from tests.std.case import Case


def chosen(s: State, x: Tensor, whole: bool = False) -> Tensor:
    """The columns of a weight that are chosen, and the others as sums of them."""
    columns = s["columns"]
    if not whole:
        columns = torch.cat([columns, s["rest"] @ columns])
    weight = torch.zeros_like(columns)
    weight[s["order"]] = columns
    return x @ weight + s["c"]


CASES: list[Case] = [
    Case("linear", "Interpolative(12, 10, rank = 4)", lambda g: (real(g, 3, 12),), chosen,
         frozen=("order",)),
    Case("linear", "Interpolative(6, 10, rank = 6)", lambda g: (real(g, 3, 6),),
         lambda s, x: chosen(s, x, whole=True)),
]  # fmt: skip
