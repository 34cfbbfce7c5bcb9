"""Linear maps that are models."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.acceptance.models.case import State, real
from tests.std.case import Case


def chosen(s: State, x: Tensor) -> Tensor:
    """The columns of a weight that are chosen, and the others as sums of them."""
    columns = torch.cat([s["columns"], s["rest"] @ s["columns"]]) if "rest" in s else s["columns"]
    weight = torch.zeros_like(columns)
    weight[s["order"]] = columns
    return x @ weight + s["c"]


CASES: list[Case] = [
    Case("linear", "Interpolative(12, 10, rank = 4)", lambda g: (real(g, 3, 12),), chosen,
         frozen=("order",)),
    Case("linear", "Interpolative(6, 10, rank = 6)", lambda g: (real(g, 3, 6),), chosen),
]  # fmt: skip
