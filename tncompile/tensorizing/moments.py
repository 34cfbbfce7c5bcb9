"""What is known of a layer's inputs and of the gradients at its outputs: second moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


DAMPING = 0.01
"""The part of the mean of a moment's diagonal that is added to it, unless one says otherwise."""


@dataclass(frozen=True)
class Metric:
    """What an error of a weight counts: ‖G^½ (W − W') A^½‖, with A `inputs` and G `outputs`.

    A is (in, in), mean of x xᴴ over inputs x; G is (out, out), mean of g gᴴ over gradients g at the
    outputs. A vector stands for a diagonal matrix (frequencies of tokens); None for the identity.
    Of convolutions in = channels of a group × kernel, flattened as the weight is. Singular ones
    will do: `damping` times the mean of the diagonal is added to it. Where A would be too large,
    `axes` stand in its place: a moment for each axis of the input (of a convolution: channels, then
    each axis of the kernel), whose Kronecker product A is. Both are a ValueError.

    >>> import torch
    >>> tncompile.Metric(inputs=torch.ones(32), damping=0.0)
    Metric(inputs of 32, damping=0.0)
    """

    inputs: torch.Tensor | None = field(default=None, repr=False)
    outputs: torch.Tensor | None = field(default=None, repr=False)
    damping: float = DAMPING
    axes: tuple[torch.Tensor, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.axes and self.inputs is not None:
            raise ValueError("a metric has moments of `inputs`, or of their `axes`, not both")

    def __repr__(self) -> str:
        given = (("inputs", self.inputs), ("outputs", self.outputs))
        parts = [f"{name} of {m.shape[0]}" for name, m in given if m is not None]
        if self.axes:
            parts.insert(0, f"axes of {', '.join(str(m.shape[0]) for m in self.axes)}")
        return f"Metric({', '.join([*parts, f'damping={self.damping}'])})"

    @property
    def _is_plain(self) -> bool:
        """Whether it has no moments: all entries count alike."""
        return self.inputs is None and self.outputs is None and not self.axes

    @staticmethod
    def of_samples(
        inputs: torch.Tensor | None = None,
        outputs: torch.Tensor | None = None,
        damping: float = DAMPING,
    ) -> Metric:
        """The metric of inputs (samples, in) and gradients at outputs (samples, out).

        Leading axes are samples, too. Raises ValueError where there are none.

        >>> import torch
        >>> tncompile.Metric.of_samples(torch.ones(5, 3, 32))
        Metric(inputs of 32, damping=0.01)
        """
        import torch

        moments: list[torch.Tensor | None] = []
        for name, samples in (("inputs", inputs), ("outputs", outputs)):
            if samples is None:
                moments.append(None)
                continue
            if samples.dim() < 2 or not samples.numel():
                given = tuple(samples.shape)
                raise ValueError(f"{name} are samples of shape (samples, features), not {given}")
            rows = samples.detach().flatten(0, -2)
            rows = rows.to(torch.complex128 if rows.is_complex() else torch.float64)
            moments.append(rows.mT @ rows.conj() / rows.shape[0])
        return Metric(moments[0], moments[1], damping)


def squared(matrix: torch.Tensor, metric: Metric) -> float:
    """‖G^½ M A^½‖² of a matrix M (out, in), with A and G damped as a fit does it."""
    import torch

    right, damping = matrix, metric.damping
    if metric.axes:  # A is the Kronecker product of their moments, and never made
        right = right.reshape(len(matrix), *(len(each) for each in metric.axes))
        for axis, moment in enumerate(metric.axes, start=1):
            own = damped(moment.to(matrix), damping)
            right = torch.tensordot(right, own, dims=([axis], [0])).movedim(-1, axis)
        right = right.reshape(matrix.shape)
    elif metric.inputs is not None:
        right = _times(right, damped(metric.inputs.to(matrix), damping))
    left = matrix
    if metric.outputs is not None:
        left = _times(matrix.mT, damped(metric.outputs.to(matrix), damping)).mT
    return float((left * right).sum())


def damped(moment: torch.Tensor, damping: float = DAMPING) -> torch.Tensor:
    """A moment (size, size), or its diagonal (size,), with `damping` of its mean diagonal added.

    A matrix is Hermitian then to the last bit. What was given stays as it was.
    """
    if moment.dim() == 1:
        return moment + damping * moment.mean()
    whole: torch.Tensor = (moment + moment.mH) / 2
    diagonal = whole.diagonal()
    diagonal.add_(damping * diagonal.mean())
    return whole


def _times(matrix: torch.Tensor, moment: torch.Tensor) -> torch.Tensor:
    """A matrix times a moment from its right; of a diagonal one, that is a vector."""
    return matrix * moment if moment.dim() == 1 else matrix @ moment
