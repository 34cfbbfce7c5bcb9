"""Moments that are damped, and errors in a metric of them."""

from __future__ import annotations

import pytest
import torch

from tests.tensorizing.networks import random_weight
from tncompile import Metric
from tncompile.tensorizing.moments import damped, squared


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_a_part_of_the_mean_of_the_diagonal_is_added(dtype: torch.dtype) -> None:
    root = random_weight(5, 5).to(dtype)
    if dtype.is_complex:
        root = root + 1j * random_weight(5, 5, seed=1)
    moment = root @ root.mH
    before = moment.clone()
    found = damped(moment, 0.5)
    assert torch.equal(moment, before)
    assert torch.equal(found, found.mH)
    added = 0.5 * moment.diagonal().mean() * torch.eye(5)
    torch.testing.assert_close(found, moment + added.to(dtype))
    torch.testing.assert_close(damped(moment.diagonal(), 0.5), found.diagonal())


@pytest.mark.parametrize("diagonal", [False, True])
def test_errors_in_a_metric(diagonal: bool) -> None:
    """By roots of both sides, and of the Kronecker product of axes."""
    matrix = random_weight(3, 8)
    sides = []
    for size, seed in ((8, 2), (3, 3), (2, 4), (4, 5)):
        root = random_weight(size, size, seed=seed)
        sides.append(root @ root.mT)
    inputs, outputs, *axes = (each.diagonal() if diagonal else each for each in sides)
    whole = [damped(each, 0.1) for each in (inputs, outputs, *axes)]
    a, g, *along = (torch.diag(each) if diagonal else each for each in whole)
    wanted = float(torch.einsum("oi,ij,pj,op->", matrix, a, matrix, g))
    assert squared(matrix, Metric(inputs, outputs, 0.1)) == pytest.approx(wanted)
    if not diagonal:
        product = torch.kron(*along)
        wanted = float(torch.einsum("oi,ij,oj->", matrix, product, matrix))
        assert squared(matrix, Metric(damping=0.1, axes=tuple(axes))) == pytest.approx(wanted)
