"""How much each row of each layer counts for the output: squared gradients, of one pass a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import undisturbed
from tncompile.tensorizing.calibrating.layers import Layer
from tncompile.tensorizing.calibrating.patches import moment_of
from tncompile.tensorizing.calibrating.running import Accumulators, one_batch, watching

Weights = dict[tuple[str, int], list[torch.Tensor]]
"""For a layer and the number of a batch: |g|² of the rows of each call, (groups, rows)."""


@dataclass
class Counted:
    """What rows count, and the second moment of gradients at the output of each layer."""

    rows: Weights = field(default_factory=dict)
    outputs: dict[str, torch.Tensor] = field(default_factory=dict)


class _Rows(Accumulators):
    """Keeps the sizes of gradients row by row in place of second moments of inputs."""

    def __init__(self) -> None:
        super().__init__(torch.float64, None)
        self.counted = Counted()
        self._broken = ""

    def add(self, name: str, module: nn.Module, layer: Layer, x: Any, gradient: Any) -> None:
        """A call of a layer; calls come last first."""
        groups = layer.groups
        if layer.kind == "conv":
            axes = len(module.kernel_size)  # type: ignore[arg-type]
            g = gradient.unsqueeze(0) if gradient.dim() == axes + 1 else gradient
            g = g.reshape(len(g), groups, layer.outputs // groups, -1).permute(1, 0, 3, 2)
        else:
            g = gradient
        g = g.reshape(groups, -1, layer.outputs // groups)
        g = g.to(torch.promote_types(gradient.dtype, torch.float32))
        squares = g.square().sum(2)
        if not bool(torch.isfinite(squares).all()):
            self._broken = name
        self.counted.rows.setdefault((name, self.batches), []).insert(0, squares)
        rows = g.transpose(0, 1).reshape(-1, layer.outputs)
        sums = self.counted.outputs.get(name)
        product = moment_of(rows, layer).double()
        self.counted.outputs[name] = product if sums is None else sums.add_(product)

    def require_finite(self) -> None:
        """Raise ValueError where a gradient is not finite."""
        if self._broken:
            where = self._broken
            raise ValueError(f"batch {self.batches + 1}: gradients of {where} are not finite")


def counted(
    model: nn.Module,
    layers: Mapping[str, tuple[nn.Module, Layer]],
    batches: Sequence[object],
    output: Callable[[nn.Module, Any], torch.Tensor] | None,
    seed: int,
) -> Counted:
    """What the rows of all batches count. Raises ValueError where no gradient is found."""
    rows = _Rows()
    with undisturbed(model), watching(layers, rows) as anchor:
        for batch in batches:
            one_batch(model, batch, output, seed, rows, anchor)
    return rows.counted
