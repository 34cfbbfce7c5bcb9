"""Measured figures on a grid of sizes, and what lies between and beyond its points."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

REMEMBERED = 2**16
"""Figures that a grid keeps at most."""


@dataclass(frozen=True)
class Grid:
    """Positive figures at every point of `axes`, the last axis varying fastest.

    Between points the logarithm of the figure is linear along the logarithm of each size; beyond
    the last point of an axis it stays what it is there.

    >>> rates = Grid(((1, 100), (1, 4)), (10.0, 20.0, 1000.0, 2000.0))
    >>> round(rates.at(10, 4)), round(rates.at(10_000, 1))
    (200, 1000)
    """

    axes: tuple[tuple[int, ...], ...]
    figures: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.axes or math.prod(map(len, self.axes)) != len(self.figures):
            raise ValueError(f"{len(self.figures)} figures do not fill a grid of {self.shape}")
        for axis in self.axes:
            if not axis or axis[0] < 1 or any(low >= high for low, high in pairwise(axis)):
                raise ValueError(f"sizes of a grid ascend from 1 on, unlike {axis}")
        if not all(math.isfinite(figure) and figure > 0 for figure in self.figures):
            raise ValueError("every figure of a grid is a positive number")

    @property
    def shape(self) -> tuple[int, ...]:
        """How many sizes each axis has."""
        return tuple(map(len, self.axes))

    @cached_property
    def _logarithms(self) -> tuple[float, ...]:
        return tuple(map(math.log, self.figures))

    @cached_property
    def _sizes(self) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(map(math.log, axis)) for axis in self.axes)

    def points(self) -> Iterator[tuple[int, ...]]:
        """Every point, in the order of the figures."""
        from itertools import product

        return product(*self.axes)

    @cached_property
    def _known(self) -> dict[tuple[float, ...], float]:
        """Figures that were asked for: a search asks for the same ones thousands of times."""
        return {}

    def at(self, *sizes: float) -> float:
        """The figure at some sizes, one an axis."""
        figure = self._known.get(sizes)
        if figure is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            figure = self._known[sizes] = self._between(sizes)
        return figure

    def _between(self, sizes: tuple[float, ...]) -> float:
        places = [(0, 1.0)]  # offsets into the figures with their weights
        for axis, logarithms, size in zip(self.axes, self._sizes, sizes, strict=True):
            last = len(axis) - 1
            low = bisect_right(axis, size) - 1
            if low < 0 or low >= last:
                offset = 0 if low < 0 else last
                places = [(at * (last + 1) + offset, weight) for at, weight in places]
                continue
            start = logarithms[low]
            share = (math.log(size) - start) / (logarithms[low + 1] - start)
            if share == 0.0:
                places = [(at * (last + 1) + low, weight) for at, weight in places]
            else:
                places = [
                    (at * (last + 1) + low + step, weight * part)
                    for at, weight in places
                    for step, part in ((0, 1.0 - share), (1, share))
                ]
        figures = self._logarithms
        return math.exp(sum(figures[at] * weight for at, weight in places))
