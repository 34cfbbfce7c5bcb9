"""The same product with its size spread evenly over its factors: what training starts well from.

Every bond has a gauge: a matrix and its inverse in between change nothing. Here both ends get the
roots of the singular values of their product, so that either has as much of each (the balanced form
of Burer and Monteiro, 2003). Where a sum runs over more than two factors, each of its terms is
spread evenly over them.
"""

from __future__ import annotations

import math

import torch

from tncompile.tensorizing.fitting.products.product import Product, Values

PASSES = 2
"""A bond changes its neighbors; two passes bring a chain near to rest."""


def balanced(product: Product, values: Values) -> Values:
    """The same result from factors of even size; parameters that are shared stay as they are."""
    found = dict(values)
    if not product.linear:
        return found
    _even_norms(product, found)
    ends: dict[str, list[int]] = {}
    for place, factor in enumerate(product.factors):
        for leg in factor.legs:
            ends.setdefault(leg, []).append(place)
    inner = {leg: places for leg, places in ends.items() if leg not in product.open}
    for _ in range(PASSES):
        for leg, places in inner.items():
            if not set(places) <= set(product.free):
                continue
            if len(places) == 2:
                _balance_bond(product, found, leg, places[0], places[1])
            elif len(places) > 2:
                _balance_terms(product, found, leg, places)
    return found


def _even_norms(product: Product, values: Values) -> None:
    """One number for each factor, whose product is one."""
    norms = {key: float(torch.linalg.vector_norm(values[key])) for key in product.keys}
    if not all(0 < norm < math.inf for norm in norms.values()):
        return
    mean = math.exp(sum(map(math.log, norms.values())) / len(norms))
    for key, norm in norms.items():
        values[key] = values[key] * (mean / norm)


def _balance_bond(product: Product, values: Values, leg: str, first: int, second: int) -> None:
    """Both ends as orthonormal matrices times the roots of one diagonal."""
    (left, left_legs), (right, right_legs) = (product.term(k, values) for k in (first, second))
    a = left.movedim(left_legs.index(leg), -1)
    b = right.movedim(right_legs.index(leg), 0)
    rows, columns = a.reshape(-1, a.shape[-1]), b.reshape(b.shape[0], -1)
    size = rows.shape[1]
    if min(rows.shape[0], columns.shape[1]) < size:
        return  # a bond that is wider than it can use has no such form of its own size
    basis, r = torch.linalg.qr(rows)
    other, s = torch.linalg.qr(columns.mH)
    u, singular, v = torch.linalg.svd(r @ s.mH)
    root = singular.sqrt()
    rows, columns = basis @ (u * root), (root.unsqueeze(1) * v) @ other.mH
    product.store(values, first, rows.reshape(a.shape).movedim(-1, left_legs.index(leg)))
    product.store(values, second, columns.reshape(b.shape).movedim(0, right_legs.index(leg)))


def _balance_terms(product: Product, values: Values, leg: str, places: list[int]) -> None:
    """Each entry along the leg with the same norm in all factors."""
    terms = [product.term(place, values) for place in places]
    norms = [
        tensor.movedim(legs.index(leg), 0).reshape(tensor.shape[legs.index(leg)], -1).norm(dim=1)
        for tensor, legs in terms
    ]
    logs = torch.stack(norms).log()
    if not bool(torch.isfinite(logs).all()):
        return
    mean = logs.mean(0)
    for (tensor, legs), log, place in zip(terms, logs, places, strict=True):
        shape = [-1 if other == leg else 1 for other in legs]
        product.store(values, place, tensor * (mean - log).exp().reshape(shape))
