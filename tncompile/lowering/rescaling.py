"""Rescaling on the way: every factor is brought to magnitude one, the logarithms add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.stacking.axes import gather
from tncompile.network.model import Output
from tncompile.program.operations import Add
from tncompile.program.program import Value


class Logarithm:
    """The running sum of the logarithms of all scales, over the run-time axes of the network.

    Every operand and every contraction of the tree goes into the result exactly once, so its scale
    counts once: the logarithms of the members of a stack add up, and a value that stands for
    several equal ones counts as often. What parameters alone decide has a sum of its own, which a
    folded module holds ready.
    """

    def __init__(self, assembler: ProgramBuilder) -> None:
        self._assembler = assembler
        self._sums: dict[bool, Value] = {}  # by whether it depends on inputs

    def take(self, value: Value, times: int = 1) -> Value:
        """A split value rescaled; the logarithm of the scale joins the sum so many times.

        `times` is how many equal factors the value is, or each of its members if it is a stack.
        """
        assembler = self._assembler
        stacks = {axis[0] for axis in value.axes if axis and axis[0].startswith("#")}
        scaled, scale = assembler.rescale(value, stacks | set(assembler.runtime))
        self._add(assembler.times(assembler.sum(scale, stacks), times))
        return scaled

    def take_slices(self, value: Value, axis: int | None, used: Sequence[int]) -> Value:
        """An input rescaled slice by slice; `used` are those that go into the result, each use.

        `axis` is that of the slices; without one the input is a single slice.
        """
        assembler = self._assembler
        kept = set(assembler.runtime) | set(() if axis is None else value.axes[axis])
        scaled, scale = assembler.rescale(value, kept)
        counts = Counter(used)
        times = counts[used[0]]
        if axis is not None:
            slices = value.axes[axis]
            place = scale.axes.index(slices)
            if len(counts) != value.shape[axis].factor or set(counts.values()) != {times}:
                order = (place, *(k for k in range(len(scale.axes)) if k != place))
                index, times = assembler.pseudo("@", len(used)), 1
                scale = gather(assembler, assembler.permute(scale, order), tuple(used), index)
                slices = (index,)
            scale = assembler.sum(scale, set(slices))
        self._add(assembler.times(scale, times))
        return scaled

    def _add(self, scale: Value) -> None:
        assembler = self._assembler
        wide = assembler.arrange(scale, tuple((name,) for name in assembler.runtime))
        before = self._sums.get(scale.varying)
        if before is not None:
            wide = assembler.elementwise(Add, before, wide)
        self._sums[scale.varying] = wide

    def total(self, output: Output) -> Value | None:
        """The sum, shaped to broadcast against the output."""
        if not self._sums:
            return None
        assembler = self._assembler
        first, *rest = (self._sums[varying] for varying in sorted(self._sums))
        parts = first
        for other in rest:
            parts = assembler.elementwise(Add, parts, other)
        kept = [
            axis.indices if set(axis.indices) <= set(assembler.runtime) else ()
            for axis in output.axes
        ]
        order = [index for axis in kept for index in axis]
        held = [axis for axis in parts.axes if axis]
        split = assembler.view(parts, tuple(held))
        arranged = assembler.permute(
            split, tuple(held.index((index,)) for index in order if (index,) in held)
        )
        axes = tuple(tuple(i for i in axis if (i,) in held) for axis in kept)
        return replace(assembler.view(arranged, axes))
