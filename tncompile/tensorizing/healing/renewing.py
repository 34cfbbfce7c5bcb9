"""A result of `tensorize` with other parameters: a copy to change, and its report measured anew."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from tncompile.model import Model
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.sharing import shared_metric
from tncompile.tensorizing.fitting.products.balancing import balanced
from tncompile.tensorizing.fitting.products.product import product_of, weight_axes
from tncompile.tensorizing.moments import squared
from tncompile.tensorizing.replacing.placing import Placed
from tncompile.tensorizing.replacing.tensorized import Tensorized


def renewed(done: Tensorized) -> Tensorized:
    """A copy that shares no parameter with it. Raises ValueError for what cannot be copied."""
    try:
        model, modules = deepcopy((done.model, [each.module for each in done._placed]))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ValueError(f"the model cannot be copied: {error}") from error
    placed = tuple(
        replace(each, module=module) for each, module in zip(done._placed, modules, strict=True)
    )
    return replace(done, model=model, _placed=placed)


def remeasured(done: Tensorized, model: nn.Module, moments: Moments | None) -> Tensorized:
    """The errors of the report as they are now, against the weights of the original model."""
    known = dict(model.named_modules(remove_duplicate=False))
    rows = []
    for row, placed in zip(done.report.rows, done._placed, strict=True):
        layer = placed.replacement.layer
        original = known.get(layer.name)
        if layer.module is None or original is None:
            rows.append(row)
            continue
        weight, now = (dense(placed, module) for module in (original, placed.module))
        lost, size = weight - now, float(weight.norm())
        metric_error = row.metric_error
        metric = shared_metric(moments, layer.weight_names, layer.kind)
        if metric is not None:
            seen, whole = (squared(each, metric) for each in (lost, weight))
            metric_error = (seen / whole) ** 0.5 if whole else 0.0
        error = float(lost.norm()) / size if size else 0.0
        rows.append(replace(row, error=error, metric_error=metric_error))
    return replace(done, report=replace(done.report, rows=tuple(rows)))


def balance(done: Tensorized) -> None:
    """Spread the size of each network evenly over its tensors, in place: the same maps."""
    for placed in done._placed:
        if isinstance(placed.architecture, Model):
            continue  # its gauge is fixed, or was spread by the fit
        network = placed.architecture.network
        values = dict(placed.network.named_parameters())
        if any(parameter.frozen or parameter.complex for parameter in network.parameters):
            continue  # what is frozen is no part of the balance
        try:
            product, _ = product_of(network, weight_axes(network), {}, torch.device("cpu"))
        except ValueError:
            continue
        if not set(product.keys) <= set(values):
            continue
        if not all(values[key].requires_grad for key in product.keys):
            continue
        with torch.no_grad():
            given = {key: values[key].detach().double().cpu() for key in product.keys}
            for key, value in balanced(product, given).items():
                values[key].copy_(value.reshape(values[key].shape))


def dense(placed: Placed, module: nn.Module) -> torch.Tensor:
    """The weight of a layer, or of the network in its place, (out, in) in float64.

    Of an embedding it is (features, ids), as a matrix of its metric is.
    """
    with torch.no_grad():
        weight: torch.Tensor = module.weight.detach().double()  # type: ignore[operator]
    kind = placed.replacement.layer.kind
    transposed = kind == "embedding" or (
        kind == "conv1d" and tuple(weight.shape) == placed.replacement.layer.shape
        and module is not placed.module
    )  # fmt: skip
    return weight.mT if transposed else weight.flatten(1)
