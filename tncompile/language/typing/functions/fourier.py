"""Discrete Fourier transforms along an axis.

The option `n` is a size, None for that of the axis, to which it is cut or padded with zeros before
`fft`, `ifft` and `rfft`, and the number of entries that `irfft` gives; `dim` is an axis.
"""

from __future__ import annotations

from tncompile.language.typing.functions.declaring.arguments import count
from tncompile.language.typing.functions.declaring.binding import (
    Bound,
    Function,
    X,
    axis,
    option,
    optional,
)
from tncompile.language.typing.functions.declaring.kinds import Kinds
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape


def _length(bound: Bound) -> Size:
    return bound.x.shape.axis(bound.axis()) if bound.options["n"] is None else bound.size("n")


def _full(bound: Bound) -> Shape:
    return bound.x.shape.replaced(bound.axis(), _length(bound))


def _half(bound: Bound) -> Shape:
    return bound.x.shape.replaced(bound.axis(), _length(bound) // 2 + 1)


N, LAST = optional("n", count), axis(default=-1)

FUNCTIONS = (
    Function("fft", (X, N, LAST), Kinds("float", gives="complex"), _full),
    Function("ifft", (X, N, LAST), Kinds("float", gives="complex"), _full),
    Function("rfft", (X, N, LAST), Kinds("float", "float", gives="complex"), _half),
    Function("irfft", (X, option("n", count), LAST), Kinds("complex", gives="float"), _full),
)
