"""Sweeps and steps: what they make of networks of all shapes, beside what gradients say."""

from __future__ import annotations

from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tensorizing.networks import random_weight
from tncompile.tensorizing.fitting.products.product import Factor, Product, Values
from tncompile.tensorizing.fitting.products.target import Problem
from tncompile.tensorizing.fitting.refining.als import Sweeps
from tncompile.tensorizing.fitting.refining.polish import Polish


def random_product(seed: int, *, complex_numbers: bool = False) -> Product:
    """Factors with bonds, hyperedges and loops at random; constants among them."""
    rng = Random(seed)
    count = rng.randint(2, 6)
    legs: list[list[str]] = [[] for _ in range(count)]
    sizes: dict[str, int] = {}

    def leg(name: str, size: int, ends: list[int]) -> None:
        sizes[name] = size
        for end in ends:
            legs[end].append(name)

    for k in range(1, count):
        leg(f"b{k}", rng.randint(2, 3), [k, rng.randrange(k)])
    for k in range(rng.randint(0, 2)):
        leg(f"h{k}", 2, rng.sample(range(count), rng.randint(2, count)))
    opened = []
    for k in range(rng.randint(2, 4)):
        leg(f"o{k}", rng.randint(2, 3), rng.sample(range(count), rng.choice([1, 1, 1, 2])))
        opened.append(f"o{k}")
    dtype = torch.complex128 if complex_numbers else torch.float64
    constant = rng.randrange(count) if count > 2 and rng.random() < 0.5 else None
    factors = []
    for k, own in enumerate(legs):
        value = drawn([sizes[name] for name in own], seed + k, dtype) if k == constant else None
        factors.append(Factor(f"T{k}", tuple(own), "" if k == constant else f"T{k}", k == 1, value))
    shapes = {f.key: tuple(sizes[name] for name in f.legs) for f in factors if f.key}
    keys = frozenset(shapes) if complex_numbers else frozenset()
    return Product(tuple(factors), sizes, tuple(opened), shapes, keys, dtype)


def drawn(shape: list[int], seed: int, dtype: torch.dtype) -> torch.Tensor:
    real = random_weight(*shape, seed=seed)
    if not dtype.is_complex:
        return real
    return torch.complex(real, random_weight(*shape, seed=seed + 1000))


def problem_of(seed: int, *, complex_numbers: bool = False) -> tuple[Problem, Values]:
    product = random_product(seed, complex_numbers=complex_numbers)
    target = drawn([product.sizes[leg] for leg in product.open], seed, product.dtype)
    values = {
        key: drawn([*shape], seed + 50 + n, product.dtype)
        for n, (key, shape) in enumerate(product.shapes.items())
    }
    return Problem(product, target), values


@pytest.mark.parametrize("complex_numbers", [False, True])
@pytest.mark.parametrize("seed", range(48, 60))
def test_each_update_is_a_minimum(seed: int, complex_numbers: bool) -> None:
    """After a sweep the gradient of the factor that came last is zero; no sweep leads up."""
    problem, values = problem_of(seed, complex_numbers=complex_numbers)
    sweeps = Sweeps(problem.product)
    sweeps.begin(values)
    before = problem.error(values)
    for backward in (False, True, False):
        sweeps.sweep(problem.target, values, 1e-9, backward=backward)
        now = problem.error(values)
        assert now <= before * (1 + 1e-6) + 1e-8
        before = now
    last = max(problem.product.free)
    if sweeps.order[-1] == last:
        key = problem.product.factors[last].key
        leaf = values[key].detach().clone().requires_grad_()
        loss = problem.residual({**values, key: leaf}).abs().square().sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        assert float(gradient.abs().max()) < 1e-5 * problem.norm**2


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=15)
def test_steps_only_lead_down(seed: int, complex_numbers: bool) -> None:
    problem, values = problem_of(seed, complex_numbers=complex_numbers)
    sweeps = Sweeps(problem.product)
    polish = Polish(problem, values, lambda found: sweeps.turn(found, rough=1e-6))
    error = polish.error
    for _ in range(2):
        polish.chunk(0.0)
        assert polish.error <= error
        error = polish.error
    assert problem.error(polish.values) == pytest.approx(error)


def test_a_ring_costs_no_more_with_more_sites() -> None:
    """A sweep contracts the product about three times, however many factors it has."""
    costs = []
    for count in (4, 8):
        bonds = [f"b{k}" for k in range(count)]
        size = 4 ** (8 // count)
        factors = tuple(
            Factor(f"G{k}", (bonds[k], f"o{k}", bonds[(k + 1) % count]), f"G{k}")
            for k in range(count)
        )
        sizes = {**dict.fromkeys(bonds, 3), **{f"o{k}": size for k in range(count)}}
        shapes = {f.key: tuple(sizes[leg] for leg in f.legs) for f in factors}
        product = Product(factors, sizes, tuple(f"o{k}" for k in range(count)), shapes)
        costs.append(Sweeps(product).multiply_adds)
    assert costs[1] < 2 * costs[0]
