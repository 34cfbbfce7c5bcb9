"""The weight that serves a layer best on the inputs that a compressed model gives it.

With x̃ those inputs, t what the layer is to give there, W and b its own weight and bias, and
r = t − W x̃ − b, the weight is W + C (S + λ)⁻¹: ridge regression towards W (Hoerl and Kennard,
"Ridge Regression", 1970), with C = Σ r x̃ᵀ and S = Σ x̃ x̃ᵀ, each row weighted, means taken out where
there is a bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tncompile.tensorizing.moments import damped

LOST, ROUNDING = 1e-30, 1e-6
"""Mean squares below which inputs vanish, and the part of them that rounding to float32 leaves."""


@dataclass
class RidgeSums:
    """Sums over rows of a layer, in float64.

    With w what a row counts, x its input (in,) and r what is missing with the original weight and
    bias (out,); `heard` is G of the outputs (out, out), or its diagonal (out,).
    """

    heard: torch.Tensor
    total: torch.Tensor  # Σ w
    x: torch.Tensor  # Σ w x, (in,)
    r: torch.Tensor  # Σ w r, (out,)
    xx: torch.Tensor  # Σ w x xᵀ, (in, in)
    rx: torch.Tensor  # Σ w r xᵀ, (out, in)
    rr: torch.Tensor  # Σ w rᵀ G r

    @staticmethod
    def empty(inputs: int, outputs: int, heard: torch.Tensor) -> RidgeSums:
        """Zeros; `heard` is the second moment of gradients, in any unit, and is damped.

        Where no gradient comes, all outputs count alike.
        """
        heard = damped(heard.double())
        mean = float((heard.diagonal() if heard.dim() == 2 else heard).mean())
        heard = heard.new_ones(outputs) if mean == 0 else heard / mean

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=heard.device)

        vectors = zeros(), zeros(inputs), zeros(outputs)
        return RidgeSums(heard, *vectors, zeros(inputs, inputs), zeros(outputs, inputs), zeros())

    def add(self, w: torch.Tensor, x: torch.Tensor, r: torch.Tensor) -> None:
        """Some rows: w (rows,), x (rows, in), r (rows, out)."""
        wide = torch.promote_types(x.dtype, torch.float32)
        w, x, r = (each.to(wide) for each in (w, x, r))
        wx, wr = x * w.unsqueeze(1), r * w.unsqueeze(1)
        self.total += w.sum(dtype=torch.float64)
        self.x += wx.sum(0, dtype=torch.float64)
        self.r += wr.sum(0, dtype=torch.float64)
        self.xx += wx.mT @ x
        self.rx += r.mT @ wx
        self.rr += (self._times(r.mT).mT * wr).sum(dtype=torch.float64)

    def _times(self, step: torch.Tensor) -> torch.Tensor:
        """G times a matrix (out, …) or a vector (out,)."""
        heard = self.heard.to(step.dtype)
        if heard.dim() == 2:
            return heard @ step
        return heard.unsqueeze(1) * step if step.dim() == 2 else heard * step

    def lost(self, step: torch.Tensor, shift: torch.Tensor) -> float:
        """Σ w eᵀ G e, e what is missing with weight W + step (out, in), bias b + shift (out,)."""
        heard = self._times(step)
        found = self.rr - 2 * (heard * self.rx).sum() + ((heard @ self.xx) * step).sum()
        own = self._times(shift)
        found = found + own @ (self.total * shift - 2 * self.r + 2 * (step @ self.x))
        return float(found)

    def covariance(self, *, centered: bool) -> torch.Tensor:
        """The second moment of the inputs, (in, in); without their mean where that is asked for."""
        if not centered:
            return self.xx / self.total
        mean = self.x / self.total
        return self.xx / self.total - torch.outer(mean, mean)

    def varies(self, *, centered: bool) -> bool:
        """Whether the covariance tells weights apart: that of constant inputs does not."""
        size = float(self.xx.diagonal().mean() / self.total)
        spread = float(self.covariance(centered=centered).diagonal().mean())
        return size > LOST and spread > ROUNDING * size

    def solved(self, damping: float, *, centered: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The best step of the weight (out, in), and that of the bias with it (out,).

        `damping` is in units of the mean of the diagonal of S.
        """
        s, c = self.xx, self.rx
        if centered:
            s = s - torch.outer(self.x, self.x) / self.total
            c = c - torch.outer(self.r, self.x) / self.total
        if float(s.diagonal().mean()) > 0:
            step = torch.linalg.solve(damped(s, damping), c, left=False)
        else:
            step = torch.zeros_like(c)
        return step, self.shift(step, centered=centered)

    def shift(self, step: torch.Tensor, *, centered: bool) -> torch.Tensor:
        """The best step of the bias beside one of the weight; zeros where there is none."""
        if not centered:
            return torch.zeros_like(self.r)
        return (self.r - step @ self.x) / self.total


@dataclass
class ShiftSums:
    """What a bias is moved by, where the inputs are too many for a moment of all of them.

    Sums without inputs: of what is missing with the network as it is, and of all that is wanted.
    """

    missing: RidgeSums
    wanted: RidgeSums

    @staticmethod
    def empty(outputs: int, heard: torch.Tensor) -> ShiftSums:
        """Zeros; `heard` as in `RidgeSums.empty`."""
        return ShiftSums(*(RidgeSums.empty(0, outputs, heard) for _ in range(2)))

    def add(self, w: torch.Tensor, missing: torch.Tensor, wanted: torch.Tensor) -> None:
        """Some rows: w (rows,), what is missing and what is wanted (rows, out)."""
        nothing = missing.new_empty(len(missing), 0)
        self.missing.add(w, nothing, missing)
        self.wanted.add(w, nothing, wanted)

    def solved(self) -> tuple[torch.Tensor, float, float]:
        """The best step of the bias, (out,), and the relative errors without and with it."""
        none = self.missing.rx
        shift = self.missing.shift(none, centered=True)
        whole = float(self.wanted.rr)
        if not whole > 0:
            return torch.zeros_like(shift), 0.0, 0.0
        lost = (self.missing.lost(none, each) for each in (torch.zeros_like(shift), shift))
        before, after = (math.sqrt(max(0.0, each) / whole) for each in lost)
        return shift, before, after
