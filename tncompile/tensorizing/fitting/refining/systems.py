"""Systems of normal equations: Kronecker products of small matrices, or products with a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

Map = Callable[[torch.Tensor], torch.Tensor]

MOST_STEPS = 12
"""Steps of conjugate gradients an update: each lowers the distance, and the next update of the same
factor goes on from there."""

REDUCTION = 1e-4
"""The part of the first residual at which they end."""

LEAST = 1e-13
"""The least shift, in units of the mean of the diagonal."""


def shift_of(scale: float, damping: float) -> float:
    """What is added to the diagonal of a matrix whose mean is `scale`."""
    return max(damping * scale, LEAST * scale, torch.finfo(torch.float64).tiny)


def mean_of(grams: list[torch.Tensor]) -> float:
    """The mean of the diagonal of a Kronecker product of Hermitian matrices."""
    return math.prod(float(each.diagonal(dim1=-2, dim2=-1).real.mean()) for each in grams)


def inverse(grams: list[torch.Tensor], shift: float) -> Map:
    """The inverse of N + shift, N for each entry of the batch the Kronecker product of `grams`.

    These are (batch, n, n); what it is applied to is (batch, n of each of them, right-hand sides).
    """
    if len(grams) == 1:
        (gram,) = grams
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        factor, info = torch.linalg.cholesky_ex(gram + shift * eye)
        if not info.any():
            return lambda right: torch.cholesky_solve(right, factor)
    bases = []
    spectrum = torch.ones(1, dtype=torch.float64, device=grams[0].device)
    for number, gram in enumerate(grams):
        eigenvalues, vectors = torch.linalg.eigh(gram)
        bases.append(vectors)
        lead = [eigenvalues.shape[0], *(1 for _ in range(number)), eigenvalues.shape[1]]
        spectrum = spectrum.unsqueeze(-1) * eigenvalues.clamp(min=0).reshape(lead)
    scaled = spectrum.unsqueeze(-1) + shift

    def apply(right: torch.Tensor) -> torch.Tensor:
        return _turned(bases, _turned([each.mH for each in bases], right) / scaled)

    return apply


def _turned(matrices: list[torch.Tensor], tensor: torch.Tensor) -> torch.Tensor:
    """Each axis behind the batch times the matrix of its place."""
    for axis, matrix in enumerate(matrices, start=1):
        moved = tensor.movedim(axis, -1)
        lead = matrix.reshape(matrix.shape[0], *(1,) * (moved.dim() - 3), *matrix.shape[1:])
        tensor = (moved @ lead.mT).movedim(-1, axis)
    return tensor


def conjugate_gradients(apply: Map, precondition: Map, right: torch.Tensor) -> torch.Tensor:
    """The solution of a positive definite system, from zero, as far as `MOST_STEPS` lead.

    Hestenes and Stiefel, 1952; `precondition` is about the inverse of `apply`.
    """
    found = torch.zeros_like(right)
    rest = right.clone()
    turned = precondition(rest)
    direction = turned.clone()
    size = first = float((rest.conj() * turned).sum().real)
    for _ in range(MOST_STEPS):
        if size <= REDUCTION**2 * first or size <= 0:
            break
        image = apply(direction)
        curvature = float((direction.conj() * image).sum().real)
        if curvature <= 0:
            break
        found += size / curvature * direction
        rest -= size / curvature * image
        turned = precondition(rest)
        before, size = size, float((rest.conj() * turned).sum().real)
        direction = turned + size / before * direction
    return found
