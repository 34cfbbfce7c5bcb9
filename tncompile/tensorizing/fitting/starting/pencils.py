"""A sum of products of factors (CP) from the eigenvectors of a pencil: exact where it is unique.

Leurgans, Ross and Abel, "A decomposition for three-way arrays", 1993, after Harshman's note on
Jennrich, 1972: two mixtures of the slices of a tensor of rank R, R × R each, are A D Bᵀ with the
same A and B, so that the columns of A are the eigenvectors of one times the inverse of the other.
Modes of more than three axes are grouped. Elsewhere it is a start as any other.
"""

from __future__ import annotations

import math
from itertools import combinations

import torch

from tncompile.tensorizing.fitting.products.product import Product, Values
from tncompile.tensorizing.fitting.products.target import Problem

MOST_FACTORS = 8
"""Groups of more factors are not tried one by one."""

LARGEST = 2048
"""The longest side of the two modes whose matrices are decomposed."""


def terms_leg(product: Product) -> str | None:
    """The one inner leg, if it is on all factors, whose other legs are open and their own."""
    inner = {leg for factor in product.factors for leg in factor.legs} - {*product.open}
    if len(inner) != 1 or not product.linear or len(product.free) < len(product.factors):
        return None
    (leg,) = inner
    own = [other for factor in product.factors for other in factor.legs if other != leg]
    alone = len(own) == len(set(own))
    return leg if alone and all(leg in factor.legs for factor in product.factors) else None


def diagonalized(problem: Problem, generator: torch.Generator) -> Values | None:
    """The factors of a product with a `terms_leg`; None where its modes are too small for it."""
    product, target = problem.product, problem.target
    leg = terms_leg(product)
    if leg is None:
        return None
    rank = product.sizes[leg]
    legs = {
        place: tuple(other for other in product.factors[place].legs if other != leg)
        for place in product.free
    }
    bearing = [place for place in product.free if legs[place]]
    groups = _groups(product, bearing, legs, rank)
    if groups is None:
        return None
    order = [other for group in groups for place in group for other in legs[place]]
    sizes = [math.prod(product.shape(o for p in group for o in legs[p])) for group in groups]
    tensor = target.permute([product.open.index(other) for other in order]).reshape(sizes)
    try:
        first, rest = _pencil(tensor, rank, generator)
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]  # the pencil is singular
        return None
    values: Values = {}
    split = ((first.mT, groups[0]), (rest.reshape(rank, -1), groups[1] + groups[2]))
    for matrix, places in split:
        for number, place in enumerate(places):
            size = math.prod(product.shape(legs[place]))
            if number < len(places) - 1:
                left, singular, right = torch.linalg.svd(
                    matrix.reshape(rank, size, -1), full_matrices=False
                )
                own = left[..., 0]
                matrix = singular[:, :1] * right[:, 0]
            else:
                own = matrix
            factor = product.factors[place].legs
            stored = own.reshape(rank, *product.shape(legs[place]))
            product.store(values, place, stored.movedim(0, factor.index(leg)).contiguous())
    for place in product.free:
        if not legs[place]:
            product.store(values, place, target.new_ones(rank))
    return values


def _groups(
    product: Product, bearing: list[int], legs: dict[int, tuple[str, ...]], rank: int
) -> tuple[list[int], list[int], list[int]] | None:
    """Three groups of factors, two of them with as many entries as there are terms.

    Of all of them, those whose smallest group is largest.
    """
    if not 3 <= len(bearing) <= MOST_FACTORS:
        return None

    def size(group: tuple[int, ...]) -> int:
        return math.prod(product.shape(other for place in group for other in legs[place]))

    best: tuple[int, tuple[list[int], list[int], list[int]]] | None = None
    for count in range(1, len(bearing) - 1):
        for first in combinations(bearing, count):
            left = [place for place in bearing if place not in first]
            for other in range(1, len(left)):
                for second in combinations(left, other):
                    third = tuple(place for place in left if place not in second)
                    pair = size(first), size(second)
                    if min(pair) < rank or max(pair) > LARGEST or size(third) < 2:
                        continue
                    least = min(size(first), size(second), size(third) ** 2)
                    if best is None or least > best[0]:
                        best = least, ([*first], [*second], [*third])
    return None if best is None else best[1]


def _pencil(
    tensor: torch.Tensor, rank: int, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """The columns along the first axis, (size, rank), and what they multiply, (rank, …)."""
    one, two, three = tensor.shape
    bases = []
    for matrix in (tensor.reshape(one, -1), tensor.movedim(1, 0).reshape(two, -1)):
        bases.append(torch.linalg.eigh(matrix @ matrix.mH)[1][:, -rank:])
    core = torch.einsum("abc,ai,bj->ijc", tensor, bases[0].conj(), bases[1].conj())
    weights = torch.randn(three, 2, dtype=torch.float64, generator=generator).to(tensor)
    a, b = (core @ weights).unbind(-1)
    noise = torch.finfo(torch.float64).eps * float(torch.linalg.vector_norm(b))
    b = b + noise * torch.eye(rank, dtype=b.dtype, device=b.device)
    eigenvalues, vectors = torch.linalg.eig(torch.linalg.solve(b, a, left=False))
    if not tensor.is_complex():  # of a pair that is no sum of real terms, both parts
        vectors = torch.where(eigenvalues.imag < 0, vectors.imag, vectors.real)
    columns = bases[0] @ vectors
    columns = columns / torch.linalg.vector_norm(columns, dim=0).clamp(min=1e-300)
    rest = torch.linalg.lstsq(columns, tensor.reshape(one, -1)).solution
    return columns, rest
