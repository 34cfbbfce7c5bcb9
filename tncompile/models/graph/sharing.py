"""Products that several `network { … }` begin with, by their orders: they are computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tncompile.language.typing.operations import Contract, Legs, Operation
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Shape, Value, higher
from tncompile.models.contracting import (
    Names,
    Ordered,
    SumOfProducts,
    joined,
    names_of,
)
from tncompile.network.model import DOTS
from tncompile.planning.paths.problem import Path


@dataclass(frozen=True, slots=True)
class Shared:
    """Operations in order, those of products that are read more than once before their readers.

    `instead` is what is computed in the place of operations that read them, with equal results.
    """

    operations: Sequence[Operation]
    instead: Mapping[Operation, Operation]

    def computed(self) -> list[Operation]:
        """What is computed, in order."""
        return [self.instead.get(each, each) for each in self.operations]


def share_products(operations: Sequence[Operation], order: Callable[[Contract], Path]) -> Shared:
    """The operations of a method where equal products of equal operands are one.

    `order` says in which order a contraction multiplies its operands.

    In a `repeat` nothing is shared, so that its turns stay alike.
    """
    trees: dict[Operation, _Tree] = {}
    known: dict[Hashable, int] = {}
    for operation in operations:
        if isinstance(operation, Contract) and len(operation.operands) > 2 and not operation.turns:
            trees[operation] = _Tree.of(operation, order(operation), known)
    counts = Counter(node.number for tree in trees.values() for node in tree.inner())
    shared: dict[int, Value] = {}
    made: list[Operation] = []
    instead: dict[Operation, Operation] = {}
    for operation in operations:
        if operation in trees:
            tree = trees[operation]
            for node in tree.inner():
                if counts[node.number] > 1 and node.number not in shared:
                    shared[node.number] = value = tree.value(node, shared)
                    made.append(value.operation)
            if any(node.number in shared for node in tree.inner()):
                instead[operation] = tree.rest(shared)
        made.append(operation)
    return Shared(made, instead)


@dataclass(slots=True)
class _Node:
    """An operand, or a product of two of the same contraction.

    number  equal ones of equal operands have the same, in all contractions
    names   its legs here, `...` first
    """

    number: int
    names: Names
    operand: int | None = None
    sides: tuple[_Node, _Node] | None = None

    def operands(self) -> Iterator[int]:
        """The operands of the contraction in it."""
        if self.sides is None:
            assert self.operand is not None
            yield self.operand
            return
        for side in self.sides:
            yield from side.operands()


@dataclass(slots=True)
class _Tree:
    """One contraction, product by product."""

    operation: Contract
    products: SumOfProducts
    order: Path
    nodes: list[_Node] = field(default_factory=list)

    @staticmethod
    def of(operation: Contract, order: Path, known: dict[Hashable, int]) -> _Tree:
        """The products of a contraction in this order; `known` are numbers by what is computed."""
        tree = _Tree(operation, joined(operation), order)
        sizes = dict(tree.products.sizes)
        for k, (value, legs, term) in enumerate(
            zip(operation.operands, tree.products.legs, tree.products.terms, strict=True)
        ):
            names = names_of(legs)
            axes = tuple(tuple((names.index(n), sizes[n]) for n in axis) for axis in legs.axes)
            key: Hashable = (value, axes, legs.dots, tuple(name in term for name in names))
            number = known.setdefault(key, len(known))
            tree.nodes.append(_Node(number, tuple(n for n in names if n in term), k))
        alive = set(range(len(tree.nodes)))
        output = set(names_of(tree.products.output))
        for one, two in order:
            alive -= {one, two}
            needed = output.union(*(tree.nodes[k].names for k in alive))
            left, right = sorted((tree.nodes[one], tree.nodes[two]), key=lambda node: node.number)
            both = tuple(dict.fromkeys((*left.names, *right.names)))
            places = tuple(both.index(name) for name in right.names)
            key = (left.number, right.number, places, tuple(name in needed for name in both))
            number = known.setdefault(key, len(known))
            alive.add(len(tree.nodes))
            names = tuple(n for n in both if n in needed)
            tree.nodes.append(_Node(number, names, sides=(left, right)))
        return tree

    def inner(self) -> list[_Node]:
        """The products that are not the result, in order."""
        return self.nodes[len(self.operation.operands) : -1]

    def value(self, node: _Node, shared: Mapping[int, Value]) -> Value:
        """A product of two by itself; what is in it is shared, too."""
        assert node.sides is not None
        given = [self._given(side, shared) for side in node.sides]
        values, legs = zip(*given, strict=True)
        output = _plain(node.names)
        lengths = dict(self.products.sizes)
        used = dict.fromkeys(name for each in legs for axis in each.axes for name in axis)
        sizes: dict[str, Size] = {name: lengths[name] for name in used}
        operation = Ordered(
            values,
            span=self.operation.span,
            legs=legs,
            output=output,
            sizes=sizes,
            order=((0, 1),),
        )
        shape = Shape(tuple(lengths[name] for (name,) in output.axes), output.dots)
        kind = higher("float", *(value.kind for value in values))
        constant = all(value.constant for value in values)
        return Value(kind, shape, operation, constant=constant, span=self.operation.span)

    def rest(self, shared: Mapping[int, Value]) -> Contract:
        """The contraction of what is shared with the other operands."""
        leaves = sorted(self._ends(self.nodes[-1], shared), key=lambda node: min(node.operands()))
        numbers = {id(node): k for k, node in enumerate(leaves)}  # of nodes, by identity
        pairs: list[tuple[int, int]] = []
        for node, pair in zip(self.nodes[len(self.operation.operands) :], self.order, strict=True):
            sides = [numbers.get(id(self.nodes[k])) for k in pair]
            if id(node) in numbers or None in sides:
                continue
            first, second = sorted(side for side in sides if side is not None)
            pairs.append((first, second))
            numbers[id(node)] = len(leaves) + len(pairs) - 1
        values, legs = zip(*(self._given(node, shared) for node in leaves), strict=True)
        sizes = dict(self.products.sizes)
        return Ordered(
            values,
            span=self.operation.span,
            legs=legs,
            output=self.products.output,
            sizes=sizes,
            order=tuple(pairs),
        )

    def _ends(self, node: _Node, shared: Mapping[int, Value]) -> Iterator[_Node]:
        """The largest products below a node that are shared, and the other operands."""
        if node.number in shared or node.sides is None:
            yield node
            return
        for side in node.sides:
            yield from self._ends(side, shared)

    def _given(self, node: _Node, shared: Mapping[int, Value]) -> tuple[Value, Legs]:
        """A node as an operand."""
        if node.number in shared:
            return shared[node.number], _plain(node.names)
        assert node.operand is not None
        return self.operation.operands[node.operand], self.products.legs[node.operand]


def _plain(names: Names) -> Legs:
    return Legs(tuple((name,) for name in names if name != DOTS), DOTS in names)
