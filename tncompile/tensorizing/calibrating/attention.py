"""The projection of torch's attention, whose weight is read and which is never called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.layers import dense_class


@contextmanager
def called_projections(model: nn.Module, layers: Iterable[nn.Module]) -> Iterator[None]:
    """While the body runs, nn.MultiheadAttention calls its `out_proj`, where `layers` have it.

    It multiplies by the identity instead, which is exact, and what comes of it is handed to the
    projection. So hooks of the projection see it. Encoders of torch leave their fast path, which
    calls no layers at all, because the identity requires a gradient.
    """
    watched = set(map(id, layers))
    kept: list[tuple[nn.Module, nn.Linear]] = []
    for module in model.modules():
        if dense_class(module) is nn.MultiheadAttention:
            found = module.out_proj
            if isinstance(found, nn.Linear) and id(found) in watched:
                kept.append((module, found))
    handles = []
    try:
        for module, projection in kept:

            def project(
                module: nn.Module,
                args: tuple[Any, ...],
                output: tuple[torch.Tensor, torch.Tensor | None],
                projection: nn.Module = projection,
            ) -> tuple[torch.Tensor, torch.Tensor | None]:
                return projection(output[0]), output[1]

            module._modules["out_proj"] = _identity_like(projection)
            handles.append(module.register_forward_hook(project))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, projection in kept:
            module._modules["out_proj"] = projection


def _identity_like(projection: nn.Linear) -> nn.Linear:
    size, weight = projection.in_features, projection.weight
    made = nn.Linear(size, size, device="meta")
    made.weight = nn.Parameter(torch.eye(size, dtype=weight.dtype, device=weight.device))
    made.bias = nn.Parameter(weight.new_zeros(size))
    return made
