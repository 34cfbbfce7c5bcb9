"""Colors as people with and without all cones see them: distances and contrasts."""

from __future__ import annotations

from collections.abc import Sequence

Triple = tuple[float, float, float]

SIMULATED = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
"""Machado, Oliveira and Fernandes, 2009, at full severity, of linear RGB."""

CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""Ottosson's OKLab, 2020."""


def linear(color: str) -> list[float]:
    """The linear parts of a hex color, from 0 to 1."""
    parts = (int(color[k : k + 2], 16) / 255 for k in (1, 3, 5))
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def contrast(one: str, other: str) -> float:
    """The contrast of two colors, as WCAG has it."""
    weights = (0.2126, 0.7152, 0.0722)
    low, high = sorted(
        sum(w * part for w, part in zip(weights, linear(color), strict=True))
        for color in (one, other)
    )
    return (high + 0.05) / (low + 0.05)


def distance(one: str, other: str) -> float:
    """The least distance of two colors in OKLab, over all kinds of color vision."""
    return min(
        sum((a - b) ** 2 for a, b in zip(_lab(one, seen), _lab(other, seen), strict=True)) ** 0.5
        for seen in SIMULATED.values()
    )


def _lab(color: str, seen: Sequence[Sequence[float]]) -> list[float]:
    shown = [min(max(part, 0.0), 1.0) for part in _times(seen, linear(color))]
    return _times(LAB, [part ** (1 / 3) for part in _times(CONES, shown)])


def _times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]
