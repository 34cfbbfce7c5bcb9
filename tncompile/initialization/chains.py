"""Long chains in a network: paths and rings of tensors with at most two bonds each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tncompile.initialization.norm import LinearMap

LONG = 32
"""A chain of more tensors than this starts near the identity along its bonds."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Tensors that bonds join in a row, in order along it.

    tensors   positions in `LinearMap.tensors`
    bonds     every bond on one of them, those to tensors outside of the chain too
    traced    how many identities are traced out: one for a ring, none for an open row
    open      ends that are bonds to tensors outside of the chain: 0, 1 or 2
    """

    tensors: tuple[int, ...]
    bonds: tuple[str, ...]
    traced: int
    open: int


def long_chains(linear: LinearMap) -> tuple[Chain, ...]:
    """The chains of more than `LONG` tensors, in order of their first tensor."""
    inner = {i.name for i in linear.carried if i.name not in linear.outside}
    ends: dict[str, list[int]] = {name: [] for name in inner}
    for position, tensor in enumerate(linear.tensors):
        for leg in tensor.legs:
            if leg in inner:
                ends[leg].append(position)
    bonds = [
        tuple(leg for leg in tensor.legs if leg in inner) for tensor in linear.tensors
    ]  # fmt: skip
    links = [
        len(legs) in (1, 2) and all(len(ends[leg]) == 2 for leg in legs) for legs in bonds
    ]  # fmt: skip
    return tuple(chain for chain in _chains(bonds, links, ends) if len(chain.tensors) > LONG)


def _chains(
    bonds: list[tuple[str, ...]], links: list[bool], ends: dict[str, list[int]]
) -> Iterator[Chain]:
    """Each maximal row of links once."""
    seen = [False] * len(bonds)

    def neighbors(position: int) -> list[int]:
        return [other for leg in bonds[position] for other in ends[leg] if other != position]

    def walk(position: int, row: list[int]) -> None:
        while True:
            row.append(position)
            seen[position] = True
            ahead = [n for n in neighbors(position) if links[n] and not seen[n]]
            if not ahead:
                return
            position = ahead[0]

    for start, is_link in enumerate(links):
        if not is_link or seen[start]:
            continue
        forward: list[int] = []
        walk(start, forward)
        backward: list[int] = []
        for other in neighbors(start):
            if links[other] and not seen[other]:
                walk(other, backward)
        row = (*reversed(backward), *forward)
        counts = Counter(leg for position in row for leg in bonds[position])
        opened = sum(count == 1 for count in counts.values())
        closed = len(counts) - opened == len(row)
        yield Chain(row, tuple(counts), traced=int(closed), open=opened)


def identity_legs(linear: LinearMap, chains: tuple[Chain, ...]) -> dict[str, tuple[int, ...]]:
    """Parameter key -> where its bonds stand among its legs, for those that start as identities.

    A parameter that is used outside of the chains too, or with its bonds on other legs, is none.
    """
    chained = {position for chain in chains for position in chain.tensors}
    on_chain = {leg for chain in chains for leg in chain.bonds}
    places: dict[str, tuple[int, ...]] = {}
    mixed: set[str] = set()
    for position, tensor in enumerate(linear.tensors):
        legs = tuple(k for k, leg in enumerate(tensor.legs) if leg in on_chain)
        if position not in chained or places.setdefault(tensor.source, legs) != legs:
            mixed.add(tensor.source)
    return {key: legs for key, legs in places.items() if key not in mixed}
