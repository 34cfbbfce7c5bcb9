"""How tensors lie in memory at some run-time sizes: found once for all trees and all searches."""

from __future__ import annotations

import math
from collections.abc import Mapping

from tncompile.lowering.builder import ProgramBuilder
from tncompile.lowering.leaves import LeafLoader
from tncompile.lowering.schedule import Order
from tncompile.network.contraction import Operand
from tncompile.network.model import TensorNetwork
from tncompile.planning.layouts.structure import Convolutions
from tncompile.program.layout import Axis, as_matrix

Groups = tuple[Order, Order, Order]
"""Indices as the axes of matrices: batch, rows, columns."""


class MemoryOrder:
    """The indices of a tensor with their lengths and strides, in order of memory."""

    def __init__(self, order: Order, runs: Mapping[str, Axis[int]]) -> None:
        self.order, self.runs = order, runs
        self.indices = frozenset(order)
        self._matrices: dict[Groups, bool | None] = {}
        self._lies: dict[Order, bool] = {}

    def as_matrix(self, groups: Groups) -> bool | None:
        """Whether BLAS takes indices grouped so transposed; None where it takes a copy."""
        try:
            return self._matrices[groups]
        except KeyError:
            known = self._matrices[groups] = as_matrix(self.runs, groups, 1)
            return known

    def lies(self, order: Order) -> bool:
        """Whether it is row major in this order of its indices."""
        if (known := self._lies.get(order)) is not None:
            return known
        stride, row_major = 1, True
        for index in reversed(order):
            length, own = self.runs.get(index, (1, 1))  # a kernel of length 1 has no index
            if length != 1 and own != stride:
                row_major = False
                break
            stride *= length
        self._lies[order] = row_major
        return row_major


class Lengths:
    """The lengths of all indices at some run-time sizes, and what follows from them."""

    def __init__(
        self,
        network: TensorNetwork,
        sizes: Mapping[str, int],
        convolutions: Convolutions | None = None,
    ) -> None:
        self.convolutions = convolutions or Convolutions(network)
        self.size = {index.name: index.size or sizes[index.name] for index in network.indices}
        self._sizes = sizes
        self._builder = ProgramBuilder(network, sizes)
        self._loader = LeafLoader(self._builder, ())
        self._leaves: dict[Operand, tuple[MemoryOrder, bool, bool]] = {}
        self._row_major: dict[Order, MemoryOrder] = {}
        self._counts: dict[Order, int] = {}
        self._copies: dict[tuple[Order, Order], tuple[int, int]] = {}

    def leaf(self, operand: Operand) -> tuple[MemoryOrder, bool, bool]:
        """An operand of a tree; whether it depends on inputs, and on parameters."""
        if operand not in self._leaves:
            value, sizes = self._loader.load(operand), self._sizes
            symbolic = self._builder.runs(value).items()
            runs = {
                index: (length.at(sizes), stride.at(sizes)) for index, (length, stride) in symbolic
            }
            order = tuple(sorted(runs, key=lambda index: -runs[index][1]))
            self._leaves[operand] = MemoryOrder(order, runs), value.varying, value.parametric
        return self._leaves[operand]

    def row_major(self, order: Order) -> MemoryOrder:
        """A tensor without gaps."""
        if (known := self._row_major.get(order)) is not None:
            return known
        runs: dict[str, Axis[int]] = {}
        stride = 1
        for index in reversed(order):
            runs[index] = (self.size[index], stride)
            stride *= self.size[index]
        self._row_major[order] = known = MemoryOrder(order, runs)
        return known

    def count(self, indices: Order) -> int:
        """The number of elements."""
        if (known := self._counts.get(indices)) is not None:
            return known
        self._counts[indices] = known = math.prod(self.size[index] for index in indices)
        return known

    def copied(self, target: Order, order: Order) -> tuple[int, int]:
        """The elements of a copy from one order to another, and those of a contiguous run."""
        key = target, order
        if (known := self._copies.get(key)) is not None:
            return known
        lengths = tuple(self.size[index] for index in target)
        self._copies[key] = known = math.prod(lengths), run_length(lengths, order, target)
        return known


def run_length(lengths: tuple[int, ...], order: Order, target: Order) -> int:
    """The elements that stay contiguous when indices in memory `order` are copied to `target`.

    `lengths` are those of the indices of `target`.

    >>> run_length((2, 3, 4), ("b", "a", "c"), ("a", "b", "c"))
    4
    """
    common = 0
    for index, wanted in zip(reversed(order), reversed(target), strict=True):
        if index != wanted:
            break
        common += 1
    return math.prod(lengths[len(lengths) - common :])
