"""How much of a weight its largest directions hold, as the metric sees it."""

from __future__ import annotations

import functools

import torch

from tncompile.network.model import TensorNetwork
from tncompile.spec import load
from tncompile.tensorizing.fitting.metric import seen
from tncompile.tensorizing.fitting.products.posing import posed, whole_metric
from tncompile.tensorizing.moments import Metric


def seen_weight(weight: torch.Tensor, metric: Metric | None) -> torch.Tensor:
    """G^½ W A^½ of a weight (out, in), damped, in float64; up to rotations of both sides."""
    problem, axes = posed(_matrix(*weight.shape), weight, {})
    metric = whole_metric(metric, None)
    if metric is not None:
        problem = seen(problem, axes, metric, "the weight").problem
    target: torch.Tensor = problem.target.reshape(weight.shape)
    return target


@functools.cache
def _matrix(out: int, into: int) -> TensorNetwork:
    """A network for which a metric is a change of variables."""
    library = load("std/linear.tn")
    made = library.instantiate(
        "LowRank", in_features=into, out_features=out, rank=1, with_bias=False
    )
    return made.network


def tails(matrix: torch.Tensor) -> list[float]:
    """Σ s² of the singular values beyond the first r, for r from 0 to their number.

    From the Gram matrix of the smaller side: exact to 1e-16 of the whole, which is enough to choose
    by, in a fraction of the time.
    """
    rows, columns = matrix.shape
    gram = matrix @ matrix.mT if rows <= columns else matrix.mT @ matrix
    squares = torch.linalg.eigvalsh(gram).clamp(min=0)  # from the smallest on
    sums = torch.cat([squares.new_zeros(1), squares.cumsum(0)])
    return [float(each) for each in sums.flip(0)]
