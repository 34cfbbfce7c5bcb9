"""Factors one after the other by singular value decompositions: exact where there is no loop.

Along a chain this is TT-SVD (Oseledets, "Tensor-Train Decomposition", 2011), around a core it is
the sequentially truncated HOSVD (Vannieuwenhoven, Vandebril and Meerbergen, "A new truncation
strategy for the higher-order singular value decomposition", 2012), in a tree hierarchical SVD
(Grasedyck, 2010), of two Kronecker factors Van Loan's and Pitsianis' rearrangement (1993), of block
diagonals Monarch's projection (Dao et al., 2022). With loops, or sums over three factors, it is a
start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from tncompile.tensorizing.fitting.products.environments import Legs
from tncompile.tensorizing.fitting.products.product import Product, Values
from tncompile.tensorizing.fitting.products.target import Problem

EXACT_UP_TO = 640
"""The shorter side of matrices that are decomposed in full; larger ones are sampled at random where
the rank is far below (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011)."""

FAR_BELOW = 4
OVERSAMPLED = 24
POWER_ITERATIONS = 4


@dataclass(frozen=True)
class Peeled:
    """The factors that were found.

    No fit onto the network has a smaller relative error than `bound`. Without loops the error is at
    most the square root of the number of cuts times as large.
    """

    values: Values
    bound: float
    loop_free: bool
    ranks: dict[str, int] | None  # of inner legs; None where they were not to be chosen one by one


def can_peel(product: Product) -> bool:
    """Whether all factors are parameters of their own, of one kind of number."""
    return product.linear and len(product.free) == len(product.factors)


def peel(problem: Problem, generator: torch.Generator, tolerance: float | None = None) -> Peeled:
    """Factors of a product that `can_peel`.

    With a `tolerance` the sizes of inner legs are not those of the product: they are as small as a
    relative error of `tolerance` allows. `values` are then in shapes of their own, by leg.
    """
    product = problem.product
    rest, legs = problem.target, product.open
    cuts = max(1, sum(1 for leg in product.sizes if leg not in product.open))
    allowed = (tolerance or 0.0) * problem.norm / math.sqrt(cuts)
    values: Values = {}
    bound, loop_free, known_bound = 0.0, True, True
    ranks: dict[str, int] = {}
    governed = True  # whether one leg says how large each cut is
    sizes = dict(product.sizes)
    waiting = list(product.free)
    while waiting:
        place = _next(product, waiting, legs)
        waiting.remove(place)
        factor = product.factors[place]
        if not waiting:
            last = rest.permute([legs.index(leg) for leg in factor.legs])
            _store(product, values, place, last, chosen=tolerance is not None)
            break
        others = {leg for other in waiting for leg in product.factors[other].legs}
        batch = tuple(leg for leg in factor.legs if leg in legs and leg in others)
        rows = tuple(leg for leg in factor.legs if leg in legs and leg not in others)
        new = tuple(leg for leg in factor.legs if leg not in legs)
        columns = tuple(leg for leg in legs if leg not in (*batch, *rows))
        matrix = rest.permute([legs.index(leg) for leg in (*batch, *rows, *columns)]).reshape(
            *(math.prod(sizes[leg] for leg in group) for group in (batch, rows, columns))
        )
        rank = math.prod(sizes[leg] for leg in new)
        least = allowed if tolerance is not None and len(new) == 1 else None
        governed = governed and least is not None
        left, right, tail, exact = _split(matrix, rank, least, generator)
        if least is not None:
            sizes[new[0]] = ranks[new[0]] = rank = left.shape[-1]
        if known_bound and exact:
            bound = max(bound, problem.relative(tail))
        ends = [k for k in waiting if not set(product.factors[k].legs).isdisjoint(new)]
        closed = len(ends) == 1 and set(batch) <= set(product.factors[ends[0]].legs)
        known_bound = known_bound and closed
        loop_free = loop_free and (closed or len(waiting) == 1)
        order = (*batch, *rows, *new)
        found = left.reshape([sizes[leg] for leg in order])
        found = found.permute([order.index(leg) for leg in factor.legs])
        _store(product, values, place, found, chosen=tolerance is not None)
        legs = (*batch, *new, *columns)
        rest = right.reshape([sizes[leg] for leg in legs])
    return Peeled(values, bound, loop_free, ranks if governed else None)


def _store(
    product: Product, values: Values, place: int, tensor: torch.Tensor, *, chosen: bool
) -> None:
    if chosen:
        values[product.factors[place].key] = tensor
    else:
        product.store(values, place, tensor.contiguous())


def _next(product: Product, waiting: list[int], legs: Legs) -> int:
    """The factor to peel off: a leaf, with legs of the weight of its own, in order of declaration.

    One that nothing has reached yet waits.
    """

    def order(place: int) -> tuple[bool, bool, int, int]:
        own = product.factors[place].legs
        rest = [product.factors[k].legs for k in waiting if k != place]
        others = {leg for each in rest for leg in each}
        reached = [leg for leg in own if leg in legs]
        new = {leg for leg in own if leg not in legs}
        neighbors = sum(1 for each in rest if not new.isdisjoint(each))
        return not reached, not set(reached) - others, max(1, neighbors), place

    return min(waiting, key=order)


def _split(
    matrix: torch.Tensor, rank: int, least: float | None, generator: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor, float, bool]:
    """`rank` orthonormal columns for each of a batch of matrices, and what they are multiplied by.

    Then the distance, and whether no other columns of this number come nearer. With `least` there
    are as few columns as that distance allows. What is missing of the rank is filled up: columns at
    random, zeros in the other factor.
    """
    side = min(matrix.shape[-2:])
    sampled = least is None and side > EXACT_UP_TO and rank * FAR_BELOW < side
    left, values, right = _sampled(matrix, rank, generator) if sampled else _svd(matrix)
    count = min(rank, values.shape[-1])
    if least is not None:
        beyond = values.square().sum(0).flip(0).cumsum(0).flip(0).sqrt()
        count = max(1, int((beyond > least).sum()))
        rank = count
    left, kept, right = left[..., :count], values[..., :count], right[..., :count, :]
    factor = kept.unsqueeze(-1) * right
    if sampled:
        missing = float(matrix.abs().square().sum() - kept.square().sum())
        tail = math.sqrt(max(0.0, missing))
    else:
        tail = float(torch.linalg.vector_norm(values[..., count:]))
    if count < rank:
        batch, rows, columns = matrix.shape
        noise = torch.randn(batch, rows, rank - count, dtype=torch.float64, generator=generator)
        noise = noise.to(matrix) / math.sqrt(max(1, rows))
        left = torch.cat([left, noise], dim=-1)
        zeros = factor.new_zeros(batch, rank - count, columns)
        factor = torch.cat([factor, zeros], dim=-2)
    return left, factor, tail, not sampled


Triple = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def _svd(matrix: torch.Tensor) -> Triple:
    """The whole decomposition; of oblong matrices by way of their triangular factor."""
    rows, columns = matrix.shape[-2:]
    if rows > 2 * columns:
        basis, triangle = torch.linalg.qr(matrix)
        left, values, right = torch.linalg.svd(triangle, full_matrices=False)
        return basis @ left, values, right
    if columns > 2 * rows:
        left, values, right = _svd(matrix.mH)
        return right.mH, values, left.mH
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    return left, values, right


def _sampled(matrix: torch.Tensor, rank: int, generator: torch.Generator) -> Triple:
    """The leading part, from the range of a random sample after some power iterations."""
    shape = (matrix.shape[0], matrix.shape[-1], rank + OVERSAMPLED)
    start = torch.randn(shape, dtype=torch.float64, generator=generator).to(matrix)
    basis = torch.linalg.qr(matrix @ start)[0]
    for _ in range(POWER_ITERATIONS):
        basis = torch.linalg.qr(matrix.mH @ basis)[0]
        basis = torch.linalg.qr(matrix @ basis)[0]
    left, values, right = torch.linalg.svd(basis.mH @ matrix, full_matrices=False)
    return basis @ left, values, right
