"""Adapters added into the weight of their layer, and taken out again to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from typing import cast

import torch
from torch import nn

from tncompile.tensorizing.adapting.hosts import NARROW, host_of
from tncompile.tensorizing.adapting.layers import AdaptedLayer, AdaptedTable, detach
from tncompile.tensorizing.adapting.targets import modules_of
from tncompile.tensorizing.rewriting.rewrite import shown


def adapted_layers(model: nn.Module, name: str) -> Iterator[tuple[str, AdaptedLayer]]:
    """The layers that have an adapter of this name, by their first name."""
    for module, names in modules_of(model).values():
        if isinstance(module, AdaptedLayer) and name in module._adapters:
            yield names[0], module


def difference(layer: str, module: AdaptedLayer, name: str) -> torch.Tensor:
    """What an adapter adds to the weight, in the layout of torch, (out, in), float32 or wider.

    The row of padding of an embedding is zeros. Raises ValueError for what is not finite.
    """
    network = module.adapter[name]
    if next(network.parameters()).dtype in NARROW:
        network = deepcopy(network).float()
    with torch.no_grad():
        added = cast(torch.Tensor, network.weight).detach() * module._adapters[name].scale
        if isinstance(module, AdaptedTable) and module.padding_idx is not None:
            added[module.padding_idx] = 0
    if not torch.isfinite(added).all():
        raise ValueError(f"{shown(layer)}: the adapter {name!r} is not finite")
    return added


def require_dense(layer: str, module: nn.Module) -> None:
    """ValueError for a layer without a weight of floating numbers, as quantized ones are."""
    weight = module._parameters.get("weight")
    if weight is None or not weight.is_floating_point():
        words = "has no dense weight of floating numbers that an adapter could be added to"
        raise ValueError(f"{shown(layer)}: {type(module).__name__} {words}")


def set_merged(layer: str, module: AdaptedLayer, names: tuple[str, ...]) -> None:
    """The weight as it was with these adapters in it; computed in float32 at least, rounded once.

    The parameter itself is put aside and not changed: others may hold it. Raises ValueError where
    what is added is not finite.
    """
    current = module._parameters["weight"]
    assert current is not None
    original = following(module._unmerged, current) if module._unmerged is not None else current
    if not names:
        module._parameters["weight"] = original
        vars(module).pop("_unmerged", None)
        vars(module).pop("_merged", None)
        return
    merged = _sum(layer, module, original, names)
    vars(module).update(_unmerged=original, _merged=names)
    module._parameters["weight"] = nn.Parameter(merged, requires_grad=False)


def merge_for_good(layer: str, module: AdaptedLayer, name: str) -> None:
    """The weight with an adapter in it takes the place of the weight, and the adapter is gone."""
    others = tuple(each for each in module._merged if each != name)
    current = module._parameters["weight"]
    assert current is not None
    original = following(module._unmerged, current) if module._unmerged is not None else current
    merged = nn.Parameter(_sum(layer, module, original, (name,)), requires_grad=False)
    module._parameters["weight"] = merged
    vars(module).pop("_unmerged", None)
    vars(module).pop("_merged", None)
    if others:
        set_merged(layer, module, others)
    detach(module, name)


def _sum(
    layer: str, module: AdaptedLayer, original: nn.Parameter, names: tuple[str, ...]
) -> torch.Tensor:
    host = host_of(module)
    wide = torch.promote_types(original.dtype, torch.float32)
    total = original.detach().to(wide, copy=True)
    for name in names:
        added = difference(layer, module, name)
        total += (added.mT if host is not None and host.transposed else added).to(total)
    return total.to(original.dtype)


def following(kept: nn.Parameter, current: torch.Tensor) -> nn.Parameter:
    """What was put aside, where and in the dtype that the model has been moved to since."""
    if kept.device == current.device and kept.dtype == current.dtype:
        return kept
    return nn.Parameter(kept.detach().to(current.device, current.dtype), kept.requires_grad)
