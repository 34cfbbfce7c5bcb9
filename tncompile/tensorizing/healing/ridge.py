"""The weight that serves a layer best on the inputs that a compressed model gives it.

With x̃ those inputs, t what the layer is to give there, W and b its own weight and bias, and
r = t − W x̃ − b, the weight is W + C (S + λ)⁻¹: ridge regression towards W (Hoerl and Kennard,
"Ridge Regression", 1970), with C = Σ r x̃ᵀ and S = Σ x̃ x̃ᵀ, each row weighted, means taken out where
there is a bias.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass
class RidgeSums:
    """Sums over rows of a layer, in float64.

    With w what a row counts, x its input (in,), r what is missing with the original weight, and d
    with the present network, both (out,); `heard` is G of the outputs (out, out).
    """

    heard: torch.Tensor
    total: torch.Tensor  # Σ w
    x: torch.Tensor  # Σ w x, (in,)
    r: torch.Tensor  # Σ w r, (out,)
    xx: torch.Tensor  # Σ w x xᵀ, (in, in)
    rx: torch.Tensor  # Σ w r xᵀ, (out, in)
    d: torch.Tensor  # Σ w d, (out,)
    rr: torch.Tensor  # Σ w rᵀ G r
    dd: torch.Tensor  # Σ w dᵀ G d
    tt: torch.Tensor  # Σ w tᵀ G t

    @staticmethod
    def empty(inputs: int, outputs: int, heard: torch.Tensor) -> RidgeSums:
        """Zeros; `heard` is the second moment of gradients, a hundredth of its mean is added."""
        diagonal = torch.eye(outputs, dtype=torch.float64, device=heard.device)
        mean = float(heard.diagonal().mean())
        damped = heard.double() / (mean or 1.0) + 0.01 * diagonal

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=heard.device)

        vectors = zeros(), zeros(inputs), zeros(outputs)
        matrices = zeros(inputs, inputs), zeros(outputs, inputs)
        return RidgeSums(damped, *vectors, *matrices, zeros(outputs), zeros(), zeros(), zeros())

    def add(
        self,
        w: torch.Tensor,
        x: torch.Tensor,
        r: torch.Tensor,
        d: torch.Tensor,
        t: torch.Tensor,
    ) -> None:
        """Some rows: w (rows,), x (rows, in), the others (rows, out)."""
        wide = torch.promote_types(x.dtype, torch.float32)
        w, x, r, d, t = (each.to(wide) for each in (w, x, r, d, t))
        wx, column = x * w.unsqueeze(1), w.unsqueeze(1)
        self.total += w.sum(dtype=torch.float64)
        self.x += wx.sum(0, dtype=torch.float64)
        self.r += (r * column).sum(0, dtype=torch.float64)
        self.d += (d * column).sum(0, dtype=torch.float64)
        self.xx += wx.mT @ x
        self.rx += r.mT @ wx
        heard = self.heard.to(wide)
        for sums, each in ((self.rr, r), (self.dd, d), (self.tt, t)):
            sums += ((each @ heard) * each * column).sum(dtype=torch.float64)

    @property
    def before(self) -> float:
        """The relative error of the present network."""
        return self._relative(self.dd)

    def after(self, step: torch.Tensor, shift: torch.Tensor) -> float:
        """The relative error with another weight and bias: W + step (out, in), b + shift (out,)."""
        heard = self.heard @ step
        lost = self.rr - 2 * (heard * self.rx).sum() + ((heard @ self.xx) * step).sum()
        own = self.heard @ shift
        lost = lost + own @ (self.total * shift - 2 * self.r + 2 * (step @ self.x))
        return self._relative(lost)

    def after_shift(self, shift: torch.Tensor) -> float:
        """The relative error of the present network with its bias moved (out,)."""
        return self._relative(self.dd + (self.heard @ shift) @ (self.total * shift - 2 * self.d))

    def _relative(self, squared: torch.Tensor) -> float:
        whole = float(self.tt)
        return max(0.0, float(squared) / whole) ** 0.5 if whole else 0.0

    def covariance(self, *, centered: bool) -> torch.Tensor:
        """The second moment of the inputs, (in, in); without their mean where that is asked for."""
        if not centered:
            return self.xx / self.total
        mean = self.x / self.total
        return self.xx / self.total - torch.outer(mean, mean)

    def solved(self, damping: float, *, centered: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """The best step of the weight (out, in), and that of the bias with it (out,).

        `damping` is in units of the mean of the diagonal of S.
        """
        s, c = self.xx, self.rx
        if centered:
            s = s - torch.outer(self.x, self.x) / self.total
            c = c - torch.outer(self.r, self.x) / self.total
        mean = float(s.diagonal().mean())
        if not mean > 0:
            step = torch.zeros_like(c)
        else:
            s = s + damping * mean * torch.eye(len(s), dtype=s.dtype, device=s.device)
            step = torch.linalg.solve(s, c, left=False)
        return step, self.shift(step, centered=centered)

    def shift(self, step: torch.Tensor, *, centered: bool) -> torch.Tensor:
        """The best step of the bias beside one of the weight; zeros where there is none."""
        if not centered:
            return torch.zeros_like(self.r)
        return (self.r - step @ self.x) / self.total
