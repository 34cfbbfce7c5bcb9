"""Rescaling: every factor is divided by its magnitude, whose logarithms are added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.stacking.axes import gather
from tncompile.network.model import Output
from tncompile.program.operations import Add
from tncompile.program.program import Value


class Logarithm:
    """The running sum of the logarithms of all scales, over the batch axes of the network.

    Every operand and every contraction of the tree goes into the result exactly once, so its scale
    counts once: the logarithms of the members of a stack add up, and a value that stands for
    several equal ones counts as often. What parameters alone decide has a sum of its own, which a
    folded module holds ready. Along a window entries are summed, so they have one scale.
    """

    def __init__(self, builder: ProgramBuilder) -> None:
        self._builder = builder
        self._batch = tuple(leg for leg in builder.runtime if leg not in builder.network.window)
        self._sums: dict[bool, Value] = {}  # by whether it depends on inputs

    def take(self, value: Value, times: int = 1) -> Value:
        """A split value rescaled; the logarithm of the scale joins the sum so many times.

        `times` is how many equal factors the value is, or each of its members if it is a stack.
        """
        builder = self._builder
        stacks = {axis[0] for axis in value.axes if axis and axis[0].startswith("#")}
        scaled, scale = builder.rescale(value, stacks.union(self._batch), stacks)
        self._add(builder.times(scale, times))
        return scaled

    def take_slices(self, value: Value, axis: int | None, used: Sequence[int]) -> Value:
        """An input rescaled slice by slice; `used` are those that go into the result, each use.

        `axis` is that of the slices; without one the input is a single slice.
        """
        builder = self._builder
        slices = () if axis is None else value.axes[axis]
        scaled, scale = builder.rescale(value, {*self._batch, *slices})
        counts = Counter(used)
        times = counts[used[0]]
        if axis is not None:
            place = scale.axes.index(slices)
            if len(counts) != value.shape[axis].factor or set(counts.values()) != {times}:
                order = (place, *(k for k in range(len(scale.axes)) if k != place))
                index, times = builder.pseudo("@", len(used)), 1
                scale = gather(builder, builder.permute(scale, order), tuple(used), index)
                slices = (index,)
            scale = builder.sum(scale, set(slices))
        self._add(builder.times(scale, times))
        return scaled

    def _add(self, scale: Value) -> None:
        builder = self._builder
        wide = builder.arrange(scale, tuple((name,) for name in self._batch))
        if scale.varying in self._sums:
            wide = builder.elementwise(Add, self._sums[scale.varying], wide)
        self._sums[scale.varying] = wide

    def total(self, output: Output) -> tuple[Value, ...]:
        """The sum, shaped to broadcast against the output; nothing where nothing was rescaled."""
        if not self._sums:
            return ()
        builder = self._builder
        first, *rest = (self._sums[varying] for varying in sorted(self._sums))
        total = first if not rest else builder.elementwise(Add, first, rest[0])
        carried = tuple(axis for axis in total.axes if axis)
        axes = tuple(
            tuple(index for index in axis.indices if (index,) in carried)
            if set(axis.indices) <= set(self._batch)
            else ()
            for axis in output.axes
        )
        return (builder.arrange(builder.view(total, carried), axes),)
