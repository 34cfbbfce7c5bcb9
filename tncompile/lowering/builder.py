"""Builds a tensor program operation by operation and tracks the layout of every value."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

from tncompile.lowering.finishing import Parts, build_program
from tncompile.network.model import TensorNetwork
from tncompile.program.layout import (
    Axis,
    along_nothing,
    contiguous,
    elementwise_strides,
    merged,
    runs,
)
from tncompile.program.operations import (
    Add,
    Argument,
    Chunk,
    ConcatChunks,
    Contiguous,
    ContiguousGrad,
    Copy,
    Expand,
    MatMul,
    Multiply,
    Operation,
    Permute,
    Rescale,
    Sum,
    Times,
    View,
    results,
)
from tncompile.program.program import ONE, Extent, Step, TensorProgram, Value, product

Axes = tuple[tuple[str, ...], ...]

NOMINAL = 64
"""The run-time size at which two layouts are compared where none is planned for."""


TRANSPOSED = 2**16
"""Elements from which a transposition is worth a copy of its own before it."""


class ProgramBuilder:
    """Values and steps of a program so far; `lengths` holds the length of every index and stack.

    With `parts`, each input is cut into chunks when it is loaded; from there on the index has the
    length of one chunk.
    """

    def __init__(
        self, network: TensorNetwork, sizes: Mapping[str, int], parts: Parts | None = None
    ) -> None:
        self.network = network
        self.lengths: dict[str, Extent] = {
            index.name: Extent(1, (index.name,)) if index.size is None else Extent(index.size)
            for index in network.indices
        }
        self.runtime = tuple(index.name for index in network.indices if index.size is None)
        self.sizes = {name: sizes.get(name, NOMINAL) for name in self.runtime}
        self.parts = parts
        if parts is not None:
            self.lengths[parts.index] = Extent(1, (parts.name,))
            self.sizes[parts.name] = min(parts.rows, self.sizes[parts.index])
        self.values: dict[str, Value] = {}
        self.contraction: int | None = None
        self.note = ""
        self._steps: list[Step] = []
        self._taken: Counter[str] = Counter()
        self._stem: dict[str, str] = {}
        self._viewed: dict[str, str] = {}

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

    def runs(self, value: Value) -> dict[str, Axis[Extent]]:
        """The indices of a value with their strides."""
        return runs(value, self.lengths)

    # ── operations ─────────────────────────────────────────────────────────────────────────────

    def add(self, operation: Operation, *values: Value) -> Value:
        """Append an operation and the values it makes; the first is returned."""
        self._steps.append(Step(operation, self.contraction, note=self.note))
        self.values.update((value.name, value) for value in values)
        return values[0]

    def value(
        self,
        name: str,
        axes: Axes,
        operands: Sequence[Value] = (),
        *,
        parametric: bool = False,
        varying: bool = False,
        integer: bool = False,
    ) -> Value:
        """A fresh contiguous value over these axes; it depends on what the operands depend on."""
        shape = tuple(self.length(axis) for axis in axes)
        return Value(
            name,
            axes,
            shape,
            contiguous(shape),
            name,
            parametric or any(value.parametric for value in operands),
            varying or any(value.varying for value in operands),
            integer,
        )

    def argument(self, name: str, key: str, axes: Axes, *, integer: bool) -> Value:
        """An input as a whole."""
        with self._whole():
            result = self.value(name, axes, varying=True, integer=integer)
        return self.add(Argument(name, key), result)

    def part(self, source: Value) -> Value:
        """The chunk of an input in one iteration of the loop; all of it where there is no loop."""
        if self.parts is None or (self.parts.index,) not in source.axes:
            return source
        name, axis = self.fresh(source.name), source.axes.index((self.parts.index,))
        shape = (*source.shape[:axis], self.lengths[self.parts.index], *source.shape[axis + 1 :])
        result = replace(source, name=name, shape=shape)
        return self.add(Chunk(name, source.name, axis), result)

    def join(self, source: Value) -> Value:
        """The end of the loop: the chunks of all iterations as one value."""
        if self.parts is None:
            return source
        source = self.contiguous(source)  # `torch.cat` hands on some orders of axes, but not all
        name = self.fresh(source.name)
        with self._whole():
            result = self.value(name, source.axes, (source,))
        return self.add(
            ConcatChunks(name, source.name, source.axes.index((self.parts.index,))), result
        )

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Lengths as they are outside of the loop."""
        if self.parts is None:
            yield
            return
        inside = self.lengths[self.parts.index]
        self.lengths[self.parts.index] = Extent(1, (self.parts.index,))
        yield
        self.lengths[self.parts.index] = inside

    def view(self, source: Value, axes: Axes) -> Value:
        """The same indices in the same order, grouped as `axes`: a view, else a copy."""
        if axes == source.axes:
            return source
        runs = self.runs(source)
        parts = [merged((runs[index] for index in axis), ONE) for axis in axes]
        base = self._viewed.get(source.name, source.name)
        if any(part is None for part in parts):
            if (moved := self._innermost_last(source)) is not source:
                return self.view(moved, axes)
            name = self.fresh(source.name)
            result = replace(self.value(name, axes, (source,)), integer=source.integer)
            return self.add(Copy(name, base), result)
        shape = tuple(part[0] for part in parts if part is not None)
        if shape == self.values[base].shape:
            return replace(self.values[base], axes=axes)
        name = self.fresh(source.name)
        strides = along_nothing(shape, tuple(part[1] for part in parts if part is not None))
        self._viewed[name] = base
        result = replace(source, name=name, axes=axes, shape=shape, strides=strides)
        return self.add(View(name, base), result)

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
        if tuple(source.strides[axis] for axis in order) == contiguous(
            tuple(source.shape[axis] for axis in order)
        ):
            return source
        moved = self.contiguous(self.permute(source, order))
        back = tuple(order.index(axis) for axis in range(len(lengths)))
        return self.permute(moved, back)

    def contiguous(self, source: Value) -> Value:
        """The same value in row-major memory: a copy where it is not."""
        if source.strides == contiguous(source.shape):
            return source
        name = self.fresh(source.name)
        return self.add(
            Contiguous(name, source.name),
            replace(self.value(name, source.axes, (source,)), integer=source.integer),
        )

    def split(self, source: Value) -> Value:
        """One axis an index, indices of size 1 dropped."""
        flat = (index for axis in source.axes for index in axis)
        return self.view(source, tuple((index,) for index in flat if self.lengths[index].factor > 1
                                       or self.lengths[index].names))  # fmt: skip

    def permute(self, source: Value, order: tuple[int, ...]) -> Value:
        """The axes in another order: a view."""
        if order == tuple(range(len(order))):
            return source
        name = self.fresh(source.name)
        result = replace(
            source,
            name=name,
            axes=tuple(source.axes[k] for k in order),
            shape=tuple(source.shape[k] for k in order),
            strides=tuple(source.strides[k] for k in order),
        )
        return self.add(Permute(name, source.name, order), result)

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
        """Axes of length 1 repeated along the indices of `axes`: a view of stride 0."""
        if source.axes == axes:
            return source
        name = self.fresh(source.name)
        strides = tuple(
            stride if old == new else Extent(0)
            for old, new, stride in zip(source.axes, axes, source.strides, strict=True)
        )
        shape = tuple(self.length(axis) for axis in axes)
        result = replace(source, name=name, axes=axes, shape=shape, strides=strides)
        return self.add(Expand(name, source.name), result)

    def repeat(self, source: Value, indices: tuple[str, ...]) -> Value:
        """The same value along a new first axis over these indices: a view of stride 0."""
        name = self.fresh(source.name)
        result = replace(
            source,
            name=name,
            axes=(indices, *source.axes),
            shape=(self.length(indices), *source.shape),
            strides=(Extent(0), *source.strides),
        )
        return self.add(Expand(name, source.name), result)

    def settle(self, source: Value) -> Value:
        """The same value, whose gradient is made row major in backward."""
        name = self.fresh(source.name)
        return self.add(ContiguousGrad(name, source.name), replace(source, name=name))

    def matmul(self, left: Value, right: Value) -> Value:
        """`left @ right` of two matrices or two stacks of matrices."""
        name = self.fresh("t")
        axes = (*left.axes[:-1], right.axes[-1])
        return self.add(MatMul(name, left.name, right.name), self.value(name, axes, (left, right)))

    def product_of(self, source: Value) -> Value | None:
        """The matrix product, without bias, that a value is or is a reshaped view of."""
        base = self._viewed.get(source.name, source.name)
        for step in reversed(self._steps):
            if base in results(step.operation):
                plain = isinstance(step.operation, MatMul) and step.operation.bias is None
                return self.values[base] if plain else None
        return None

    def with_bias(self, matmul: Value, bias: Value) -> Value:
        """Another matrix product of the same operands with a bias that broadcasts to it."""
        for step in self._steps:
            operation = step.operation
            if isinstance(operation, MatMul) and operation.result == matmul.name:
                name = self.fresh("t")
                operands = (self.values[operation.left], self.values[operation.right], bias)
                biased = replace(operation, result=name, bias=bias.name)
                self._steps.append(replace(step, operation=biased))
                self.values[name] = self.value(name, matmul.axes, operands)
                return self.values[name]
        raise KeyError(matmul.name)

    def elementwise(self, kind: type[Multiply] | type[Add], left: Value, right: Value) -> Value:
        """Product or sum of two values of equal rank; axes over nothing broadcast."""
        name = self.fresh("t")
        axes = tuple(a or b for a, b in zip(left.axes, right.axes, strict=True))
        result = self.value(name, axes, (left, right))
        strides = elementwise_strides(result.shape, (left, right), self.sizes)
        return self.add(kind(name, left.name, right.name), replace(result, strides=strides))

    def sum(self, source: Value, indices: set[str]) -> Value:
        """The sum over some of the indices of a split value."""
        axes = tuple(k for k, axis in enumerate(source.axes) if indices & set(axis))
        if not axes:
            return source
        name = self.fresh("t")
        remaining = tuple(axis for k, axis in enumerate(source.axes) if k not in axes)
        return self.add(Sum(name, source.name, axes), self.value(name, remaining, (source,)))

    def rescale(self, source: Value, legs: set[str]) -> tuple[Value, Value]:
        """The value divided by its largest magnitude over all but `legs`, and the log of that."""
        axes = tuple(k for k, axis in enumerate(source.axes) if not legs & set(axis))
        name, log = self.fresh("t"), self.fresh("log")
        strides = elementwise_strides(source.shape, (source,), self.sizes)
        scaled = replace(self.value(name, source.axes, (source,)), strides=strides)
        scale = self.value(
            log, tuple(axis for k, axis in enumerate(source.axes) if k not in axes), (source,)
        )
        self.add(Rescale(name, log, source.name, axes), scaled, scale)
        return scaled, scale

    def times(self, source: Value, count: int) -> Value:
        """The value times a whole number."""
        if count == 1:
            return source
        name = self.fresh(source.name)
        strides = elementwise_strides(source.shape, (source,), self.sizes)
        result = replace(self.value(name, source.axes, (source,)), strides=strides)
        return self.add(Times(name, source.name, count), result)

    # ── the end ────────────────────────────────────────────────────────────────────────────────

    def program(self, result: Value, log: Value | None) -> TensorProgram:
        """The finished program: what nothing reads is left out, dead values are dropped."""
        logarithm = log.name if log is not None else None
        return build_program(
            self._steps, self.values, self.runtime, self.parts, result.name, logarithm
        )
