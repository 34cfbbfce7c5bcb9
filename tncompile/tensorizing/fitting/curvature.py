"""How an error of a weight curves along the legs of the tensors that it is made of.

The square of ‖G^½ (W − W') A^½‖ is quadratic in every tensor of a network. Its matrix for a tensor
is that of the normal equations: both moments, between two copies of all other tensors. What is
computed here is that matrix for each leg by itself, its partial traces over the other legs, as
Kronecker-factored approximations have them (Martens and Grosse, "Optimizing Neural Networks with
Kronecker-factored Approximate Curvature", 2015; Gupta, Koren and Singer, "Shampoo", 2018).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from tncompile.network.model import TensorNetwork
from tncompile.tensorizing.fitting.interpolating import Gauge
from tncompile.tensorizing.fitting.metric import Root, leg_moments
from tncompile.tensorizing.fitting.products.environments import Legs, Term, contract
from tncompile.tensorizing.fitting.products.product import Product, Values, product_of, weight_axes
from tncompile.tensorizing.fitting.refining.normal import PRIME
from tncompile.tensorizing.moments import Metric

WIDEST = 4096
"""The longest side that has a matrix, (size, size): each step multiplies by a root of it, twice."""

Side = tuple[tuple[int, ...], torch.Tensor]
"""Some axes of a tensor, and the matrix over them, (size, size) of their product."""


@dataclass(frozen=True)
class Curvature:
    """The matrices of a tensor along its axes.

    `shape` is that in which the axes are counted; it has as many numbers as the tensor. Axes along
    which nothing is known, or whose matrix is diagonal or larger than `WIDEST`, are in no side.
    """

    shape: tuple[int, ...]
    sides: tuple[Side, ...]


def curvatures(network: TensorNetwork, values: Values, metric: Metric) -> dict[str, Curvature]:
    """The matrices of each parameter of a network with these values, by key.

    Nothing for networks whose map is not linear in each parameter by itself: those that share one,
    or mix real and complex ones. Raises ValueError for networks that are no map of one input, and
    for a metric that does not fit.
    """
    device = next(iter(values.values())).device
    product, axes = product_of(network, weight_axes(network), values, device)
    if not product.linear:
        return {}
    roots = tuple(leg_moments(product, axes, metric, network.target, device))
    wide = {key: values[key].detach().to(product.dtype) for key in product.keys}
    found = {}
    for place in product.free:
        factor = product.factors[place]
        groups = _groups(factor.legs, roots, product)
        sides = tuple(
            (
                tuple(factor.legs.index(leg) for leg in legs),
                _along(product, wide, place, legs, roots),
            )
            for legs in groups
        )
        found[factor.key] = Curvature(product.shape(factor.legs), sides)
    return found


def _groups(legs: Legs, roots: Sequence[Root], product: Product) -> list[Legs]:
    """Legs of a tensor that have a matrix together."""
    carried = [root for root in roots if set(root.legs) <= set(legs)]
    groups = [root.legs for root in carried if root.moment.dim() == 2]
    known = {leg for root in carried for leg in root.legs} | product.open_set
    groups += [(leg,) for leg in legs if leg not in known]
    return [group for group in groups if math.prod(product.shape(group)) <= WIDEST]


def _along(
    product: Product, values: Values, place: int, legs: Legs, roots: Sequence[Root]
) -> torch.Tensor:
    """The matrix over some legs of a factor, (size, size)."""
    doubled = set(product.sizes) - (set(product.factors[place].legs) - set(legs))
    with_moment = {leg for root in roots if root.moment.dim() == 2 for leg in root.legs}
    doubled -= product.open_set - with_moment
    sizes = {**product.sizes, **{leg + PRIME: product.sizes[leg] for leg in doubled}}

    def other(own: Legs) -> Legs:
        return tuple(leg + PRIME if leg in doubled else leg for leg in own)

    terms: list[Term] = []
    for k in range(len(product.factors)):
        if k != place:
            tensor, own = product.term(k, values)
            tensor = tensor.to(product.dtype)
            terms += [(tensor, own), (tensor.conj(), other(own))]
    for root in roots:
        shape = product.shape(root.legs)
        if root.moment.dim() == 1:
            terms.append((root.moment.reshape(shape), root.legs))
        elif doubled.isdisjoint(root.legs):
            terms.append((root.moment.diagonal().reshape(shape), root.legs))
        else:
            terms.append((root.moment.reshape(*shape, *shape), (*root.legs, *other(root.legs))))
    size = math.prod(product.shape(legs))
    return contract(terms, (*legs, *other(legs)), sizes).reshape(size, size)


def curvatures_of_gauge(
    low_rank: TensorNetwork, gauge: Gauge, metric: Metric
) -> tuple[Curvature, Curvature]:
    """Those of `rows` and of `rest`, of a product of two factors with its gauge fixed.

    `low_rank` is the network of the two factors, (in, r) and (r, out).
    """
    order, rows, rest = gauge.order, gauge.rows.detach().double(), gauge.rest.detach().double()
    inputs, outputs = _moments(low_rank, metric, rows.device)
    if inputs is not None:
        inputs = inputs[order] if inputs.dim() == 1 else inputs[order][:, order]
    whole = torch.cat([torch.eye(len(rows), dtype=rows.dtype, device=rows.device), rest])
    inside, after = _between(whole, inputs), _between(rows.mT, outputs)
    others, outside = (m if m is not None and m.dim() == 2 else None for m in (inputs, outputs))
    if others is not None:
        others = others[len(rows) :, len(rows) :]

    return _sided(rows, {0: inside, 1: outside}), _sided(rest, {0: others, 1: after})


def curvatures_of_table(
    low_rank: TensorNetwork,
    tables: Sequence[torch.Tensor],
    basis: torch.Tensor,
    places: torch.Tensor,
    metric: Metric,
) -> tuple[Curvature, ...]:
    """Those of each of the tables and of the basis, of a table of mixed dimensions.

    `low_rank` is its network with all numbers for all words; all but the first of the tables have
    the first words alone, and a last row for all others. Rows of a table do not meet.
    """
    tables, basis = [each.detach().double() for each in tables], basis.detach().double()
    often, outputs = _moments(low_rank, metric, basis.device)
    inner = _between(basis.mT, outputs)
    rows = [table[places.clamp(max=len(table) - 1)] for table in tables]
    matrix = outputs is not None and outputs.dim() == 2
    found, first = [], 0
    for table in tables:
        last = first + table.shape[1]
        found.append(_sided(table, {1: inner[first:last, first:last]}))
        first = last
    own = {0: _between(torch.cat(rows, 1), often), 1: outputs if matrix else None}
    return *found, _sided(basis, own)


def _moments(
    low_rank: TensorNetwork, metric: Metric, device: torch.device
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The damped moments of the inputs and of the outputs of a network of two factors."""
    product, axes = product_of(low_rank, weight_axes(low_rank), {}, device)
    roots = leg_moments(product, axes, metric, low_rank.target, device)
    moments = {root.side: root.moment for root in roots}
    return moments.get("in"), moments.get("out")


def _sided(tensor: torch.Tensor, sides: Mapping[int, torch.Tensor | None]) -> Curvature:
    """The matrices of some axes that there are and that are not too large."""
    known = ((axis, each) for axis, each in sides.items() if each is not None)
    kept = tuple(((axis,), each) for axis, each in known if len(each) <= WIDEST)
    return Curvature(tuple(tensor.shape), kept)


def _between(factor: torch.Tensor, moment: torch.Tensor | None) -> torch.Tensor:
    """Fᵀ M F of a factor (size, r): (r, r). A vector is a diagonal M, None the identity."""
    if moment is None:
        return factor.mT @ factor
    seen = moment.unsqueeze(1) * factor if moment.dim() == 1 else moment @ factor
    return factor.mT @ seen
