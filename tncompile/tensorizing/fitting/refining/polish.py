"""All parameters at once, by limited-memory BFGS on the residual itself.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989, with the
line search of Nocedal and Wright, "Numerical Optimization", 2006. What the Hessian starts from at
each step may be given: the normal matrices of alternating least squares, which make steps
independent of the gauge (De Sterck and Howse, "Nonlinearly preconditioned L-BFGS as an acceleration
mechanism for alternating least squares", 2018). The distance is that of the dense result: its
square is exact down to rounding, where that from norms and inner products is lost at half of the
digits.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import torch

from tncompile.tensorizing.fitting.products.product import Values
from tncompile.tensorizing.fitting.products.target import Problem

CHUNK = 20
"""Iterations after which it is asked whether they gain enough."""

REMEMBERED = 20
MOST_TRIALS = 12
SUFFICIENT, CURVATURE = 1e-4, 0.9

Turn = Callable[[Values], Values]
"""A gradient times about the inverse of the Hessian."""

Preconditioner = Callable[[Values], Turn]
"""What it is at some parameters."""


class Polish:
    """Iterations from a start: the best parameters that were seen, and their relative error."""

    def __init__(
        self, problem: Problem, start: Values, preconditioner: Preconditioner | None = None
    ) -> None:
        self._problem, self._preconditioner = problem, preconditioner
        self.values, self.error = dict(start), problem.error(start)
        self.ended = not math.isfinite(self.error)
        self._run = _Run(problem, start)

    def chunk(self, stall: float) -> None:
        """Some iterations; it has `ended` where they lower the error by less than its part."""
        turn = self._preconditioner(self._run.values()) if self._preconditioner else None
        going = self._run.iterate(CHUNK, turn)
        found = self._run.values()
        now = self._problem.error(found)
        self.ended = not going or not self.error - now >= stall * self.error  # NaN included
        if now < self.error:
            self.values, self.error = found, now


class _Point(NamedTuple):
    step: float
    loss: float
    slope: float


class _Run:
    """A point, its gradient, and the pairs of changes of both that are remembered."""

    def __init__(self, problem: Problem, start: Values) -> None:
        self._problem = problem
        self._scale = problem.norm**2 or 1.0
        # complex ones first: their numbers lie in pairs
        keys = sorted(start, key=lambda key: not start[key].is_complex())
        self._like = {key: start[key] for key in keys}
        self._x = self._flat(start)
        self._loss, self._gradient = self._evaluated(self._x)
        self._pairs: deque[tuple[torch.Tensor, torch.Tensor, float]] = deque(maxlen=REMEMBERED)

    def values(self) -> Values:
        """The parameters of the point."""
        return self._shaped(self._x)

    def _flat(self, values: Values) -> torch.Tensor:
        parts = [_real(values[key]) for key in self._like]
        return torch.cat([part.reshape(-1) for part in parts])

    def _shaped(self, flat: torch.Tensor) -> Values:
        found: Values = {}
        at = 0
        for key, like in self._like.items():
            if like.is_complex():
                part = flat[at : at + 2 * like.numel()].reshape(*like.shape, 2)
                found[key] = torch.view_as_complex(part)
            else:
                part = flat[at : at + like.numel()].reshape(like.shape)
                found[key] = part
            at += part.numel()
        return found

    def _evaluated(self, x: torch.Tensor) -> tuple[float, torch.Tensor]:
        """The squared relative distance and its gradient."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            residual = self._problem.residual(self._shaped(leaf))
            square = residual.real.square().sum()
            if residual.is_complex():
                square = square + residual.imag.square().sum()
            loss = square / self._scale
            (gradient,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), gradient

    def iterate(self, count: int, turn: Turn | None) -> bool:
        """So many steps; False where no step leads further down."""
        for _ in range(count):
            direction = -self._turned(self._gradient, turn)
            slope = float(direction @ self._gradient)
            if not slope < 0 or not math.isfinite(slope):
                if not self._pairs:
                    return False
                self._pairs.clear()
                continue
            plain = turn is None and not self._pairs
            first = min(1.0, 1.0 / float(self._gradient.abs().sum())) if plain else 1.0
            if not self._moved(direction, slope, first):
                if not self._pairs:
                    return False
                self._pairs.clear()
        return True

    def _turned(self, gradient: torch.Tensor, turn: Turn | None) -> torch.Tensor:
        """The two loops."""
        q = gradient.clone()
        factors = []
        for s, y, curvature in reversed(self._pairs):
            factor = float(s @ q) / curvature
            q -= factor * y
            factors.append(factor)
        if turn is not None:
            q = self._flat(turn(self._shaped(q)))
        if self._pairs:
            s, y, curvature = self._pairs[-1]
            size = float(y @ (self._flat(turn(self._shaped(y))) if turn is not None else y))
            if size > 0:
                q = q * (curvature / size)
        for (s, y, curvature), factor in zip(self._pairs, reversed(factors), strict=True):
            q += (factor - float(y @ q) / curvature) * s
        return q

    def _moved(self, direction: torch.Tensor, slope: float, first: float) -> bool:
        """A step along a direction that fulfills the conditions of Wolfe; False for none."""
        start = _Point(0.0, self._loss, slope)
        low, high = start, None
        step, best = first, None
        for _ in range(MOST_TRIALS):
            x = self._x + step * direction
            loss, gradient = self._evaluated(x)
            point = _Point(step, loss, float(direction @ gradient))
            enough = loss <= start.loss + SUFFICIENT * step * slope and loss < low.loss
            if not enough or not math.isfinite(loss):
                high = point
            else:
                best = x, loss, gradient
                if abs(point.slope) <= CURVATURE * abs(slope):
                    break
                if point.slope * ((high.step if high else math.inf) - low.step) >= 0:
                    high = low
                low = point
            step = _between(low, high) if high else 4 * step
        if best is None:
            return False
        x, loss, gradient = best
        s, y = x - self._x, gradient - self._gradient
        curvature = float(s @ y)
        if curvature > 1e-16 * float(y @ y):
            self._pairs.append((s, y, curvature))
        self._x, self._loss, self._gradient = x, loss, gradient
        return True


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _between(low: _Point, high: _Point) -> float:
    """The minimum of the cubic through both ends, kept away from them."""
    width = high.step - low.step
    middle = low.step + width / 2
    if not math.isfinite(high.loss) or not math.isfinite(high.slope):
        return low.step + width / 10
    d1 = low.slope + high.slope - 3 * (low.loss - high.loss) / (low.step - high.step)
    square = d1 * d1 - low.slope * high.slope
    if square < 0:
        return middle
    d2 = math.copysign(math.sqrt(square), width)
    bottom = high.slope - low.slope + 2 * d2
    if bottom == 0:
        return middle
    found = high.step - width * (high.slope + d2 - d1) / bottom
    margin = 0.1 * abs(width)
    least, most = min(low.step, high.step) + margin, max(low.step, high.step) - margin
    return min(max(found, least), most) if math.isfinite(found) else middle
