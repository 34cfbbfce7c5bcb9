"""A product of two factors with its gauge fixed: some of its rows, and the others as sums of them.

A matrix M = A B of rank r has r² numbers too many: (A G, G⁻¹ B) is the same. With r of its rows in
their place, M[order] = [I; T] M[order[:r]], it has none (Cheng, Gimbutas, Martinsson and Rokhlin,
"On the Compression of Low Rank Matrices", SIAM J. Sci. Comput. 26, 2005).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.fit import Effort, Progress, fit_network
from tncompile.tensorizing.fitting.result import Fit
from tncompile.tensorizing.moments import Metric

LARGEST = 1.1
"""No entry of T is larger, unless `SWAPS` for each row were not enough."""

SWAPS = 8
"""Swaps for each row that is chosen, at most. Each makes the volume of the chosen rows `LARGEST`
times as large at least: a few for each row were enough for all weights that were tried."""


class Gauge(NamedTuple):
    """A matrix M (n, m) of rank r by some of its rows.

    order  (n,) integers: the places of the r rows that are chosen, ascending, then the others
    rows   (r, m): those rows
    rest   (n - r, r): T, the others are T times them
    """

    order: torch.Tensor
    rows: torch.Tensor
    rest: torch.Tensor


def fixed(left: torch.Tensor, right: torch.Tensor) -> Gauge:
    """The product of (n, r) and (r, m), with n no less than r, by r of its rows.

    Both are float64 or complex128, on one device. The rows are such that entries of T are no larger
    than 1.1 in magnitude, whatever the factors are, singular ones too: rows are chosen from an
    orthonormal basis of what `left` spans, by Gaussian elimination with partial pivoting, and then
    swapped as long as that makes their determinant larger (Gu and Eisenstat, "Efficient Algorithms
    for Computing a Strong Rank-Revealing QR Factorization", SIAM J. Sci. Comput. 17, 1996).
    """
    n, r = left.shape
    basis = torch.linalg.qr(left).Q
    places = _pivots(basis)
    others = sorted(set(range(n)) - set(places))
    if others:
        places, others = _swapped(basis, places, others)
    chosen = torch.tensor(sorted(places), device=left.device, dtype=torch.int64)
    left_out = torch.tensor(sorted(others), device=left.device, dtype=torch.int64)
    rest = basis.new_zeros((n - r, r))
    if others:
        rest = torch.linalg.solve(basis[chosen].mT, basis[left_out].mT).mT
    return Gauge(torch.cat([chosen, left_out]), left[chosen] @ right, rest.contiguous())


def _pivots(basis: torch.Tensor) -> list[int]:
    """As many rows as there are columns, by Gaussian elimination."""
    rows = list(range(basis.shape[0]))
    for place, other in enumerate(torch.linalg.lu_factor(basis).pivots.tolist()):
        rows[place], rows[other - 1] = rows[other - 1], rows[place]
    return rows[: basis.shape[1]]


def _swapped(
    basis: torch.Tensor, places: list[int], others: list[int]
) -> tuple[list[int], list[int]]:
    """Rows that are chosen and others, swapped where an entry of T is large."""
    chosen = basis[torch.tensor(places, device=basis.device)]
    left_out = basis[torch.tensor(others, device=basis.device)]
    rest = torch.linalg.solve(chosen.mT, left_out.mT).mT
    for _ in range(SWAPS * len(places)):
        largest = int(rest.abs().argmax())
        row, column = divmod(largest, len(places))
        entry = rest[row, column]
        if not float(entry.abs()) > LARGEST:
            break
        places[column], others[row] = others[row], places[column]
        # The row that was chosen is a sum of the new ones, and takes its place among the others.
        step = rest[:, column] / entry
        new = rest[row].clone()
        new[column] -= 1
        gone = rest - step.unsqueeze(1) * new
        swapped = -new / entry
        swapped[column] = 1 / entry
        gone[row] = swapped
        rest = gone
    return places, others


def fit_interpolated(
    low_rank: TensorNetwork,
    weight: torch.Tensor,
    keys: Mapping[str, str],
    stored: Sequence[str],
    *,
    metric: Metric | None,
    inputs: torch.Tensor | None,
    tolerance: float | None,
    seed: int,
    effort: Effort,
    progress: Progress | None,
) -> Fit:
    """The fit of a network of two factors, (in, r) and (r, out), with its gauge fixed.

    `keys` says what `columns`, `order` and `rest` are called among the tensors that are `stored`.
    Errors and the bound are those of the network.
    """
    wide = weight
    if isinstance(weight, torch.Tensor) and (weight.is_floating_point() or weight.is_complex()):
        wide = weight.to(torch.complex128 if weight.is_complex() else torch.float64)
    found = fit_network(
        low_rank, wide, {}, metric=metric, inputs=inputs, tolerance=tolerance, seed=seed,
        effort=effort, progress=progress,
    )  # fmt: skip
    first, second, *biases = low_rank.parameters
    values = found.state_dict
    gauge = fixed(values[first.key], values[second.key])
    real = weight.dtype.to_real()
    dtype = real.to_complex() if first.complex else real
    tensors = {keys["columns"]: gauge.rows.to(dtype), keys["order"]: gauge.order}
    if "rest" in keys:
        tensors[keys["rest"]] = gauge.rest.to(dtype)
    for bias in biases:
        tensors[bias.key] = values[bias.key].to(real.to_complex() if bias.complex else real)
    return replace(found, state_dict={key: tensors[key] for key in stored})


def numbers_of(inputs: int, outputs: int, rank: int) -> int:
    """How many numbers such a matrix has: r (m + n - r); the dense matrix itself at most.

    >>> numbers_of(384, 384, 112), numbers_of(384, 384, 384) == 384 * 384
    (73472, True)
    """
    return rank * (inputs + outputs - rank)


def rank_within(inputs: int, outputs: int, numbers: float) -> int:
    """The largest rank whose numbers are no more than these; 0 where there is none.

    >>> rank_within(384, 384, 384 * 384 / 2)
    112
    """
    most = min(inputs, outputs)
    whole = inputs + outputs
    if numbers >= numbers_of(inputs, outputs, most):
        return most
    rank = int((whole - math.sqrt(max(0.0, whole**2 - 4 * numbers))) / 2)
    return rank if numbers_of(inputs, outputs, rank) <= numbers else rank - 1
