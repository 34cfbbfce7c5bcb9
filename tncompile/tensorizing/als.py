"""Alternating least squares: each factor in turn is the best one beside the others.

The normal equations come from the doubled network, the product without the factor times its
conjugate (Kolda and Bader, "Tensor Decompositions and Applications", 2009; Wang, Aggarwal and
Aeron, "Efficient Low Rank Tensor Ring Completion", 2017). Parts of it that only the factor joins
are matrices of their own, whose Kronecker product is never made: in networks without loops they
are as small as the bonds. Open legs of the factor that no other carries are right-hand sides, those
that others carry too are batches. A proximal term keeps singular systems solvable and steps short
(Li, Kindermann and Navasca, "Some convergence results on the regularized ALS method", 2013).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from tncompile.tensorizing.environments import Legs, Term, contract
from tncompile.tensorizing.product import Product, Values

LARGEST_DIRECT = 3000
"""Unknowns of a system that is factorized; larger ones are solved by conjugate gradients."""

MOST_CG_STEPS = 40
CG_REDUCTION = 1e-8


@dataclass(frozen=True)
class _Part:
    """A piece of the rest of the network that hangs on the factor by some of its legs."""

    places: tuple[int, ...]
    inner: Legs  # of the factor: the unknowns
    batch: Legs  # open legs of the factor that the piece carries, too


def contractions(product: Product) -> int:
    """About how often a sweep contracts the product."""
    iterated = [
        place
        for place in product.free
        for batch in [product.open_set.intersection(product.factors[place].legs)]
        if any(
            not _is_direct(product.sizes, part, tuple(batch.intersection(part.batch)))
            for part in _parts(product, place)
        )
    ]
    return 1 + 2 * len(product.free) + 2 * MOST_CG_STEPS * len(iterated)


def sweep(
    product: Product, target: torch.Tensor, values: Values, damping: float, *, backward: bool
) -> None:
    """Put a better tensor in the place of each parameter, one after the other."""
    seen = _absorbed(product, target)
    places = product.free[::-1] if backward else product.free
    for place in places:
        product.store(values, place, _update(product, seen, values, place, damping))


@dataclass(frozen=True)
class _Absorbed:
    """What constants that close the product, roots of a metric, are in its normal equations.

    Each is there twice, over legs that it alone carries: `moments` by place are its product with
    its conjugate, over its other legs and those primed. `target` is that of the right-hand sides.
    """

    moments: dict[int, Term]
    target: Term


def _absorbed(product: Product, target: torch.Tensor) -> _Absorbed:
    ends = Counter(leg for factor in product.factors for leg in factor.legs)
    moments: dict[int, Term] = {}
    closing: list[Term] = [(target, product.open)]
    left = product.open
    for place, factor in enumerate(product.factors):
        own = [leg for leg in factor.legs if leg in product.open and ends[leg] == 1]
        if factor.constant is None or not own:
            continue
        kept = tuple(leg for leg in factor.legs if leg not in own)
        if not product.open_set.isdisjoint(kept):
            continue
        primed = tuple(f"{leg}'" if leg in kept else leg for leg in factor.legs)
        sizes = {**product.sizes, **{f"{leg}'": product.sizes[leg] for leg in kept}}
        result = (*kept, *(f"{leg}'" for leg in kept))
        pair = [(factor.constant.conj(), factor.legs), (factor.constant, primed)]
        moments[place] = contract(pair, result, sizes), result
        closing.append((factor.constant.conj(), factor.legs))
        left = (*(leg for leg in left if leg not in own), *kept)
    if not moments:
        return _Absorbed({}, (target, product.open))
    return _Absorbed(moments, (contract(closing, left, product.sizes), left))


def _update(
    product: Product, seen: _Absorbed, values: Values, place: int, damping: float
) -> torch.Tensor:
    """The minimum over one factor of the distance, and `damping` times that from the old one."""
    legs, sizes = product.factors[place].legs, product.sizes
    terms = product.terms(values)
    old = terms[place][0]
    parts = _parts(product, place)
    others = [
        _conjugated(term) for k, term in enumerate(terms) if k != place and k not in seen.moments
    ]
    wanted = contract([*others, seen.target], legs, sizes)
    batch = tuple(leg for leg in legs if any(leg in part.batch for part in parts))
    inner = tuple(leg for part in parts for leg in part.inner)
    free = tuple(leg for leg in legs if leg not in inner and leg not in batch)
    shape = [_count(sizes, batch), *(_count(sizes, p.inner) for p in parts), _count(sizes, free)]
    order = (*batch, *inner, *free)
    forth = [legs.index(leg) for leg in order]
    back = [order.index(leg) for leg in legs]
    right, start = (each.permute(forth).reshape(shape) for each in (wanted, old))
    if all(_is_direct(sizes, part, batch) for part in parts):
        grams = [_gram(product, terms, seen, part, batch) for part in parts]
        found = _solved(grams, right, start, damping)
    else:
        found = _iterated(product, terms, seen, place, right, start, damping, order, shape)
    return found.reshape([sizes[leg] for leg in order]).permute(back).contiguous()


def _count(sizes: Mapping[str, int], legs: Legs) -> int:
    return math.prod(sizes[leg] for leg in legs)


def _is_direct(sizes: Mapping[str, int], part: _Part, batch: Legs) -> bool:
    unknowns = _count(sizes, part.inner)
    return unknowns <= LARGEST_DIRECT and _count(sizes, batch) * unknowns**2 <= LARGEST_DIRECT**2


def _conjugated(term: Term) -> Term:
    tensor, legs = term
    return tensor.conj(), legs


def _parts(product: Product, place: int) -> tuple[_Part, ...]:
    """The pieces that the others are in, joined by all legs but open ones of the factor."""
    own = product.factors[place].legs
    cut = {leg for leg in own if leg in product.open}
    pieces: list[tuple[set[str], list[int]]] = []
    for other, factor in enumerate(product.factors):
        if other == place:
            continue
        joined, members = set(factor.legs) - cut, [other]
        rest = []
        for legs, places in pieces:
            if legs.isdisjoint(joined):
                rest.append((legs, places))
            else:
                joined |= legs
                members += places
        pieces = [*rest, (joined, members)]
    parts = []
    for legs, members in pieces:
        carried = {leg for other in members for leg in product.factors[other].legs}
        inner = tuple(leg for leg in own if leg in legs)
        batch = tuple(leg for leg in own if leg in cut and leg in carried)
        parts.append(_Part(tuple(sorted(members)), inner, batch))
    return tuple(parts)


def _gram(
    product: Product, terms: list[Term], seen: _Absorbed, part: _Part, batch: Legs
) -> torch.Tensor:
    """The normal matrices of a piece: (1 or entries of `batch`, unknowns, unknowns)."""
    sizes = dict(product.sizes)
    doubled: list[Term] = []
    for place in part.places:
        tensor, legs = terms[place]
        primed = tuple(leg if leg in product.open else f"{leg}'" for leg in legs)
        sizes |= {new: sizes[leg] for leg, new in zip(legs, primed, strict=True)}
        pair = [(tensor.conj(), legs), (tensor, primed)]
        doubled += [seen.moments[place]] if place in seen.moments else pair
    columns = tuple(f"{leg}'" for leg in part.inner)
    gram = contract(doubled, (*part.batch, *part.inner, *columns), sizes)
    unknowns = _count(sizes, part.inner)
    lengths = [sizes[leg] if leg in part.batch else 1 for leg in batch]
    order = [part.batch.index(leg) for leg in batch if leg in part.batch]
    rest = range(len(order), gram.dim())
    gram = gram.permute([*order, *rest]).reshape(*lengths, unknowns, unknowns)
    if any(leg in part.batch for leg in batch):
        gram = gram.expand(*(sizes[leg] for leg in batch), unknowns, unknowns)
    return gram.reshape(-1, unknowns, unknowns)


def _solved(
    grams: list[torch.Tensor], right: torch.Tensor, old: torch.Tensor, damping: float
) -> torch.Tensor:
    """(N + μ) x = right + μ old, N the Kronecker product of the matrices of each batch."""
    if not grams:
        return right
    scale = math.prod(float(each.diagonal(dim1=-2, dim2=-1).real.mean()) for each in grams)
    shift = max(damping * scale, torch.finfo(torch.float64).tiny)
    shifted = right + shift * old
    if len(grams) == 1:
        (gram,) = grams
        eye = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        least = max(shift, 1e-13 * scale)
        factor, info = torch.linalg.cholesky_ex(gram + least * eye)
        if not info.any():
            return torch.cholesky_solve(shifted, factor)
    bases = []
    spectrum = right.new_ones((1,), dtype=torch.float64)
    for number, gram in enumerate(grams):
        eigenvalues, vectors = torch.linalg.eigh(gram)
        bases.append(vectors)
        lead = [eigenvalues.shape[0], *(1 for _ in range(number)), eigenvalues.shape[1]]
        spectrum = spectrum.unsqueeze(-1) * eigenvalues.clamp(min=0).reshape(lead)
    turned = _turned([each.mH for each in bases], shifted)
    scaled = turned / (spectrum.unsqueeze(-1) + max(shift, 1e-13 * scale))
    return _turned(bases, scaled)


def _turned(matrices: list[torch.Tensor], tensor: torch.Tensor) -> torch.Tensor:
    """Each axis behind the batch times the matrix of its place."""
    for axis, matrix in enumerate(matrices, start=1):
        moved = tensor.movedim(axis, -1)
        lead = matrix.reshape(matrix.shape[0], *(1,) * (moved.dim() - 3), *matrix.shape[1:])
        tensor = (moved @ lead.mT).movedim(-1, axis)
    return tensor


def _iterated(
    product: Product,
    terms: list[Term],
    seen: _Absorbed,
    place: int,
    right: torch.Tensor,
    old: torch.Tensor,
    damping: float,
    order: Legs,
    shape: list[int],
) -> torch.Tensor:
    """The same by conjugate gradients (Hestenes and Stiefel, 1952), the matrix never made."""
    sizes = dict(product.sizes)
    inside: list[Term] = []
    outside: list[Term] = []
    result = tuple(leg if leg in product.open else f"{leg}'" for leg in order)
    for k, (tensor, legs) in enumerate(terms):
        if k == place:
            continue
        primed = tuple(leg if leg in product.open else f"{leg}'" for leg in legs)
        sizes |= {new: sizes[leg] for leg, new in zip(legs, primed, strict=True)}
        if k in seen.moments:
            moment, doubled = seen.moments[k]
            inside.append((moment.conj(), doubled))
        else:
            inside.append((tensor, legs))
            outside.append((tensor.conj(), primed))
    sizes |= {f"{leg}'": sizes[leg] for leg in order}
    lengths = [sizes[leg] for leg in order]

    def applied(tensor: torch.Tensor) -> torch.Tensor:
        candidate = (tensor.reshape(lengths), order)
        return contract([candidate, *inside, *outside], result, sizes).reshape(shape)

    scale = float((old.conj() * applied(old)).sum().real / old.abs().square().sum().clamp(1e-300))
    shift = max(damping * scale, 1e-13 * scale)
    return old + _conjugate_gradients(
        lambda tensor: applied(tensor) + shift * tensor, right - applied(old)
    )


def _conjugate_gradients(
    apply: Callable[[torch.Tensor], torch.Tensor], right: torch.Tensor
) -> torch.Tensor:
    """The solution of a positive definite system, from zero."""
    found = torch.zeros_like(right)
    rest = right.clone()
    direction = rest.clone()
    size = first = float(rest.abs().square().sum())
    for _ in range(MOST_CG_STEPS):
        if size <= CG_REDUCTION**2 * first or size == 0:
            break
        image = apply(direction)
        curvature = float((direction.conj() * image).sum().real)
        if curvature <= 0:
            break
        found += size / curvature * direction
        rest -= size / curvature * image
        before, size = size, float(rest.abs().square().sum())
        direction = rest + size / before * direction
    return found
