"""What calibration adds up of one layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tncompile.tensorizing.calibrating.calls import Call, counted
from tncompile.tensorizing.calibrating.layers import Layer
from tncompile.tensorizing.moments import Metric

if TYPE_CHECKING:
    import torch


SMALLEST = 1e-30
"""Sums that are smaller are those of products in float32 that have lost their digits, and need not
be positive definite: activations that vanish, as those of deep random models do."""


@dataclass(frozen=True)
class LayerSums:
    """Sums over all rows that a layer was applied to and that the output depends on.

    With x a row of its inputs and g the gradient at its output:

    inputs   Σ |g|² x xᵀ, (in, in); of an embedding Σ |g|² of each id, (words,); (0, 0) with `axes`
    outputs  Σ g gᵀ, (out, out); its trace is Σ |g|²; of more than 16,384 outputs the diagonal
    rows     how many there were; of an embedding how many of each id, (words,)
    axes     of a large convolution, in place of `inputs`: the same for each axis by itself
             (channels, then the kernel's), summed over the others, (size, size)
    calls    how often the layer was given as many rows of these lengths; see `calls`
    """

    layer: Layer
    inputs: torch.Tensor
    outputs: torch.Tensor
    rows: torch.Tensor
    axes: tuple[torch.Tensor, ...] = ()
    calls: Mapping[Call, int] = field(default_factory=dict)

    @property
    def heard(self) -> torch.Tensor:
        """Σ g² of each output, (out,)."""
        return self.outputs if self.outputs.dim() == 1 else self.outputs.diagonal()

    @property
    def squares(self) -> torch.Tensor:
        """Σ |g|²."""
        return self.heard.sum()

    @property
    def silent(self) -> bool:
        """Whether the output does not depend on the weight: nothing comes in, or is heard."""
        known = (self.outputs, *(self.axes or (self.inputs,)))
        return not all(float(each.abs().max()) > SMALLEST for each in known)

    def metric(
        self, samples: int, rows: Literal["frequency", "gradients"], damping: float
    ) -> Metric:
        """What an error of the weight counts, with so many samples; see `Moments.metric`.

        All entries count alike where the output does not depend on them.
        """
        import torch

        if self.layer.kind == "embedding" and rows == "frequency":
            return Metric(self.rows / self.rows.sum() if self.rows.any() else None, None, damping)
        if self.silent:
            return Metric(None, None, damping)
        outputs, whole = self.outputs / samples, self.squares
        if self.layer.groups > 1 and outputs.dim() == 2:
            group = torch.arange(self.layer.groups, device=outputs.device)
            group = group.repeat_interleave(self.layer.outputs // self.layer.groups)
            outputs = outputs * (group.unsqueeze(0) == group.unsqueeze(1))
        if self.axes:  # each has the trace of the moment of all
            first, *others = self.axes
            axes = (first / whole, *(each / each.trace() for each in others))
            return Metric(None, outputs, damping, axes)
        return Metric(self.inputs / whole, outputs, damping)

    def to(self, device: torch.device, dtype: torch.dtype) -> LayerSums:
        """Elsewhere, and of another precision; counts stay float64."""
        inputs, outputs, *axes = (
            each.to(device, dtype) for each in (self.inputs, self.outputs, *self.axes)
        )
        rows = self.rows.to(device)
        return LayerSums(self.layer, inputs, outputs, rows, tuple(axes), self.calls)

    def __add__(self, other: LayerSums) -> LayerSums:
        """Sums over both."""
        return LayerSums(
            self.layer,
            self.inputs + other.inputs.to(self.inputs),
            self.outputs + other.outputs.to(self.outputs),
            self.rows + other.rows.to(self.rows),
            tuple(a + b.to(a) for a, b in zip(self.axes, other.axes, strict=True)),
            counted(self.calls, other.calls),
        )
