"""A sum of terms that are networks themselves, block terms above all, from a block diagonalization.

De Lathauwer, "Decompositions of a higher-order tensor in block terms, part II", 2008: two mixtures
of the slices of a sum of R terms of rank L, R L × R L each, are A D Bᵀ with D block diagonal. The
eigenvectors of one times the inverse of the other span the blocks of A; other mixtures say which of
them belong together, since in their basis those are block diagonal, too. Each term is peeled by
itself. That is exact where the weight is such a sum, of no more blocks than two groups of its legs
have entries, and all blocks differ.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from itertools import combinations

import torch

from tncompile.tensorizing.fitting.products.product import Product, Values
from tncompile.tensorizing.fitting.products.target import Problem
from tncompile.tensorizing.fitting.starting.peeling import peel
from tncompile.tensorizing.fitting.starting.pencils import LARGEST, MOST_FACTORS

MIXTURES = 4
"""How many mixtures of slices say which eigenvectors belong together."""


@dataclass(frozen=True)
class _Split:
    """Open legs in three groups; along the first two a term has `width` columns."""

    leg: str
    terms: int
    width: int
    first: tuple[str, ...]
    second: tuple[str, ...]
    third: tuple[str, ...]


def separated(problem: Problem, generator: torch.Generator) -> Values | None:
    """The factors of a sum of terms; None for other networks, and where there are too many."""
    product, target = problem.product, problem.target
    split = _split(product)
    if split is None or problem.is_cut:
        return None
    groups = split.first, split.second, split.third
    order = [product.open.index(leg) for group in groups for leg in group]
    sizes = [math.prod(product.shape(group)) for group in groups]
    tensor = target.permute(order).reshape(sizes)
    try:
        columns = _columns(tensor, split, generator)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # the pencil is singular
        return None
    if columns is None:
        return None
    flat = columns.permute(1, 0, 2).reshape(sizes[0], -1)
    rest = torch.linalg.lstsq(flat, tensor.reshape(sizes[0], -1)).solution
    rest = rest.reshape(split.terms, split.width, -1)
    back = [order.index(k) for k in range(len(order))]
    lengths = product.shape(product.open[k] for k in order)
    alone = _one_term(product, split.leg)
    found: dict[int, list[torch.Tensor]] = {place: [] for place in product.free}
    for term in range(split.terms):
        dense = (columns[term] @ rest[term]).reshape(lengths).permute(back).contiguous()
        peeled = peel(replace(problem, product=alone, target=dense), generator).values
        for place, parts in found.items():
            parts.append(alone.term(place, peeled)[0])
    values: Values = {}
    for place, parts in found.items():
        along = product.factors[place].legs.index(split.leg)
        product.store(values, place, torch.stack(parts).movedim(0, along))
    return values


def _one_term(product: Product, leg: str) -> Product:
    """The network of a term."""
    factors = tuple(
        replace(factor, legs=tuple(other for other in factor.legs if other != leg))
        for factor in product.factors
    )
    sizes = {name: size for name, size in product.sizes.items() if name != leg}
    shapes = {f.key: tuple(sizes[other] for other in f.legs) for f in factors}
    return replace(product, factors=factors, sizes=sizes, shapes=shapes)


def _split(product: Product) -> _Split | None:
    """The groups of legs whose smallest is largest, of products of which each term is a tree."""
    ends = Counter(leg for factor in product.factors for leg in factor.legs)
    inner = [leg for leg in ends if leg not in product.open_set]
    everywhere = [leg for leg in inner if ends[leg] == len(product.factors)]
    parameters = product.linear and len(product.free) == len(product.factors)
    if len(everywhere) != 1 or not parameters or len(product.factors) < 3:
        return None
    (leg,) = everywhere
    bonds = [other for other in inner if other != leg]
    alone = all(ends[other] == 1 for other in product.open)
    # a tree has one bond less than factors
    if not alone or any(ends[b] != 2 for b in bonds) or len(bonds) != len(product.factors) - 1:
        return None
    own = {
        place: tuple(other for other in factor.legs if other in product.open_set)
        for place, factor in enumerate(product.factors)
    }
    bearing = [place for place in own if own[place]]
    if not 3 <= len(bearing) <= MOST_FACTORS:
        return None
    terms = product.sizes[leg]
    best: tuple[int, _Split] | None = None
    subsets = [group for n in range(1, len(bearing) - 1) for group in combinations(bearing, n)]
    for first in subsets:
        for second in subsets:
            third = tuple(k for k in bearing if k not in first and k not in second)
            if not third or not set(first).isdisjoint(second):
                continue
            legs = [tuple(leg for k in group for leg in own[k]) for group in (first, second, third)]
            sizes = [math.prod(product.shape(group)) for group in legs]
            widths = [_width(product, bonds, group) for group in (first, second)]
            fits = widths[0] == widths[1] and terms * widths[0] <= min(sizes[:2])
            if not fits or max(sizes[:2]) > LARGEST or sizes[2] < 2:
                continue
            if best is None or min(sizes) > best[0]:
                best = min(sizes), _Split(leg, terms, widths[0], legs[0], legs[1], legs[2])
    return None if best is None else best[1]


def _width(product: Product, bonds: list[str], group: tuple[int, ...]) -> int:
    """The rank of a term between a group of factors and all others."""
    carried = Counter(leg for place in group for leg in product.factors[place].legs)
    return math.prod(product.sizes[bond] for bond in bonds if carried[bond] == 1)


def _columns(
    tensor: torch.Tensor, split: _Split, generator: torch.Generator
) -> torch.Tensor | None:
    """A basis for the columns of each term along the first axis: (terms, size, width)."""
    one, two, three = tensor.shape
    whole = split.terms * split.width
    bases = []
    for matrix in (tensor.reshape(one, -1), tensor.movedim(1, 0).reshape(two, -1)):
        bases.append(torch.linalg.eigh(matrix @ matrix.mH)[1][:, -whole:])
    inside = torch.einsum("abc,ai->ibc", tensor, bases[0].conj())
    core = torch.einsum("ibc,bj->ijc", inside, bases[1].conj())
    drawn = torch.randn(three, MIXTURES + 1, dtype=torch.float64, generator=generator)
    mixed = (core @ drawn.to(tensor)).permute(2, 0, 1)
    last = mixed[-1]
    noise = torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(last))
    last = last + noise * torch.eye(whole, dtype=last.dtype, device=last.device)
    ratios = torch.linalg.solve(last.unsqueeze(0), mixed[:-1], left=False)
    if not bool(torch.isfinite(ratios.abs()).all()):
        return None
    vectors = torch.linalg.eig(ratios[0])[1]
    others = torch.linalg.solve(vectors, ratios[1:].to(vectors.dtype) @ vectors).abs()
    others = others / others.square().sum((-2, -1), keepdim=True).sqrt().clamp(min=1e-300)
    clusters = _clusters((others + others.mT).sum(0), split.terms, split.width)
    found = []
    for members in clusters:
        spanned = vectors[:, members]
        if not tensor.is_complex():
            spanned = torch.cat([spanned.real, spanned.imag], dim=1)
        left = torch.linalg.svd(spanned, full_matrices=False)[0][:, : split.width]
        found.append(bases[0] @ left.to(tensor.dtype))
    return torch.stack(found)


def _clusters(near: torch.Tensor, count: int, width: int) -> list[list[int]]:
    """Groups of `width`, those nearest to each other first."""
    if width == 1:
        return [[k] for k in range(count)]
    left = list(range(count * width))
    table = near.tolist()
    clusters = []
    while left:
        members = [left.pop(0)]
        while len(members) < width:
            nearest = max(left, key=lambda k: max(table[k][m] for m in members))
            left.remove(nearest)
            members.append(nearest)
        clusters.append(members)
    return clusters
