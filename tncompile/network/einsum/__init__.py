"""The text of a network from an einsum equation, for people who come from there."""

from __future__ import annotations

import operator

from tncompile.network.einsum.aligning import align
from tncompile.network.einsum.reading import Indices, read
from tncompile.network.einsum.shapes import Shape, with_sizes
from tncompile.network.einsum.writing import is_name, write

__all__ = ["Indices", "Shape", "from_einsum"]


def from_einsum(
    equation: str | Shape, *shapes: Shape | Indices, inputs: int = 1, name: str = "Einsum"
) -> str:
    """The `.tn` text of a network that computes an einsum with trainable operands.

    The arguments are those of `tncompile.from_einsum`, which says what they may be.

    >>> print(from_einsum("bi,ir,ro->bo", (None, 8), (8, 2), (2, 4)), end="")
    \"""The einsum `bi,ir,ro->bo`.\"""
    network Einsum() {
      batch  b
      index  i = 8, o = 4
      bond   r = 2
      input  x(b, i)
      tensor W0(i, r)
      tensor W1(r, o)
      output y(b, o)
    }
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a network is a str, not {type(name).__name__}")
    if isinstance(inputs, bool) or not hasattr(inputs, "__index__"):
        raise TypeError(f"inputs is an int, not {type(inputs).__name__}")
    if not is_name(name):
        shown = repr(name if len(name) <= 60 else f"{name[:60]}…")
        raise ValueError(f"{shown} is no name for a network: letters, digits and `_`, no keyword")
    parsed = with_sizes(*read(equation, shapes))
    count = operator.index(inputs)
    if not 0 <= count <= len(parsed.operands):
        message = f"inputs = {count}, but {parsed.title!r} has {len(parsed.operands)} operands: the"
        raise ValueError(f"{message} first `inputs` of them are arguments, the rest are trained")
    return write(align(parsed, count), count, name, parsed.title)
