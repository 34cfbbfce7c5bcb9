"""From what a user gives to a problem: a network, its weight, a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.products.product import WeightAxis, product_of, weight_axes
from tncompile.tensorizing.fitting.products.target import Problem, arranged, problem_of
from tncompile.tensorizing.moments import Metric


def posed(
    network: TensorNetwork, weight: torch.Tensor, frozen: Mapping[str, torch.Tensor]
) -> tuple[Problem, tuple[WeightAxis, ...]]:
    """The problem in the Frobenius norm, and the axes of the weight; what is wrong is raised."""
    axes = weight_axes(network)
    found = arranged(weight, axes, network.target)
    if found.is_complex() and not network.complex:
        raise ValueError(f"the weight is complex, and {network.target} has no complex tensor")
    product, axes = product_of(network, axes, frozen, found.device)
    if not product.free:
        raise ValueError(f"all tensors of {network.target} are frozen: there is nothing to fit")
    return problem_of(product, axes, found), axes


def whole_metric(metric: Metric | None, inputs: torch.Tensor | None) -> Metric | None:
    """The metric with the moments of samples of inputs; None where it is the plain norm."""
    if metric is not None and not isinstance(metric, Metric):
        raise TypeError(f"metric is a tncompile.Metric, not {type(metric).__name__}")
    if inputs is not None and not isinstance(inputs, torch.Tensor):
        raise TypeError(f"inputs are a torch.Tensor, not {type(inputs).__name__}")
    if inputs is not None:
        if metric is not None and (metric.inputs is not None or metric.axes):
            raise ValueError("inputs are given twice: by `inputs`, and by the metric")
        metric = replace(metric or Metric(), inputs=Metric.of_samples(inputs).inputs)
    if metric is None or metric._is_plain:
        return None
    return metric
