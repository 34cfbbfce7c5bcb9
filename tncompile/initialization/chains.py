"""Long chains in a network: paths and rings of tensors with at most two bonds each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tncompile.initialization.norm import LinearMap

LONG = 32  # a chain of more tensors than this starts near the identity along its bonds


@dataclass(frozen=True, slots=True)
class Chain:
    """Tensors that bonds join in a row, in order along it."""

    tensors: tuple[int, ...]  # positions in `LinearMap.tensors`
    bonds: tuple[str, ...]  # every bond on one of them, those to tensors outside of the chain too
    widest: int  # the size of the widest of them
    traced: int  # how many identities are traced out: one for a ring, none for an open row
    open: int  # ends that are bonds to tensors outside of the chain: 0, 1 or 2


def long_chains(linear: LinearMap) -> tuple[Chain, ...]:
    """The chains of more than `LONG` tensors, in order of their first tensor."""
    size = {i.name: i.size or 1 for i in linear.carried if i.name not in linear.outside}
    bonds = [tuple(leg for leg in tensor.legs if leg in size) for tensor in linear.tensors]
    ends: dict[str, list[int]] = {}
    for position, legs in enumerate(bonds):
        for leg in legs:
            ends.setdefault(leg, []).append(position)
    links = [len(legs) in (1, 2) and all(len(ends[leg]) == 2 for leg in legs) for legs in bonds]
    seen = {position for position, is_link in enumerate(links) if not is_link}

    def walk(position: int) -> Iterator[int]:
        """From a link on along one side, as far as there are more."""
        ahead: int | None = position
        while ahead is not None:
            yield ahead
            seen.add(ahead)
            near = (other for leg in bonds[ahead] for other in ends[leg])
            ahead = next((other for other in near if other not in seen), None)

    chains: list[Chain] = []
    for start in range(len(bonds)):
        if start in seen:
            continue
        forward, (_, *backward) = list(walk(start)), walk(start)
        row = (*reversed(backward), *forward)
        counts = Counter(leg for position in row for leg in bonds[position])
        opened = sum(count == 1 for count in counts.values())
        closed = len(counts) - opened == len(row)
        widest = max(size[leg] for leg in counts)
        if len(row) > LONG:
            chains.append(Chain(row, tuple(counts), widest, traced=int(closed), open=opened))
    return tuple(chains)


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
