"""How far the outputs of two models are apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

MOST = 1024
"""Rows whose similarities with each other are compared."""


def distance(
    ours: torch.Tensor,
    theirs: torch.Tensor,
    our_layers: Sequence[torch.Tensor] = (),
    their_layers: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """4 (1 − cosine) + 10 · mean square of what differs in similarities + ½ · relative square.

    Rows are all axes but the last (…, features). Similarities are the cosines between the rows of a
    batch (Tung and Mori, "Similarity-Preserving Knowledge Distillation", 2019), of 1,024 rows at
    most; the last term is the mean over the output and the layers that are compared.
    """
    rows, wanted = (normalize(_rows(each), dim=1) for each in (ours, theirs))
    found = 4 * (1 - (rows * wanted).sum(1)).mean()
    rows, wanted = rows[:MOST], wanted[:MOST]
    found = found + 10 * (rows @ rows.mT - wanted @ wanted.mT).square().mean()
    pairs = [(ours, theirs), *zip(our_layers, their_layers, strict=True)]
    return found + sum(relative(a, b) for a, b in pairs) / (2 * len(pairs))


def relative(ours: torch.Tensor, theirs: torch.Tensor) -> torch.Tensor:
    """The mean square of the difference in units of that of the second."""
    wanted = theirs.float()
    smallest = torch.finfo(torch.float32).tiny
    return (ours.float() - wanted).square().mean() / wanted.square().mean().clamp(min=smallest)


def _rows(tensor: torch.Tensor) -> torch.Tensor:
    """(rows, features) in float32 at least."""
    wide = tensor if tensor.dtype == torch.float64 else tensor.float()
    return wide.reshape(1, -1) if wide.dim() < 2 else wide.flatten(0, -2)
