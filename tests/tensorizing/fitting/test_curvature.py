"""Curvatures along the legs of a tensor, beside the matrix that they are partial traces of."""

from __future__ import annotations

import math

import pytest
import torch

import tncompile
from tests.tensorizing.networks import LINEAR, architecture, random_weight
from tncompile import Metric
from tncompile.tensorizing.fitting import curvature as room
from tncompile.tensorizing.fitting.curvature import (
    Curvature,
    curvatures,
    curvatures_of_gauge,
    curvatures_of_table,
)
from tncompile.tensorizing.fitting.interpolating import fixed


def moment(size: int, seed: int) -> torch.Tensor:
    """A second moment, far from diagonal."""
    given = random_weight(3 * size, size, seed=seed) @ random_weight(size, size, seed=seed + 1)
    return given.mT @ given / size


def jacobians(
    arch: tncompile.Architecture, values: dict[str, torch.Tensor], ins: tuple[int, ...]
) -> dict[str, torch.Tensor]:
    """Of the weight (out, in) by each parameter, from what the module makes of unit vectors."""
    module = arch.module(dtype=torch.float64, search="fast")
    units = torch.eye(math.prod(ins), dtype=torch.float64).reshape(-1, *ins)

    def weight(own: dict[str, torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(module, own, (units,))
        return found.flatten(1).mT

    found: dict[str, torch.Tensor] = torch.func.jacrev(weight)(values)
    return found


def traced(
    jacobian: torch.Tensor, whole: torch.Tensor, shape: tuple[int, ...], axes: tuple[int, ...]
) -> torch.Tensor:
    """The partial trace over all other axes of JᵀMJ, J (entries of W, entries of a tensor)."""
    normal = (jacobian.mT @ whole @ jacobian).reshape(*shape, *shape)
    count = len(shape)
    left, right = list(range(count)), list(range(count))
    for axis in axes:
        right[axis] = count + axis
    out = [*axes, *(count + axis for axis in axes)]
    size = math.prod(shape[axis] for axis in axes)
    return torch.einsum(normal, [*left, *right], out).reshape(size, size)


def alike(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal up to a factor, which a metric has free."""
    assert float(wanted.trace()) > 0
    scaled = found * (wanted.trace() / found.trace())
    torch.testing.assert_close(scaled, wanted, rtol=1e-9, atol=1e-9 * float(wanted.trace()))


def compare(curvature: Curvature, jacobian: torch.Tensor, whole: torch.Tensor) -> set[int]:
    """All sides beside partial traces; the axes that they are of."""
    flat = jacobian.reshape(whole.shape[0], -1)
    for axes, matrix in curvature.sides:
        alike(matrix, traced(flat, whole, curvature.shape, axes))
    return {axis for axes, _ in curvature.sides for axis in axes}


PEPS_LIKE = """
network Loop(rank: int = 2) {
  index i[k in 0..3] = 2, o[k in 0..3] = 2
  bond r[k in 0..3] = rank
  input x(..., i[*])
  tensor T[k in 0..3](i[k], r[k], r[(k + 1) % 3], o[k])
  output y(..., o[*])
}
network Sum(rank: int = 3) {
  index i[k in 0..3] = 2, o[k in 0..3] = 2
  hyper r = rank
  input x(..., i[*])
  tensor T[k in 0..3](i[k], r, o[k])
  output y(..., o[*])
}
network Scaled(rank: int = 3) {
  index i = 4, j = 2, one = 1, o = 8
  bond r = rank
  input x(..., i, j)
  tensor A(i, one, r, j)
  tensor B(r, o)
  tensor D(o)
  output y(..., o, one)
}
"""
TRAIN = {"ins": [2, 4], "outs": [4, 2], "ranks": 3, "with_bias": False}
LOW = {"in_features": 8, "out_features": 8, "rank": 3, "with_bias": False}


@pytest.mark.parametrize(
    ("name", "ins", "outs"),
    [
        ("MPO", (2, 4), (4, 2)),
        ("Loop", (2, 2, 2), (2, 2, 2)),
        ("Sum", (2, 2, 2), (2, 2, 2)),
        ("Scaled", (4, 2), (8,)),
    ],
)
def test_each_leg_has_the_partial_trace(
    name: str, ins: tuple[int, ...], outs: tuple[int, ...]
) -> None:
    """In moments that are products over the legs, as they are taken to be: trains, loops, CP."""
    spec = LINEAR if name == "MPO" else tncompile.loads(PEPS_LIKE)
    arch = spec.instantiate(name, **TRAIN) if name == "MPO" else spec.instantiate(name)
    sides = []
    for number, sizes in enumerate((ins, outs)):
        product = torch.ones(1, 1, dtype=torch.float64)
        for place, size in enumerate(sizes):
            product = torch.kron(product, moment(size, 10 * number + place))
        sides.append(product)
    a, g = sides
    values = {p.key: random_weight(*p.shape, seed=k) for k, p in enumerate(arch.network.parameters)}
    whole, found = torch.kron(g, a), curvatures(arch.network, values, Metric(a, g, damping=0.0))
    assert found.keys() == values.keys()
    for key, jacobian in jacobians(arch, values, (8,) if name == "MPO" else ins).items():
        assert compare(found[key], jacobian, whole) == set(range(len(found[key].shape)))


@pytest.mark.parametrize("diagonal", [False, True])
def test_low_rank_in_any_moments(diagonal: bool) -> None:
    """All legs of a side on one factor: nothing is assumed of moments; diagonal ones are left."""
    arch = LINEAR.instantiate("LowRank", **LOW)
    a, g = moment(8, 1), moment(8, 2)
    metric = Metric(a.diagonal() if diagonal else a, g, damping=0.0)
    whole = torch.kron(g, torch.diag(a.diagonal()) if diagonal else a)
    values = {p.key: random_weight(*p.shape, seed=k) for k, p in enumerate(arch.network.parameters)}
    found = curvatures(arch.network, values, metric)
    for key, jacobian in jacobians(arch, values, (8,)).items():
        seen = compare(found[key], jacobian, whole)
        assert seen == ({1} if diagonal and key == "A" else {0, 1})


@pytest.mark.parametrize("given", ["both", "inputs", "outputs", "diagonal"])
def test_a_fixed_gauge(given: str) -> None:
    arch = LINEAR.instantiate("LowRank", **LOW)
    gauge = fixed(random_weight(8, 3), random_weight(3, 8, seed=1))
    a = moment(8, 3) if given in ("both", "inputs") else None
    a = moment(8, 3).diagonal() if given == "diagonal" else a
    g = moment(8, 4) if given in ("both", "outputs") else None
    one = torch.eye(8, dtype=torch.float64)
    inputs = one if a is None else torch.diag(a) if a.dim() == 1 else a
    whole = torch.kron(one if g is None else g, inputs)

    def weight(rows: torch.Tensor, rest: torch.Tensor) -> torch.Tensor:
        back = torch.argsort(gauge.order)
        return torch.cat([rows, rest @ rows])[back].mT

    metric = Metric(a, g, damping=0.0)
    of_rows, of_rest = curvatures_of_gauge(arch.network, gauge, metric)
    by_rows, by_rest = torch.func.jacrev(weight, argnums=(0, 1))(gauge.rows, gauge.rest)
    assert compare(of_rows, by_rows, whole) == ({0, 1} if g is not None else {0})
    full = a is not None and a.dim() == 2
    assert compare(of_rest, by_rest, whole) == ({0, 1} if full else {1})


@pytest.mark.parametrize("given", ["both", "inputs", "outputs"])
def test_a_table_of_mixed_dimensions(given: str) -> None:
    sizes = {"words": 12, "features": 5, "counts": [6, 3], "ranks": [1, 2, 4]}
    arch = tncompile.load("std/embedding.tn").instantiate("MixedEmbedding", **sizes)
    often = moment(12, 1).diagonal() if given != "outputs" else None
    g = moment(5, 2) if given != "inputs" else None
    places = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    tables = [random_weight(*shape, seed=k) for k, shape in enumerate(((12, 1), (7, 1), (4, 2)))]
    basis = random_weight(4, 5, seed=9)
    rows = torch.eye(12, dtype=torch.float64) if often is None else torch.diag(often)
    whole = torch.kron(torch.eye(5, dtype=torch.float64) if g is None else g, rows)

    def weight(*given: torch.Tensor) -> torch.Tensor:
        *some, last = given
        found = [each[places.clamp(max=len(each) - 1)] for each in some]
        return (torch.cat(found, 1) @ last).mT

    metric = Metric(often, g, damping=0.0)
    found = curvatures_of_table(arch._map, tables, basis, places, metric)
    places_of = torch.func.jacrev(weight, argnums=(0, 1, 2, 3))(*tables, basis)
    due = [{1}, {1}, {1}, {0} if g is None else {0, 1}]
    for each, jacobian, axes in zip(found, places_of, due, strict=True):
        assert compare(each, jacobian, whole) == axes


def test_long_legs_have_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Legs of 8 are longer than 4, the bond of 3 is not."""
    monkeypatch.setattr(room, "WIDEST", 4)
    arch = LINEAR.instantiate("LowRank", **LOW)
    values = {p.key: random_weight(*p.shape, seed=k) for k, p in enumerate(arch.network.parameters)}
    metric = Metric(moment(8, 1), moment(8, 2))
    for key, found in curvatures(arch.network, values, metric).items():
        assert [axes for axes, _ in found.sides] == [(values[key].shape.index(3),)]
    gauge = fixed(random_weight(8, 3), random_weight(3, 8, seed=1))
    of_rows, of_rest = curvatures_of_gauge(arch.network, gauge, metric)
    assert [axes for axes, _ in of_rows.sides] == [(0,)]
    assert [axes for axes, _ in of_rest.sides] == [(1,)]


def test_tied_factors_have_none() -> None:
    """Their map is quadratic in what they share."""
    arch = architecture(
        """
        network Twice(d: int = 4) {
          index i = d, o = d
          bond r[k in 0..3] = d
          input x(..., i)
          tensor A(i, r[0])
          tensor B[k in 0..2](r[k], r[k + 1]) share k
          tensor C(r[2], o)
          output y(..., o)
        }
        """
    )
    values = {p.key: random_weight(*p.shape) for p in arch.network.parameters}
    assert curvatures(arch.network, values, Metric(moment(4, 1))) == {}
