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

    inputs   Σ |g|² x xᵀ, (in, in); of an embedding Σ |g|² of each id, (words,)
    outputs  Σ g gᵀ, (out, out); its trace is Σ |g|²
    rows     how many there were; of an embedding how many of each id, (words,)
    """

    layer: Layer
    inputs: torch.Tensor
    outputs: torch.Tensor
    rows: torch.Tensor

    def __add__(self, other: LayerSums) -> LayerSums:
        """Sums over both."""
        return LayerSums(
            self.layer,
            self.inputs + other.inputs.to(self.inputs),
            self.outputs + other.outputs.to(self.outputs),
            self.rows + other.rows.to(self.rows),
        )
