"""The arguments of a block for a layer: those that were given, and those that the layer decides."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tncompile.architecture import Architecture
from tncompile.blocks import Block
from tncompile.language.evaluating.factorization import factorize, next_factorable
from tncompile.spec import load

SITES = 3
"""In how many factors a width is split, unless the block has a number of its own."""


class Filled:
    """A block and its arguments: those that were given, and those that the layer decides."""

    def __init__(
        self,
        block: str | Block | Architecture,
        library: str,
        arguments: Mapping[str, object],
        sites: int | None,
    ) -> None:
        self.architecture = block if isinstance(block, Architecture) else None
        if self.architecture is not None and (arguments or sites is not None):
            raise TypeError("an architecture has its arguments: give them to `instantiate`")
        if isinstance(block, str):
            block = load(library)[block]
        self.block = block if isinstance(block, Block) else None
        if self.block is None and self.architecture is None:
            raise TypeError(
                f"block is a name, a Block or an Architecture, not {type(block).__name__}"
            )
        self.name = self.block.name if self.block else repr(block)
        self.arguments = dict(arguments)
        self.parameters = {p.name: p.type for p in self.block.parameters} if self.block else {}
        if sites is not None and (isinstance(sites, bool) or not isinstance(sites, int)):
            raise TypeError(f"sites is an int, not {type(sites).__name__}")
        if sites is not None and sites < 1:
            raise ValueError(f"a width is split in one factor or more, not {sites}")
        self._sites = sites

    def set(self, **values: object) -> None:
        """Arguments that the block has and the user did not give."""
        for name, value in values.items():
            if name in self.parameters:
                self.arguments.setdefault(name, value)

    def features(self, split: str, whole: str, width: str, size: int) -> None:
        """A width: split into factors, padded where it has no good ones, or as it is."""
        if split not in self.parameters:
            return
        given = self.arguments.get(split)
        if given is not None:
            numbers = (
                [n for n in given if isinstance(n, int)] if isinstance(given, Sequence) else []
            )
            if numbers and math.prod(numbers) != size:
                self.set(**{width: size})
            return
        sites = self._sites or _fixed_length(self.parameters[split]) or SITES
        factors = factorize(size, sites)
        if factors is None:
            self.set(**{width: size})
            factors = factorize(next_factorable(size, sites), sites)
            assert factors is not None
        self.arguments[split] = list(factors)


def _fixed_length(kind: str) -> int | None:
    """The length of a list whose type says it: `int[2]`."""
    inside = kind.removeprefix("int[").removesuffix("]")
    return int(inside) if inside.isdecimal() else None
