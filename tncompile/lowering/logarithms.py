"""Rescaling on the way: every intermediate is brought to magnitude one, the logarithms add up."""

from __future__ import annotations

from dataclasses import replace

from tncompile.lowering.assembly import Assembler
from tncompile.lowering.operations import Add
from tncompile.lowering.program import Value
from tncompile.network.model import Output


class Logarithm:
    """The running sum of the logarithms of all scales, over the run-time axes of the network.

    Every factor of the product goes into the result exactly once, so the logarithms of all members
    of a stack add up too.
    """

    def __init__(self, assembler: Assembler) -> None:
        self._assembler = assembler
        self._parts: Value | None = None

    def take(self, value: Value) -> Value:
        """The value rescaled; the logarithm of the scale joins the sum."""
        assembler = self._assembler
        stacks = {axis[0] for axis in value.axes if axis and axis[0].startswith("#")}
        batch = {index for axis in value.axes for index in axis if index in assembler.runtime}
        scaled, scale = assembler.rescale(value, stacks | batch)
        summed = assembler.sum(scale, stacks)
        wide = assembler.arrange(summed, tuple((name,) for name in assembler.runtime))
        self._parts = wide if self._parts is None else assembler.elementwise(Add, self._parts, wide)
        return scaled

    def total(self, output: Output) -> Value | None:
        """The sum, shaped to broadcast against the output."""
        if self._parts is None:
            return None
        kept = [
            axis.indices if set(axis.indices) <= set(self._assembler.runtime) else ()
            for axis in output.axes
        ]
        order = [index for axis in kept for index in axis]
        held = [axis for axis in self._parts.axes if axis]
        split = self._assembler.view(self._parts, tuple(held))
        arranged = self._assembler.permute(
            split, tuple(held.index((index,)) for index in order if (index,) in held)
        )
        axes = tuple(tuple(i for i in axis if (i,) in held) for axis in kept)
        return replace(self._assembler.view(arranged, axes))
