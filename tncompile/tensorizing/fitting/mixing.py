"""A table whose frequent rows have more numbers than rare ones, in one basis of nested subspaces.

Rows are sorted by what they count: in the metric, how often they come times their squares. Those
that have the fewest numbers are best in the subspace of their largest singular vectors; those that
have some more, in what of the rest of the space is largest for them, and so on (low rank by
frequency: Chen, Si, Li, Chelba and Hsieh, "GroupReduce", 2018; Ginart and others, "Mixed Dimension
Embeddings", 2019, have a basis for each).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.fit import Effort, Progress, check_options
from tncompile.tensorizing.fitting.metric import leg_moments
from tncompile.tensorizing.fitting.products.posing import posed, whole_metric
from tncompile.tensorizing.fitting.result import Fit, Step
from tncompile.tensorizing.moments import Metric

if TYPE_CHECKING:
    from tncompile.models.graph.mixed import Mixed


SWEEPS = 3
"""How often vectors are exchanged between all blocks: from the second on little changes."""


def sorted_rows(seen: torch.Tensor) -> torch.Tensor:
    """The rows of a table (words, features) in the metric, those that count most first."""
    return seen.square().sum(1).argsort(descending=True, stable=True)


def nested(grams: Sequence[torch.Tensor], ranks: Sequence[int]) -> tuple[torch.Tensor, float]:
    """An orthonormal basis (features, ranks[-1]), and the squared error of all rows in it.

    `grams` are XᵀX (features, features) of groups of rows X, of which group k has the first
    `ranks[k]` vectors, ascending. It starts with what is best for each group, given the vectors of
    those before. Then vectors are exchanged between any two blocks of them, in the plane of both:
    what the first has more readers for goes there, so that the error falls at each exchange.
    """
    blocks: list[torch.Tensor] = []
    left = torch.eye(len(grams[0]), dtype=grams[0].dtype, device=grams[0].device)
    for gram, width in zip(grams, (ranks[0], *(b - a for a, b in pairwise(ranks))), strict=True):
        taken, left = _parted(gram, left, width)
        blocks.append(taken)
    blocks.append(left)  # which nobody reads
    for first, second in SWEEPS * list(combinations(range(len(blocks)), 2)):
        more = torch.stack(list(grams[first:second])).sum(0)  # of who reads the first alone
        both = torch.cat([blocks[first], blocks[second]], 1)
        blocks[first], blocks[second] = _parted(more, both, blocks[first].shape[1])
    lost = 0.0
    for number, gram in enumerate(grams):
        unread = torch.cat(blocks[number + 1 :], 1)
        lost += float(((gram @ unread) * unread).sum().clamp(min=0))
    return torch.cat(blocks[:-1], 1), lost


def _parted(
    gram: torch.Tensor, space: torch.Tensor, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """A space (features, n) in that of its `width` largest directions in a Gram, and the rest."""
    turned = space @ torch.linalg.eigh(space.mT @ gram @ space).eigenvectors  # ascending
    rest = space.shape[1] - width
    return turned[:, rest:].flip(1), turned[:, :rest]


@dataclass(frozen=True)
class SeenTable:
    """A table (words, features) in float64, and in a metric.

    `right` is the root of the moment of outputs (features, features), or None; `often` what each
    row counts (words,); `turned` the rows times the first, `seen` times both.
    """

    dense: torch.Tensor
    right: torch.Tensor | None
    often: torch.Tensor
    turned: torch.Tensor
    seen: torch.Tensor


def seen_table(network: TensorNetwork, weight: torch.Tensor, metric: Metric | None) -> SeenTable:
    """A table (words, features) as the metric of a network sees it.

    Raises ValueError for a metric whose `inputs` are no vector, and what fits of networks raise.
    """
    posing, axes = posed(network, weight, {})
    product = posing.product
    del posing  # and its copy of the weight
    dense = weight.detach().double()
    right, often = None, dense.new_ones(len(dense))
    if metric is not None:
        for root in leg_moments(product, axes, metric, network.target, dense.device):
            if root.side == "out":
                right = root.matrix.diag() if root.moment.dim() == 1 else root.matrix
            elif root.moment.dim() == 1:
                often = root.moment
            else:
                raise ValueError(
                    f"`inputs` of the metric of {network.target} are {len(dense)} numbers, how"
                    " often each row is read"
                )
    turned = dense if right is None else dense @ right
    return SeenTable(dense, right, often, turned, often.sqrt().unsqueeze(1) * turned)


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
    progress: Progress | None,
) -> Fit:
    """The fit of a table (words, features) of such a form.

    `network` is that of low rank with all numbers for all words. Raises ValueError for a metric
    whose `inputs` are no vector, and what fits of networks raise.
    """
    check_options(effort, seed, tolerance)
    if progress is not None:
        progress(0, 1)
    metric = whole_metric(metric, inputs)
    table = seen_table(network, weight, metric)
    dense, right, often = table.dense, table.right, table.often
    turned, seen = table.turned, table.seen
    order = sorted_rows(seen)
    ends = (form.words, *form.counts, 0)
    groups = (seen[order[few:many]] for many, few in pairwise(ends))
    vectors, _ = nested([each.mT @ each for each in groups], form.ranks)
    whole = float(seen.norm())
    del seen, table
    rows, basis = (turned @ vectors)[order], vectors.mT
    if right is not None:
        basis = torch.linalg.solve(right, basis, left=False)
    for count, rank in zip(form.counts, form.ranks, strict=False):
        rows[count:, rank:] = 0
    lost, size = dense.clone(), float(dense.norm())
    lost[order] -= rows @ basis
    error = float(lost.norm()) / size if size else 0.0
    metric_error = None
    if metric is not None:
        lost = (lost if right is None else lost @ right).mul_(often.sqrt().unsqueeze(1))
        metric_error = float(lost.norm()) / whole if whole else 0.0
    scale = (basis.norm(dim=1) / rows.norm(dim=0)).sqrt()  # both ends of a bond are as large
    scale = torch.where(scale.isfinite() & (scale > 0), scale, 1.0)
    rows, basis = rows * scale, basis / scale.unsqueeze(1)
    places = torch.empty_like(order)
    places[order] = torch.arange(form.words, device=order.device)
    cuts = (0, *form.ranks)
    base, *more = (rows[:, first:last] for first, last in pairwise(cuts))
    state = {form.places.path: places, form.base.path: base, form.basis.path: basis}
    for tensor, count, values in zip(form.more, form.counts, more, strict=True):
        state[tensor.path] = torch.cat([values[:count], values.new_zeros(1, values.shape[1])])
    found = {
        key: each if key == form.places.path else each.to(weight.dtype).contiguous()
        for key, each in state.items()
    }
    if progress is not None:
        progress(1, 1)
    reached = error if metric_error is None else metric_error
    return Fit(found, error, metric_error, None, (Step("peel", "peel", reached),), "peel")
