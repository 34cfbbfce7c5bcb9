"""The least ranks for an error, of networks without loops, from singular values."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.metric import seen
from tncompile.tensorizing.fitting.products.environments import Legs
from tncompile.tensorizing.fitting.products.posing import posed, whole_metric
from tncompile.tensorizing.fitting.products.product import Product
from tncompile.tensorizing.fitting.products.target import Problem
from tncompile.tensorizing.fitting.starting.peeling import can_peel
from tncompile.tensorizing.moments import Metric

LARGEST_GRAM = 1e-5
"""Above this error singular values come from eigenvalues of A Aᴴ, which lose half of the digits."""


@dataclass(frozen=True)
class Cuts:
    """What each rank is good for.

    The squared error of truncating all bonds is at most the sum of all squared singular values that
    are left out (Oseledets, "Tensor-Train Decomposition", 2011). `certain` says that they are those
    of the error that counts, not of a metric that is about it.
    """

    squares: Mapping[str, tuple[float, ...]]  # by bond, falling, in units of the squared norm
    ends: Mapping[str, tuple[Legs, Legs]]
    sizes: Mapping[str, int]  # of open legs
    certain: bool

    def ranks(self, tolerance: float) -> dict[str, int]:
        """The size of each bond for an error of `tolerance`.

        What costs least error for each number that it saves is left out first, wherever it is.
        """
        ranks = {leg: max(1, len(squares)) for leg, squares in self.squares.items()}
        left = tolerance**2
        while True:
            best: tuple[float, str] | None = None
            for leg, squares in self.squares.items():
                if ranks[leg] == 1:
                    continue
                error = squares[ranks[leg] - 1]
                if error <= left:
                    price = error / self._saved(leg, ranks)
                    best = min(best, (price, leg)) if best else (price, leg)
            if best is None:
                return ranks
            leg = best[1]
            ranks[leg] -= 1
            left -= self.squares[leg][ranks[leg]]

    def _saved(self, leg: str, ranks: Mapping[str, int]) -> int:
        """The numbers that one less of a rank saves."""
        sizes = {**self.sizes, **ranks}
        return sum(math.prod(sizes[o] for o in legs if o != leg) for legs in self.ends[leg])


def cuts_of(
    network: TensorNetwork,
    weight: torch.Tensor,
    metric: Metric | None,
    inputs: torch.Tensor | None,
    tolerance: float,
) -> Cuts | None:
    """The cuts of a network whose bonds have two ends each and no loop; None for others.

    Frozen and shared tensors are others, too. In a metric that mixes the legs of several tensors
    the singular values are those in the metric of each leg by itself. Inner legs of the network
    have size 2 or more.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance is a relative error between 0 and 1, not {tolerance}")
    if any(parameter.frozen for parameter in network.parameters):
        return None
    problem, axes = posed(network, weight, {})
    certain = True
    metric = whole_metric(metric, inputs)
    if metric is not None:
        view = seen(problem, axes, metric, network.target)
        problem, certain = view.start, view.transformed
    product = problem.product
    if not can_peel(product) or not problem.norm:
        return None
    ends = Counter(leg for factor in product.factors for leg in factor.legs)
    bonds = [leg for leg in ends if leg not in product.open_set]
    if any(ends[leg] != 2 for leg in bonds):
        return None
    squares: dict[str, tuple[float, ...]] = {}
    neighbors: dict[str, tuple[Legs, Legs]] = {}
    for bond in bonds:
        sides = _sides(product, bonds, bond)
        if sides is None:
            return None
        squares[bond] = _squares(problem, sides, fast=tolerance > LARGEST_GRAM)
        both = [factor.legs for factor in product.factors if bond in factor.legs]
        neighbors[bond] = both[0], both[1]
    sizes = {leg: product.sizes[leg] for leg in product.open}
    return Cuts(squares, neighbors, sizes, certain and not problem.is_cut)


def _sides(product: Product, bonds: list[str], bond: str) -> tuple[set[str], set[str]] | None:
    """The open legs on either side of a bond; None where it is part of a loop."""
    places = [k for k, factor in enumerate(product.factors) if bond in factor.legs]
    reached, waiting = {places[0]}, [places[0]]
    others = {leg for leg in bonds if leg != bond}
    while waiting:
        legs = others.intersection(product.factors[waiting.pop()].legs)
        for k, factor in enumerate(product.factors):
            if k not in reached and not legs.isdisjoint(factor.legs):
                reached.add(k)
                waiting.append(k)
    if places[1] in reached:
        return None
    here = {leg for k in reached for leg in product.factors[k].legs}
    there = {leg for k, f in enumerate(product.factors) if k not in reached for leg in f.legs}
    return here & product.open_set, there & product.open_set


def _squares(
    problem: Problem, sides: tuple[set[str], set[str]], *, fast: bool
) -> tuple[float, ...]:
    """Squared singular values, those of all entries of legs on both sides together."""
    product = problem.product
    groups = (
        [leg for leg in product.open if leg in sides[0] and leg in sides[1]],
        [leg for leg in product.open if leg in sides[0] and leg not in sides[1]],
        [leg for leg in product.open if leg not in sides[0]],
    )
    order = [product.open.index(leg) for group in groups for leg in group]
    matrix = problem.target.permute(order).reshape(
        [math.prod(product.shape(group)) for group in groups]
    )
    if matrix.shape[1] > matrix.shape[2]:
        matrix = matrix.mH
    if fast:
        values = torch.linalg.eigvalsh(matrix @ matrix.mH).clamp(min=0).flip(-1)
    else:
        values = torch.linalg.svdvals(matrix).square()
    return tuple((values.sum(0) / problem.norm**2).tolist())
