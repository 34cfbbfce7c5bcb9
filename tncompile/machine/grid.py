"""Measured figures on a grid of sizes, interpolated between its points."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

STRICT: dict[str, Any] = {"strict": True, "extra": "forbid"}
"""How pydantic reads stored figures: no number from text or truth values, no unknown names."""

LEAST, LARGEST = 1e-30, 1e30
"""Bounds of every figure: times computed from figures beyond them may overflow."""

CACHED = 2**16
"""Interpolated figures that a grid caches at most."""


@dataclass(frozen=True)
class Grid:
    """Positive figures at every point of `axes`, the last axis varying fastest.

    Between points the logarithm of the figure is linear in the logarithm of each size; beyond the
    ends of an axis the figure is that of the end. Raises ValueError for axes that do not ascend
    from 1 on and for figures that are out of bounds or do not fill the grid.

    >>> rates = Grid(((1, 100), (1, 4)), (10.0, 20.0, 1000.0, 2000.0))
    >>> round(rates.at(10, 4)), round(rates.at(10_000, 1))
    (200, 1000)
    """

    axes: tuple[tuple[int, ...], ...]
    figures: tuple[float, ...]

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    def __post_init__(self) -> None:
        shape = tuple(map(len, self.axes))
        if not shape or math.prod(shape) != len(self.figures):
            raise ValueError(f"{len(self.figures)} figures do not fill a grid of {shape}")
        for axis in self.axes:
            ascends = all(low < high for low, high in pairwise(axis))
            if not axis or not ascends or axis[0] < 1 or axis[-1] > LARGEST:
                raise ValueError(f"sizes of a grid ascend from 1 on, unlike {axis}")
        if not all(LEAST <= figure <= LARGEST for figure in self.figures):
            raise ValueError("every figure of a grid must be a positive number")

    def at(self, *sizes: float) -> float:
        """The figure at these sizes, one per axis."""
        figure = self._cache.get(sizes)
        if figure is None:
            if len(self._cache) >= CACHED:
                self._cache.clear()
            figure = self._cache[sizes] = self._interpolate(sizes)
        return figure

    @cached_property
    def _cache(self) -> dict[tuple[float, ...], float]:
        """Figures by sizes: a search asks for the same ones thousands of times."""
        return {}

    @cached_property
    def _log_figures(self) -> tuple[float, ...]:
        return tuple(map(math.log, self.figures))

    @cached_property
    def _log_axes(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(map(math.log, axis)) for axis in self.axes)

    def _interpolate(self, sizes: tuple[float, ...]) -> float:
        corners = [(0, 1.0)]  # offsets into the figures, with their weights
        for axis, logs, size in zip(self.axes, self._log_axes, sizes, strict=True):
            low = max(bisect_right(axis, size) - 1, 0)
            share = 0.0
            if axis[low] < size < axis[-1]:
                share = (math.log(size) - logs[low]) / (logs[low + 1] - logs[low])
            corners = [
                (offset * len(axis) + step, weight * part)
                for offset, weight in corners
                for step, part in ((low, 1.0 - share), (low + 1, share))
                if part
            ]
        return math.exp(sum(self._log_figures[offset] * weight for offset, weight in corners))
