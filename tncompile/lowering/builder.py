"""Builds a tensor program operation by operation and tracks the layout of every value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import replace
from itertools import pairwise

from tncompile.lowering.assembling import assembled
from tncompile.network.model import TensorNetwork
from tncompile.program import layout
from tncompile.program import operations as op
from tncompile.program.operation import Operation, Unary, results, sources
from tncompile.program.program import (
    ONE,
    Extent,
    Loop,
    Step,
    TensorProgram,
    Value,
    joined_complex,
    product,
)
from tncompile.program.rewriting import undivided

Axes = tuple[tuple[str, ...], ...]

NOMINAL = 64
"""The run-time size at which two layouts are compared where none is planned for."""


TRANSPOSED = 2**16
"""Elements from which a transposition is worth a copy of its own before it."""


class ProgramBuilder:
    """Values and steps of a program so far; `lengths` holds the length of every index and stack.

    With a `loop`, each input is cut into chunks when it is loaded; from there on the index has the
    length of one chunk. Which steps it has is found in the end.
    """

    def __init__(
        self, network: TensorNetwork, sizes: Mapping[str, int], loop: Loop | None = None
    ) -> None:
        self.network = network
        self.mixed = network.complex
        self.lengths: dict[str, Extent] = {
            index.name: Extent(1, (index.name,)) if index.size is None else Extent(index.size)
            for index in network.indices
        }
        self.lengths |= {w.padded_leg: Extent(1, (w.padded_leg,)) for w in network.windows}
        self.runtime = tuple(index.name for index in network.indices if index.size is None)
        self.sizes = network.with_window_sizes(
            network.default_sizes(NOMINAL, NOMINAL) | dict(sizes)
        )
        self.loop = loop
        if loop is not None:
            self.lengths[loop.index] = Extent(1, (loop.part,))
            self.sizes[loop.part] = min(loop.rows, self.sizes[loop.index])
        self.values: dict[str, Value] = {}
        self.contraction: int | None = None
        self.note = ""
        self._steps: list[Step] = []
        self._taken: Counter[str] = Counter()
        self._stem: dict[str, str] = {}
        self._viewed: dict[str, str] = {}
        self._permuted: dict[str, tuple[str, tuple[int, ...]]] = {}  # from what, and how

    # ── names and sizes ────────────────────────────────────────────────────────────────────────

    def fresh(self, stem: str) -> str:
        """A value name not yet taken: the stem, then `stem_1`, `stem_2`; results are `t1`, `t2`.

        Given the name of a value, it is another one of the same stem.
        """
        stem = self._stem.get(stem, stem)
        while True:
            count = self._taken[stem]
            self._taken[stem] += 1
            name = f"t{count + 1}" if stem == "t" else f"{stem}_{count}" if count else stem
            if name not in self._stem:
                self._stem[name] = name if stem == "t" else stem
                return name

    def pseudo(self, mark: str, length: int) -> str:
        """A pseudo-index (`#3` for a stack, `@1` for slices) of this length."""
        name = f"{mark}{self._taken[mark]}"
        self._taken[mark] += 1
        self.lengths[name] = Extent(length)
        return name

    def length(self, indices: Iterable[str]) -> Extent:
        """The product of the lengths of some indices."""
        return product(tuple(self.lengths[index] for index in indices))

    def count(self, indices: Iterable[str]) -> int:
        """The same at nominal run-time sizes."""
        return self.length(indices).at(self.sizes)

    def runs(self, value: Value) -> dict[str, layout.Axis[Extent]]:
        """The indices of a value with their strides."""
        return layout.runs(value, self.lengths)

    # ── values and operations ──────────────────────────────────────────────────────────────────

    def add(self, operation: Operation, *values: Value) -> Value:
        """Append an operation and the values it makes; the first is returned."""
        self._steps.append(Step(operation, self.contraction, note=self.note))
        self.values.update((value.name, value) for value in values)
        return values[0]

    def value(
        self,
        stem: str,
        axes: Axes,
        operands: Sequence[Value] = (),
        *,
        parametric: bool = False,
        varying: bool = False,
        integer: bool = False,
        elementwise: bool = False,
        complex: bool | None = False,
    ) -> Value:
        """A new value over these axes; it depends on what the operands depend on.

        It is contiguous or, where it is computed `elementwise`, in the order of its operands. It is
        complex where one of these is; without operands `complex` says so.
        """
        name = self.fresh(stem)
        shape = tuple(self.length(axis) for axis in axes)
        strides = layout.contiguous(shape)
        if elementwise:
            strides = layout.elementwise_strides(shape, tuple(operands), self.sizes)
        parametric = parametric or any(value.parametric for value in operands)
        varying = varying or any(value.varying for value in operands)
        if self.mixed and operands:
            complex = joined_complex(operands)
        return Value(name, axes, shape, strides, name, parametric, varying, integer, complex)

    def derive(self, kind: type[Unary], source: Value, axes: Axes, *attributes: object) -> Value:
        """A view of the source: the result of an operation of this kind with these attributes."""
        return self.derive_all(kind, source, (axes,), *attributes)[0]

    def derive_all(
        self,
        kind: type[Unary | op.Unbind | op.Split],
        source: Value,
        views: Sequence[Axes],
        *attributes: object,
    ) -> tuple[Value, ...]:
        """The same where the operation makes several views, each over axes of its own."""
        names = tuple(self.fresh(source.name) for _ in views)
        make: Callable[..., Operation] = kind
        target = names[0] if issubclass(kind, Unary) else names
        operation, values = make(target, source.name, *attributes), []
        for name, axes in zip(names, views, strict=True):
            shape = tuple(self.length(axis) for axis in axes)
            strides = layout.view_strides(operation, source, shape)
            assert strides is not None
            values.append(replace(source, name=name, axes=axes, shape=shape, strides=strides))
        self.add(operation, *values)
        return tuple(values)

    def argument(self, stem: str, key: str, axes: Axes, *, integer: bool) -> Value:
        """An input: the chunk of an iteration where there is a loop along one of its axes."""
        kind = None if self.mixed and not integer else False
        part = self.value(stem, axes, varying=True, integer=integer, complex=kind)
        whole = self._undivided(part)
        whole = replace(whole, strides=self._interface_strides(whole))
        self.add(op.Argument(whole.name, key), whole)
        if self.loop is None or (self.loop.index,) not in axes:
            return whole
        return self.derive(op.Chunk, whole, axes, axes.index((self.loop.index,)))

    def join(self, source: Value) -> Value:
        """The end of the loop: the chunks of all iterations as one value."""
        if self.loop is None:
            return source
        # `torch.cat` hands on some orders of axes, but not all: chunks are joined row major.
        order = self._memory_order(source.axes)
        source = self.contiguous(self.permute(source, order))
        self.lengths[self.loop.index] = Extent(1, (self.loop.index,))  # of all chunks, from here on
        whole = self.value(source.name, source.axes, (source,))
        axis = source.axes.index((self.loop.index,))
        self.add(op.ConcatChunks(whole.name, source.name, axis), whole)
        return self.permute(whole, _inverse(order))

    def in_format_of_caller(self, source: Value) -> Value:
        """The value as the caller's images lie in memory: row major or channels-last."""
        if source.strides == self._interface_strides(source):
            return source
        order = self._memory_order(source.axes)
        moved = self.contiguous(self.permute(source, order))
        return self.permute(moved, _inverse(order))

    def _memory_order(self, axes: Axes) -> tuple[int, ...]:
        """The axes of an input or the output as they lie in memory, the outermost first."""
        channels = self.network.channel_axis(axes) if self.network.channels_last else None
        order = [k for k in range(len(axes)) if k != channels]
        return tuple(order) if channels is None else (*order, channels)

    def _interface_strides(self, value: Value) -> tuple[Extent, ...]:
        """The strides of an input or the output, as the caller's images lie in memory."""
        channels = self.network.channel_axis(value.axes) if self.network.channels_last else None
        if channels is None:
            return layout.contiguous(value.shape)
        return layout.channels_last(value.shape, channels)

    def _undivided(self, part: Value) -> Value:
        """A contiguous value over all of the batch in place of a chunk."""
        if self.loop is None:
            return part
        shape = undivided(part.shape, self.loop)
        return replace(part, shape=shape, strides=layout.contiguous(shape))

    def view(self, source: Value, axes: Axes) -> Value:
        """The same indices in the same order, grouped as `axes`: a view, else a copy."""
        if axes == source.axes:
            return source
        runs = self.runs(source)
        parts = [layout.merged((runs[index] for index in axis), ONE) for axis in axes]
        base = self._viewed.get(source.name, source.name)
        if any(part is None for part in parts):
            if (moved := self._innermost_last(source)) is not source:
                return self.view(moved, axes)
            result = self.value(source.name, axes, (source,), integer=source.integer)
            return self.add(op.Copy(result.name, base), result)
        shape = tuple(part[0] for part in parts if part is not None)
        if shape == self.values[base].shape:
            return replace(self.values[base], axes=axes)
        name = self.fresh(source.name)
        strides = layout.along_nothing(shape, tuple(part[1] for part in parts if part is not None))
        self._viewed[name] = base
        result = replace(source, name=name, axes=axes, shape=shape, strides=strides)
        return self.add(op.View(name, base), result)

    def copy(self, source: Value, axes: Axes) -> Value:
        """The same indices in the same order, grouped as `axes`, in fresh contiguous memory."""
        result = self.view(source, axes)
        return result if result.storage != source.storage else self.contiguous(result)

    def _innermost_last(self, source: Value) -> Value:
        """The value copied once before it is transposed, where three or more blocks change places.

        Blocks move at the speed of memory while their innermost axis stays innermost, and two axes
        trade places at a fair speed; all of it at once took twice as long as one after the other.
        """
        strides = [stride.at(self.sizes) for stride in source.strides]
        lengths = [length.at(self.sizes) for length in source.shape]
        long = [axis for axis, length in enumerate(lengths) if length > 1]
        blocks = sum(
            1 for one, other in pairwise(long) if strides[one] != strides[other] * lengths[other]
        )
        inner = min(long, key=lambda axis: strides[axis], default=None)
        if inner is None or inner == long[-1] or blocks < 2 or math.prod(lengths) < TRANSPOSED:
            return source
        order = (*(axis for axis in range(len(lengths)) if axis != inner), inner)
        if tuple(source.strides[axis] for axis in order) == layout.contiguous(
            tuple(source.shape[axis] for axis in order)
        ):
            return source
        moved = self.contiguous(self.permute(source, order))
        return self.permute(moved, _inverse(order))

    def contiguous(self, source: Value) -> Value:
        """The same value in row-major memory: a copy where it is not."""
        if source.strides == layout.contiguous(source.shape):
            return source
        result = self.value(source.name, source.axes, (source,), integer=source.integer)
        return self.add(op.Contiguous(result.name, source.name), result)

    def split(self, source: Value) -> Value:
        """One axis an index, indices of size 1 dropped."""
        flat = (index for axis in source.axes for index in axis)
        return self.view(source, tuple((index,) for index in flat if self.lengths[index].factor > 1
                                       or self.lengths[index].names))  # fmt: skip

    def permute(self, source: Value, order: tuple[int, ...]) -> Value:
        """The axes in another order: a view."""
        axes = tuple(source.axes[k] for k in order)
        if source.name in self._permuted:  # from there in one step
            base, before = self._permuted[source.name]
            source, order = self.values[base], tuple(before[k] for k in order)
        if order == tuple(range(len(order))):
            return replace(source, axes=axes)
        result = self.derive(op.Permute, source, axes, order)
        self._permuted[result.name] = source.name, order
        return result

    def arrange(self, source: Value, axes: Axes) -> Value:
        """A split value with its indices permuted and grouped as `axes` says, copied if it must be.

        Indices that the value does not carry become axes of length 1 where they stand alone.
        """
        flat = [index for axis in axes for index in axis]
        order = [k for index in flat for k, axis in enumerate(source.axes) if axis == (index,)]
        moved = self.permute(source, tuple(order))
        carried = {index for axis in moved.axes for index in axis}
        return self.view(
            moved, tuple(tuple(index for index in axis if index in carried) for axis in axes)
        )

    def expand(self, source: Value, axes: Axes) -> Value:
        """Axes of length 1 repeated along the indices of `axes`, new ones in front: a view."""
        return source if source.axes == axes else self.derive(op.Expand, source, axes)

    def matmul(self, left: Value, right: Value) -> Value:
        """`left @ right` of two matrices or two stacks of matrices."""
        result = self.value("t", (*left.axes[:-1], right.axes[-1]), (left, right))
        return self.add(op.MatMul(result.name, left.name, right.name), result)

    def product_of(self, source: Value) -> Value | None:
        """The product or convolution, without bias, that a value is or is a reshaped view of.

        None for one of complex numbers: no call adds numbers of another kind to it.
        """
        base = self._viewed.get(source.name, source.name)
        producer = self._producer(base).operation
        unbiased = isinstance(producer, op.MatMul | op.Convolve) and producer.bias is None
        return self.values[base] if unbiased and self.values[base].complex is False else None

    def is_convolution(self, value: Value) -> bool:
        """Whether a convolution made the value."""
        return isinstance(self._producer(value.name).operation, op.Convolve)

    def with_bias(self, product: Value, bias: Value) -> Value:
        """The same product once more, with a bias: one that broadcasts, a vector along channels."""
        step = self._producer(product.name)
        assert isinstance(step.operation, op.MatMul | op.Convolve)
        operands = [*(self.values[name] for name in sources(step.operation)), bias]
        result = replace(self.value("t", product.axes, operands), strides=product.strides)
        biased = replace(step.operation, result=result.name, bias=bias.name)
        self._steps.append(replace(step, operation=biased))
        self.values[result.name] = result
        return result

    def _producer(self, name: str) -> Step:
        return next(step for step in reversed(self._steps) if name in results(step.operation))

    def elementwise(
        self, kind: type[op.Multiply | op.Divide | op.Add], left: Value, right: Value
    ) -> Value:
        """Product, quotient or sum of two values of equal rank; axes over nothing broadcast."""
        axes = tuple(a or b for a, b in zip(left.axes, right.axes, strict=True))
        result = self.value("t", axes, (left, right), elementwise=True)
        return self.add(kind(result.name, left.name, right.name), result)

    def sum(self, source: Value, indices: set[str]) -> Value:
        """The sum over some of the indices of a split value."""
        axes = tuple(k for k, axis in enumerate(source.axes) if indices & set(axis))
        if not axes:
            return source
        remaining = tuple(axis for k, axis in enumerate(source.axes) if k not in axes)
        result = self.value("t", remaining, (source,))
        return self.add(op.Sum(result.name, source.name, axes), result)

    def rescale(
        self, source: Value, legs: Set[str], stacks: Set[str] = frozenset()
    ) -> tuple[Value, Value]:
        """The value divided by its largest magnitude over all but `legs`, and the log of that.

        The logarithms of the members of `stacks` are summed.
        """
        axes = tuple(k for k, axis in enumerate(source.axes) if not legs & set(axis))
        apart = tuple(() if k in axes else axis for k, axis in enumerate(source.axes))
        scale = self.value("scale", apart, (source,), elementwise=not axes)
        scale = replace(scale, parametric=False, complex=False)
        self.add(op.Magnitude(scale.name, source.name, axes), scale)
        scaled = self.elementwise(op.Divide, source, scale)
        dropped = tuple(k for k, axis in enumerate(apart) if not axis or axis[0] in stacks)
        log = self.value("log", tuple(a for k, a in enumerate(apart) if k not in dropped), (scale,))
        if dropped == axes:
            strides = tuple(stride for k, stride in enumerate(scale.strides) if k not in axes)
            log = replace(log, strides=strides)
        return scaled, self.add(op.Log(log.name, scale.name, dropped), log)

    def times(self, source: Value, count: int) -> Value:
        """The value times a whole number."""
        if count == 1:
            return source
        result = self.value(source.name, source.axes, (source,), elementwise=True)
        return self.add(op.Times(result.name, source.name, count), result)

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def program(self, *returned: Value) -> TensorProgram:
        """The program that returns these values."""
        return assembled(self.values, self._steps, returned, self.runtime, self.loop)


def _inverse(order: tuple[int, ...]) -> tuple[int, ...]:
    """The order that undoes another one."""
    return tuple(order.index(k) for k in range(len(order)))
