"""Which results of a tree have equal values, because equal tensors meet in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from tncompile.network.contraction import Contraction, ContractionTree, Lookup
from tncompile.network.model import TensorNetwork

Key = tuple[object, ...]


class ValueNumbering:
    """Numbers the values of operands and results: equal numbers, equal values up to leg names.

    Known from the structure alone: a parameter that several tensors share, or one slice used twice,
    is one value, and so is what equal values give when they are contracted over the same legs.
    """

    def __init__(self, network: TensorNetwork, tree: ContractionTree) -> None:
        self._runtime = {index.name for index in network.indices if index.size is None}
        self._sizes = {index.name: index.size for index in network.indices}
        self._legs = tree.legs
        self._number: list[int] = []
        self._numbers: dict[Key, int] = {}
        self._first: dict[int, int] = {}
        for operand in tree.operands:
            tensor = network.tensors[operand.tensor]
            looked_up = _digits(operand.lookups, {leg: k for k, leg in enumerate(tensor.legs)})
            origin = (tensor.role, tensor.source, tensor.position, tensor.conjugate)
            self._give((*origin, operand.indicator, looked_up, self._pattern(operand.legs)))
        for step in tree.steps:
            self._give(self._key(step))
        self._counts = Counter(self._number)

    def before(self, step: Contraction) -> int | None:
        """An earlier result of the same value, if there is one."""
        first = self._first[self._number[step.result]]
        return None if first == step.result else first

    def first(self, side: int) -> int:
        """The first operand or result of the same value, maybe itself."""
        return self._first[self._number[side]]

    def count(self, side: int) -> int:
        """How many operands or results of the tree have this value."""
        return self._counts[self._number[side]]

    def _key(self, step: Contraction) -> Key:
        ours, theirs = self._legs[step.left], self._legs[step.right]
        place: dict[str, int | str] = {leg: k for k, leg in enumerate((*ours, *theirs))}
        return (
            self._number[step.left],
            self._number[step.right],
            tuple(place[leg] for leg in (*ours, *theirs)),
            tuple(place.get(leg, leg) for leg in step.legs),  # run-time legs come with ids
            self._pattern(step.legs),
            _digits(step.lookups, place),
        )

    def _give(self, key: Key) -> None:
        """Number the next value, anew for a new key."""
        number = self._numbers.setdefault(key, len(self._numbers))
        self._first.setdefault(number, len(self._number))
        self._number.append(number)

    def _pattern(self, legs: tuple[str, ...]) -> tuple[object, ...]:
        """Sizes of legs; run-time ones by name, since a batch axis is the same one everywhere."""
        return tuple(leg if leg in self._runtime else self._sizes[leg] for leg in legs)


def _digits(lookups: Sequence[Lookup], place: Mapping[str, object]) -> Key:
    return tuple((place.get(k.index, -1), k.ids, k.divisor, k.size) for k in lookups)
