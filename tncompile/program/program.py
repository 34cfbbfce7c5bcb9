"""The tensor program: a tiny IR in which every operation is exactly one call of PyTorch.

A program is straight-line, but for one loop over chunks of a batch. The shape, strides and storage
of every value are known symbolically, so that costs, copies and peak memory can be read off before
anything runs, and the emitter has no decision left.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tncompile.program.operation import Operation


@dataclass(frozen=True, slots=True)
class Extent:
    """A size: a number times sizes known at run time (`12 * B`)."""

    factor: int = 1
    names: tuple[str, ...] = ()  # sorted names of run-time indices: batch axes, `...`

    def __mul__(self, other: Extent) -> Extent:
        if not other.names and other.factor == 1:
            return self
        if not self.names and self.factor == 1:
            return other
        names = self.names + other.names
        return Extent(self.factor * other.factor, tuple(sorted(names)) if len(names) > 1 else names)

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number, given the run-time sizes by index name."""
        number = self.factor
        for name in self.names:
            number *= sizes[name]
        return number


ONE = Extent()


def product(extents: tuple[Extent, ...]) -> Extent:
    """The product of some extents, 1 for none."""
    return math.prod(extents, start=ONE)


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of the program: `axes[k]` are the indices that axis k runs over, row major.

    Pseudo-indices begin with `#` (members of a stack), `@` (slices of an input) or `|` (what `as`
    leaves of an axis); an axis of length 1 may run over nothing. `strides` are in elements;
    `storage` is the name of the value that owns the memory (its own for a fresh one).
    `parametric`: its gradient flows to parameters; `varying`: depends on inputs. An `integer` value
    holds ids. A `complex` one holds complex numbers; None where inputs decide, which may be real or
    complex as soon as a parameter of the network is complex.
    """

    name: str
    axes: tuple[tuple[str, ...], ...]
    shape: tuple[Extent, ...]
    strides: tuple[Extent, ...]
    storage: str
    parametric: bool
    varying: bool
    integer: bool = False
    complex: bool | None = False

    @property
    def size(self) -> Extent:
        """The number of elements."""
        return product(self.shape)


def joined_complex(operands: Iterable[Value]) -> bool | None:
    """Whether what is computed from several values is complex: `Value.complex` of the result."""
    kinds = {value.complex for value in operands}
    return True if True in kinds else None if None in kinds else False


@dataclass(frozen=True, slots=True)
class Step:
    """An operation, the contraction that it belongs to, and the values that are dead after it.

    `contraction` is the number (`Contraction.result`) of the plan's contraction, None for the
    output; of a batched one it is the first. `drops` are the names that no later step reads; their
    memory stays alive while a view of it does.
    """

    operation: Operation
    contraction: int | None = None
    drops: tuple[str, ...] = ()
    note: str = ""  # what it computes, in names of the spec


@dataclass(frozen=True, slots=True)
class Loop:
    """Steps `start` to `stop` run once for every `rows` entries of a run-time index.

    They begin with a `Chunk` of each input that has `index`, and end with one `ConcatChunks`.
    `part` names the length of a chunk in the extents of their values: `rows`, or fewer in the last
    iteration. With `recompute` autograd saves only the inputs of an iteration, which backward runs
    again.
    """

    index: str
    part: str
    rows: int
    start: int
    stop: int
    recompute: bool = False


@dataclass(frozen=True, slots=True)
class TensorProgram:
    """A whole forward: values by name, steps in order, and the names of what it returns.

    The result has one axis for each axis of the network's output, groups flattened and cut, biases
    added; only `...` is still one axis, which `forward` unflattens.
    `runtime` names the run-time sizes, in the order of the network's indices. The program of a
    network with `log` returns two values: one of magnitude about one and the logarithm of its
    scale, shaped to broadcast against it.
    """

    values: Mapping[str, Value]
    steps: tuple[Step, ...]
    returns: tuple[str, ...]
    runtime: tuple[str, ...]
    loop: Loop | None = None
