"""What calibration adds up of one layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.tensorizing.calibrating.layers import Layer

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LayerSums:
    """Sums over all rows that a layer was applied to and that the output depends on.

    With x a row of its inputs and g the gradient at its output:

    inputs   Σ |g|² x xᵀ, (in, in); of an embedding Σ |g|² of each id, (words,); (0, 0) with `axes`
    outputs  Σ g gᵀ, (out, out); its trace is Σ |g|²
    rows     how many there were; of an embedding how many of each id, (words,)
    axes     of a large convolution, in place of `inputs`: the same for each axis by itself
             (channels, then the kernel's), summed over the others, (size, size)
    """

    layer: Layer
    inputs: torch.Tensor
    outputs: torch.Tensor
    rows: torch.Tensor
    axes: tuple[torch.Tensor, ...] = ()

    def to(self, device: torch.device, dtype: torch.dtype) -> LayerSums:
        """Elsewhere, and of another precision; counts stay float64."""
        inputs, outputs, *axes = (
            each.to(device, dtype) for each in (self.inputs, self.outputs, *self.axes)
        )
        return LayerSums(self.layer, inputs, outputs, self.rows.to(device), tuple(axes))

    def __add__(self, other: LayerSums) -> LayerSums:
        """Sums over both."""
        return LayerSums(
            self.layer,
            self.inputs + other.inputs.to(self.inputs),
            self.outputs + other.outputs.to(self.outputs),
            self.rows + other.rows.to(self.rows),
            tuple(a + b.to(a) for a, b in zip(self.axes, other.axes, strict=True)),
        )
