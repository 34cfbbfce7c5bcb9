"""How much of a weight its largest directions hold, as the metric sees it."""

from __future__ import annotations

import functools

import torch

from tncompile.network.model import TensorNetwork
from tncompile.spec import load
from tncompile.tensorizing.metric import seen
from tncompile.tensorizing.moments import Metric
from tncompile.tensorizing.posing import posed, whole_metric


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


def channel_tails(
    weight: torch.Tensor, metric: Metric | None
) -> tuple[float, list[float], list[float]]:
    """Of a convolution (out, in, kernel…): the whole, and `tails` of outputs and of inputs.

    For inputs the metric is taken as if places of the kernel were independent: its mean over them.
    """
    out, into = weight.shape[:2]
    flat = weight.reshape(out, -1)
    matrix = seen_weight(flat, metric)
    inputs = None if metric is None else metric.inputs
    if metric is not None and inputs is not None:
        places = flat.shape[1] // into
        split = inputs.reshape(into, places, into, places)
        inputs = torch.einsum("aibi->ab", split) / places
        heard = seen_weight(flat, Metric(None, metric.outputs, metric.damping))
        of_inputs = Metric(inputs, None, metric.damping)
    else:
        heard, of_inputs = matrix, Metric()
    columns = heard.reshape(out, into, -1).transpose(1, 2).reshape(-1, into)
    return (
        float(matrix.square().sum()),
        tails(matrix),
        tails(seen_weight(columns, of_inputs)),
    )
