"""What hangs on each factor of a product, for all factors of a sweep from one contraction tree.

Factors that lie beside each other in a tree share what they are contracted with: a sweep costs
three contractions of the product, however many factors there are (dimension trees: Phan, Tichavský
and Cichocki, "Fast alternating LS algorithms for high order CANDECOMP/PARAFAC tensor
factorizations", 2013; Kaya and Uçar, "Parallel CP decomposition of sparse tensors using dimension
trees", 2016). Tensors that no sum joins are kept apart: their product is never made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from tncompile.tensorizing.fitting.products.environments import Legs, Pair, Plan, planned

Pieces = list[torch.Tensor]
"""Tensors whose product is meant."""


@dataclass(frozen=True)
class Join:
    """Pieces with some legs summed: what a sum runs over becomes one, the others stay."""

    groups: tuple[tuple[tuple[int, ...], Plan | None], ...]
    legs: tuple[Legs, ...]  # of the results

    def __call__(self, pieces: Pieces) -> Pieces:
        """The results."""
        return [
            pieces[members[0]] if plan is None else plan([pieces[k] for k in members])
            for members, plan in self.groups
        ]


def joined(pieces: Sequence[Legs], kept: Iterable[str], sizes: Mapping[str, int]) -> Join:
    """How legs that are not `kept` are summed."""
    keep = set(kept)
    plans: list[tuple[tuple[int, ...], Plan | None]] = []
    results: list[Legs] = []
    for members in grouped([set(legs) - keep for legs in pieces]):
        terms = [pieces[k] for k in members]
        union = dict.fromkeys(leg for legs in terms for leg in legs)
        result = tuple(leg for leg in union if leg in keep)
        alone = len(result) == len(union)
        plans.append((members, None if alone else planned(terms, result, sizes)))
        results.append(result)
    return Join(tuple(plans), tuple(results))


def grouped(sets: Sequence[set[str]]) -> list[tuple[int, ...]]:
    """The places of sets that meet each other, directly or by way of others."""
    groups: list[tuple[set[str], tuple[int, ...]]] = []
    for number, each in enumerate(sets):
        meeting = [group for group in groups if not group[0].isdisjoint(each)]
        union = set(each).union(*(group[0] for group in meeting))
        members = sorted([number, *(k for group in meeting for k in group[1])])
        groups = [*(group for group in groups if group not in meeting), (union, tuple(members))]
    return sorted(members for _, members in groups)


@dataclass(frozen=True)
class Node:
    """A part of the factors, split in two; one that is not split is a factor."""

    number: int
    places: tuple[int, ...]
    children: tuple[Node, ...] = ()

    def below(self) -> Iterator[Node]:
        """The nodes of the subtree, children before parents."""
        for child in self.children:
            yield from child.below()
        yield self


def tree(places: Sequence[int], pairs: Sequence[Pair]) -> Node:
    """The tree of contractions in pairs; a subtree with an earlier place comes first."""
    nodes = [Node(number, (place,)) for number, place in enumerate(places)]
    for left, right in pairs:
        both = sorted((nodes[left], nodes[right]), key=lambda node: node.places)
        union = tuple(sorted(both[0].places + both[1].places))
        nodes.append(Node(len(nodes), union, tuple(both)))
    return nodes[-1]


class Environments:
    """Values of subtrees, and what is around them, under a tree whose factors change one by one.

    `leaves` are the legs of each factor, `root` the pieces that are around the whole of it, and
    `kept` says which legs of some factors others, or the root, carry too.
    """

    def __init__(
        self,
        root: Node,
        leaves: Mapping[int, Legs],
        around: Sequence[Legs],
        kept: Callable[[tuple[int, ...]], set[str]],
        sizes: Mapping[str, int],
    ) -> None:
        self._root, self._sizes, self._kept = root, sizes, kept
        self.multiply_adds = self.largest = 0
        self._up: dict[int, Join] = {}
        self._down: dict[int, Join] = {}
        self._legs: dict[int, tuple[Legs, ...]] = {}
        for node in root.below():
            if not node.children:
                self._legs[node.number] = (leaves[node.places[0]],)
            elif node is not root:
                pieces = [legs for child in node.children for legs in self._legs[child.number]]
                self._up[node.number] = made = self._joined(pieces, node)
                self._legs[node.number] = made.legs
        self.legs: dict[int, tuple[Legs, ...]] = {root.number: tuple(around)}
        self._descend(root)
        self._values: dict[int, Pieces] = {}
        self._around: dict[int, Pieces] = {}

    def _descend(self, node: Node) -> None:
        for child, sibling in zip(node.children, node.children[::-1], strict=True):
            pieces = [*self.legs[node.number], *self._legs[sibling.number]]
            self._down[child.number] = made = self._joined(pieces, child)
            self.legs[child.number] = made.legs
            self._descend(child)

    def _joined(self, pieces: Sequence[Legs], node: Node) -> Join:
        made = joined(pieces, self._kept(node.places), self._sizes)
        self.multiply_adds += sum(plan.multiply_adds for _, plan in made.groups if plan)
        sizes = (math.prod(self._sizes[leg] for leg in legs) for legs in made.legs)
        self.largest = max([self.largest, *sizes])
        return made

    def fill(self, leaves: Mapping[int, torch.Tensor]) -> None:
        """Give every factor a value."""
        for node in self._root.below():
            if node.children:
                self.ascend(node)
            else:
                self._values[node.number] = [leaves[node.places[0]]]

    def begin(self, around: Pieces) -> None:
        """Give the root what is around it."""
        self._around = {self._root.number: around}

    def put(self, leaf: Node, tensor: torch.Tensor) -> None:
        """Change a factor; its parents follow when they are ascended to."""
        self._values[leaf.number] = [tensor]

    def ascend(self, node: Node) -> None:
        """The value of a subtree from those of its halves."""
        if node is not self._root:
            pieces = [each for child in node.children for each in self._values[child.number]]
            self._values[node.number] = self._up[node.number](pieces)

    def descend(self, node: Node, child: Node) -> None:
        """What is around a half, from what is around the whole and from the other half."""
        (sibling,) = (other for other in node.children if other is not child)
        pieces = [*self._around[node.number], *self._values[sibling.number]]
        self._around[child.number] = self._down[child.number](pieces)

    def around(self, leaf: Node) -> Pieces:
        """What is around a factor, with `legs` of its number."""
        return self._around[leaf.number]
