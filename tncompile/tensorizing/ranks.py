"""The least ranks for an error, of networks without loops."""

from __future__ import annotations

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.metric import seen
from tncompile.tensorizing.moments import Metric
from tncompile.tensorizing.peeling import can_peel, peel
from tncompile.tensorizing.posing import posed, whole_metric


def least_ranks(
    network: TensorNetwork,
    weight: torch.Tensor,
    tolerance: float,
    metric: Metric | None,
    inputs: torch.Tensor | None,
    seed: int,
) -> dict[str, int] | None:
    """The size of each inner leg for a relative error of `tolerance`, shared between the cuts.

    They follow from singular values (Oseledets, "Tensor-Train Decomposition", 2011). None where
    that is not exact: with loops, frozen or shared tensors, or a metric that mixes the legs of
    several tensors. Inner legs of the network have size 2 or more.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is a relative error between 0 and 1, not {tolerance}")
    if any(parameter.frozen for parameter in network.parameters):
        return None
    problem, axes = posed(network, weight, {})
    metric = whole_metric(metric, inputs)
    if metric is not None:
        view = seen(problem, axes, metric, network.target)
        if not view.transformed:
            return None
        problem = view.problem
    if not can_peel(problem.product):
        return None
    peeled = peel(problem, torch.Generator().manual_seed(seed), tolerance)
    return peeled.ranks if peeled.loop_free else None
