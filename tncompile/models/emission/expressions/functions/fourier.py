"""Discrete Fourier transforms along an axis."""

from __future__ import annotations

from tncompile.models.emission.expressions.conversion import Applied
from tncompile.models.emission.expressions.text import Text, call


def _transform(applied: Applied) -> Text:
    axis, n = applied.axis(), applied.option("n")
    arguments: list[object] = [] if n is None else [applied.text("n")]
    if axis != -1:
        arguments.append(axis if arguments else f"dim={axis}")
    return call(f"torch.fft.{applied.name}", applied.tensor(0, "float"), *arguments)


RULES = dict.fromkeys(("fft", "ifft", "rfft", "irfft"), _transform)
