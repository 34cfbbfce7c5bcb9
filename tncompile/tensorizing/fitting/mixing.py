"""A table whose frequent rows have more numbers than rare ones, in one basis of nested subspaces.

Rows are sorted by what they count: in the metric, how often they come times their squares. Those
that have the fewest numbers are best in the subspace of their largest singular vectors; those that
have some more, in what of the rest of the space is largest for them, and so on (low rank by
frequency: Chen, Si, Li, Chelba and Hsieh, "GroupReduce", 2018; Ginart and others, "Mixed Dimension
Embeddings", 2019, have a basis for each).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.fit import Effort, check_options
from tncompile.tensorizing.fitting.metric import leg_moments
from tncompile.tensorizing.fitting.products.posing import posed, whole_metric
from tncompile.tensorizing.fitting.result import Fit, Step
from tncompile.tensorizing.moments import Metric

if TYPE_CHECKING:
    from tncompile.models.graph.mixed import Mixed


def sorted_rows(seen: torch.Tensor) -> torch.Tensor:
    """The rows of a table (words, features) in the metric, those that count most first."""
    return seen.square().sum(1).argsort(descending=True, stable=True)


def nested(grams: Sequence[torch.Tensor], ranks: Sequence[int]) -> tuple[torch.Tensor, float]:
    """An orthonormal basis (features, ranks[-1]), and the squared error of all rows in it.

    `grams` are XᵀX (features, features) of groups of rows X, of which group k has the first
    `ranks[k]` vectors, ascending. Each step is the best one for its group, given those before.
    """
    features = len(grams[0])
    left = torch.eye(features, dtype=grams[0].dtype, device=grams[0].device)
    found = left[:, :0]
    lost = 0.0
    for gram, rank in zip(grams, ranks, strict=True):
        values, vectors = torch.linalg.eigh(left.mT @ gram @ left)  # ascending
        rest = left.shape[1] - (rank - found.shape[1])
        lost += float(values[:rest].clamp(min=0).sum())
        turned = left @ vectors
        found, left = torch.cat([found, turned[:, rest:].flip(1)], 1), turned[:, :rest]
    return found, lost


def fit_mixed(
    network: TensorNetwork,
    form: Mixed,
    weight: torch.Tensor,
    *,
    metric: Metric | None,
    inputs: torch.Tensor | None,
    tolerance: float | None,
    seed: int,
    effort: Effort,
) -> Fit:
    """The fit of a table (words, features) of such a form.

    `network` is that of low rank with all numbers for all words. Raises ValueError for a metric
    whose `inputs` are no vector, and what fits of networks raise.
    """
    check_options(effort, seed, tolerance)
    plain, axes = posed(network, weight, {})
    metric = whole_metric(metric, inputs)
    dense = weight.detach().double().reshape(form.words, form.features)
    heard, often = None, dense.new_ones(form.words)
    if metric is not None:
        for root in leg_moments(plain.product, axes, metric, network.target, dense.device):
            if root.side == "out":
                heard = root
            elif root.moment.dim() == 1:
                often = root.moment
            else:
                raise ValueError(
                    f"`inputs` of the metric of {network.target} are {form.words} numbers, how"
                    " often each row is read"
                )
    turned = dense
    if heard is not None:
        right = heard.matrix.diag() if heard.moment.dim() == 1 else heard.matrix
        turned = dense @ right
    seen = often.sqrt().unsqueeze(1) * turned
    order = sorted_rows(seen)
    ends = (form.words, *form.counts, 0)
    groups = [seen[order[few:many]] for many, few in pairwise(ends)]
    vectors, _ = nested([each.mT @ each for each in groups], form.ranks)
    rows, basis = (turned @ vectors)[order], vectors.mT
    if heard is not None:
        basis = torch.linalg.solve(right, basis, left=False)
    for count, rank in zip(form.counts, form.ranks, strict=False):
        rows[count:, rank:] = 0
    near = torch.empty_like(dense)
    near[order] = rows @ basis
    lost, size = dense - near, float(dense.norm())
    error = float(lost.norm()) / size if size else 0.0
    metric_error = None
    if metric is not None:
        lost = often.sqrt().unsqueeze(1) * (lost if heard is None else lost @ right)
        whole = float(seen.norm())
        metric_error = float(lost.norm()) / whole if whole else 0.0
    scale = float((basis.norm() / rows.norm()).sqrt()) if size else 1.0
    places = torch.empty_like(order)
    places[order] = torch.arange(form.words, device=order.device)
    cuts = (0, *form.ranks)
    base, *more = (rows[:, first:last] * scale for first, last in pairwise(cuts))
    state = {form.places.path: places, form.base.path: base, form.basis.path: basis / scale}
    for tensor, count, values in zip(form.more, form.counts, more, strict=True):
        state[tensor.path] = torch.cat([values[:count], values.new_zeros(1, values.shape[1])])
    found = {
        key: each if key == form.places.path else each.to(weight.dtype).contiguous()
        for key, each in state.items()
    }
    reached = error if metric_error is None else metric_error
    return Fit(found, error, metric_error, None, (Step("peel", "peel", reached),), "peel")
