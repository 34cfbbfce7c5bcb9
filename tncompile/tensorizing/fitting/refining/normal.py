"""The normal equations of one factor beside the others, ready to be filled with numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch

from tncompile.tensorizing.fitting.products.environments import Legs, Plan, planned
from tncompile.tensorizing.fitting.products.trees import Pieces, grouped

LARGEST_DIRECT = 3000
"""Unknowns of a system that is factorized; larger ones are solved by conjugate gradients."""

PRIME = "*"
"""What marks the legs of the second copy; no name of a leg has it."""


def primed(legs: Iterable[str], shared: Iterable[str]) -> Legs:
    """The legs of a second copy, which has some in common with the first."""
    common = set(shared)
    return tuple(leg if leg in common else leg + PRIME for leg in legs)


@dataclass(frozen=True)
class Layout:
    """The axes of a factor in three groups: batches, unknowns by the part they belong to, rest."""

    forth: tuple[int, ...]
    lengths: tuple[int, ...]  # of the axes in order
    shape: tuple[int, ...]

    def split(self, tensor: torch.Tensor) -> torch.Tensor:
        """(batch, unknowns of each part, right-hand sides)."""
        return tensor.permute(self.forth).reshape(self.shape)

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """The factor again."""
        back = [self.forth.index(k) for k in range(len(self.forth))]
        return tensor.reshape(self.lengths).permute(back)


@dataclass(frozen=True)
class _Part:
    """A normal matrix for each entry of its batch, from the pieces that make it."""

    members: tuple[int, ...]
    plan: Plan
    batch: tuple[int, ...]  # its axes among those of all batches, 1 where it has none
    unknowns: int


@dataclass(frozen=True)
class Grams:
    """The normal matrices of a factor: one for each part that hangs on it by legs of its own."""

    layout: Layout
    parts: tuple[_Part, ...]
    batch: tuple[int, ...]

    def __call__(self, pieces: Pieces) -> list[torch.Tensor]:
        """The matrices of each part: (batch, unknowns, unknowns)."""
        found = []
        for part in self.parts:
            gram = part.plan([pieces[k] for k in part.members])
            tail = part.unknowns, part.unknowns
            gram = gram.reshape(*part.batch, *tail)
            if math.prod(part.batch) > 1:
                gram = gram.expand(*self.batch, *tail)
            found.append(gram.reshape(-1, *tail))
        return found

    @property
    def direct(self) -> bool:
        """Whether all of them are small enough to be factorized."""
        batch = math.prod(self.batch)
        return all(
            part.unknowns <= LARGEST_DIRECT and batch * part.unknowns**2 <= LARGEST_DIRECT**2
            for part in self.parts
        )

    @property
    def multiply_adds(self) -> int:
        """What making and factorizing them takes."""
        made = sum(part.plan.multiply_adds for part in self.parts)
        return made + math.prod(self.batch) * sum(part.unknowns**3 for part in self.parts)


def grams(
    pieces: Sequence[Legs],
    owners: Sequence[int],
    legs: Legs,
    shared: frozenset[str],
    sizes: Mapping[str, int],
) -> Grams:
    """The normal matrices of a factor with these legs, from the pieces of the doubled rest.

    Pieces of one owner are two copies of one tensor. Legs that are `shared` by both copies are
    batches where a piece has them, else right-hand sides.
    """
    kept = shared.intersection(legs)
    own = {leg: leg + PRIME for leg in legs if leg not in shared}
    members = grouped(
        [
            {leg.removesuffix(PRIME) for leg in piece} - kept | {f"#{owner}"}
            for piece, owner in zip(pieces, owners, strict=True)
        ]
    )
    carried = {leg for piece in pieces for leg in piece}
    batch = tuple(leg for leg in legs if leg in shared and leg in carried)
    parts: list[_Part] = []
    inner: list[str] = []
    widths: list[int] = []
    for group in members:
        terms = [pieces[k] for k in group]
        there = {leg for term in terms for leg in term}
        mine = tuple(leg for leg in own if leg in there)
        lead = tuple(leg for leg in batch if leg in there)
        plan = planned(terms, (*lead, *mine, *(own[leg] for leg in mine)), sizes)
        unknowns = math.prod(sizes[leg] for leg in mine)
        lengths = tuple(sizes[leg] if leg in lead else 1 for leg in batch)
        parts.append(_Part(group, plan, lengths, unknowns))
        inner += mine
        widths.append(unknowns)
    free = tuple(leg for leg in legs if leg not in inner and leg not in batch)
    order = (*batch, *inner, *free)
    count = math.prod(sizes[leg] for leg in batch), math.prod(sizes[leg] for leg in free)
    layout = Layout(
        tuple(legs.index(leg) for leg in order),
        tuple(sizes[leg] for leg in order),
        (count[0], *widths, count[1]),
    )
    return Grams(layout, tuple(parts), tuple(sizes[leg] for leg in batch))
