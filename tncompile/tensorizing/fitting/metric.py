"""Errors that count: a weight seen through its inputs and by what its outputs are for.

The distance of W' from W is ‖G^½ (W − W') A^½‖ with A the second moment of the inputs and G that of
the gradients at the outputs. Its square is E |g · (W − W') x|² for independent g and x: what
Gauss-Newton says of the loss behind the layer (Martens and Grosse, "Optimizing Neural Networks with
Kronecker-factored Approximate Curvature", 2015); with A alone it is the mean squared error of the
outputs. Roots are Cholesky factors, A = L Lᴴ: ‖W L‖ is the same whichever root it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from tncompile.tensorizing.fitting.products.environments import Legs, contract
from tncompile.tensorizing.fitting.products.product import Factor, Product, Side, Values, WeightAxis
from tncompile.tensorizing.fitting.products.target import Problem
from tncompile.tensorizing.moments import Metric, damped


@dataclass(frozen=True)
class Root:
    """A root of one side, (size, size) or (size,) if diagonal; over `legs`, in their order."""

    side: Side
    legs: Legs
    moment: torch.Tensor

    @property
    def matrix(self) -> torch.Tensor:
        """What multiplies the side of a weight from its right, or its left transposed."""
        if self.moment.dim() == 1:
            return self.moment.real.sqrt()
        factor: torch.Tensor = torch.linalg.cholesky(self.moment)
        return factor.conj().resolve_conj() if self.side == "out" else factor


@dataclass(frozen=True)
class Seen:
    """A problem under a metric.

    `problem` is to be solved, in coordinates that `restored` brings its parameters back from:
    `transformed` says whether it is the plain problem of a transformed target. Otherwise the roots
    are factors of the product, `start` is the transformed problem of a metric that factorizes over
    legs, and the coordinates are those in which that metric is the plain one.
    """

    problem: Problem
    transformed: bool
    start: Problem
    roots: tuple[Root, ...]

    def restored(self, values: Values) -> Values:
        """Parameters of `problem` or `start` as parameters of the weight itself."""
        product, found = self.start.product, dict(values)
        for root in self.roots:
            place = _carrier(product, root.legs)
            if place is None:
                continue
            tensor, legs = product.term(place, found)
            product.store(found, place, _along(tensor, legs, root, invert=True))
        return found


def seen(problem: Problem, axes: tuple[WeightAxis, ...], metric: Metric, name: str) -> Seen:
    """The problem under a metric. Raises ValueError for one that does not fit the weight.

    Where all legs of a side are on one factor, its root is part of that factor: there the metric is
    a change of variables.
    """
    product = problem.product
    roots = list(_roots(product, axes, metric, name, problem.target.device))
    if all(_carrier(product, root.legs) is not None for root in roots):
        plain = _transformed(problem, axes, roots)
        return Seen(plain, True, plain, tuple(roots))
    parts = (part for root in roots for part in _separated(product, root))
    separate = [part for part in parts if _carrier(product, part.legs) is not None]
    within = _inside(problem, axes, metric)
    product = replace(within.product, factors=_undone(within.product.factors, separate))
    start = _transformed(problem, axes, separate)
    return Seen(replace(within, product=product), False, start, tuple(separate))


def _undone(factors: tuple[Factor, ...], roots: list[Root]) -> tuple[Factor, ...]:
    """Roots of sides without those of legs, which the parameters have in their place."""
    found = []
    for factor in factors:
        constant = factor.constant
        if constant is not None and factor.name.startswith(ROOT):
            for root in roots:
                if root.legs[0] in factor.legs:
                    axis = factor.legs.index(root.legs[0])
                    constant = _solved(constant, axis, root.matrix)
        found.append(replace(factor, constant=constant))
    return tuple(found)


def _solved(tensor: torch.Tensor, axis: int, matrix: torch.Tensor) -> torch.Tensor:
    """The inverse of a matrix times an axis."""
    moved = tensor.movedim(axis, 0)
    flat = moved.reshape(matrix.shape[0], -1)
    matrix = matrix.to(flat.dtype)
    if matrix.dim() == 1:
        flat = flat / matrix.unsqueeze(1)
    else:
        flat = torch.linalg.solve_triangular(matrix, flat, upper=False)
    return flat.reshape(moved.shape).movedim(0, axis).contiguous()


ROOT = "#root "
"""What the names of roots as factors begin with; no tensor of a network is called so."""


def _carrier(product: Product, legs: Legs) -> int | None:
    """The parameter that carries all of these legs, alone and at one place only."""
    places = [k for k, f in enumerate(product.factors) if not set(legs).isdisjoint(f.legs)]
    if len(places) != 1 or not product.linear:
        return None
    factor = product.factors[places[0]]
    return places[0] if factor.constant is None and set(legs) <= set(factor.legs) else None


def leg_moments(
    product: Product,
    axes: tuple[WeightAxis, ...],
    metric: Metric,
    name: str,
    device: torch.device,
) -> Iterator[Root]:
    """The damped moments of a metric: of a side if one parameter alone carries all its legs.

    Another side has one for each leg, as if legs were independent.
    """
    for root in _roots(product, axes, metric, name, device):
        if _carrier(product, root.legs) is None:
            yield from _separated(product, root)
        else:
            yield root


def _roots(
    product: Product,
    axes: tuple[WeightAxis, ...],
    metric: Metric,
    name: str,
    device: torch.device,
) -> Iterator[Root]:
    """A root for each side that has a moment, damped, the identity in what is cut off."""
    for side, own, moment in _moments(product, axes, metric, name, device):
        legs = tuple(leg for axis in own for leg in axis.legs)
        places = _places(own).to(moment.device)
        size = math.prod(axis.size for axis in own)
        if moment.dim() == 1:
            full = moment.new_full((size,), float(moment.real.mean()))
            full[places] = moment
        else:
            full = torch.eye(size, dtype=moment.dtype, device=moment.device)
            full *= float(moment.diagonal().real.mean())
            full[places.unsqueeze(1), places] = moment
        yield Root(side, legs, full)


def _moments(
    product: Product,
    axes: tuple[WeightAxis, ...],
    metric: Metric,
    name: str,
    device: torch.device,
) -> Iterator[tuple[Side, list[WeightAxis], torch.Tensor]]:
    """The damped moments, checked, each with the axes of the weight that it is of."""
    damping = metric.damping
    if not 0 <= damping < math.inf:
        raise ValueError(f"damping is a number from 0 on, not {damping}")
    for side, what, own, given in _given(axes, metric, name):
        length = math.prod(axis.length for axis in own)
        if tuple(given.shape) not in ((length, length), (length,)):
            raise ValueError(
                f"`{what}` of the metric of {name} are {length} × {length}, or {length} numbers,"
                f" not {' × '.join(map(str, given.shape))}"
            )
        if not torch.isfinite(given).all():
            raise ValueError(f"`{what}` of the metric are not finite")
        if given.is_complex() and not product.dtype.is_complex:
            raise ValueError(f"`{what}` of the metric are complex, and {name} is real")
        moment = damped(given.detach().to(device, product.dtype), damping)
        if moment.dim() == 2:
            if not bool(moment.any()):
                raise ValueError(f"`{what}` of the metric are zero: every weight is as near")
            if torch.linalg.cholesky_ex(moment).info:
                raise ValueError(
                    f"`{what}` of the metric are no positive definite matrix: raise its damping"
                )
        elif not bool((moment.real > 0).all()):
            raise ValueError(f"`{what}` of the metric are not all above 0: raise its damping")
        yield side, own, moment


def _given(
    axes: tuple[WeightAxis, ...], metric: Metric, name: str
) -> Iterator[tuple[Side, str, list[WeightAxis], torch.Tensor]]:
    """The moments that there are: their side, their name, the axes of the weight, the matrix."""
    own: dict[Side, list[WeightAxis]] = {"in": [], "out": []}
    for axis in axes:
        own[axis.side].append(axis)
    for what, inputs in (("inputs", metric.inputs is not None), ("axes", bool(metric.axes))):
        if inputs and not own["in"]:
            raise ValueError(f"{name} has no input, so that its metric has no `{what}`")
    if metric.inputs is not None:
        yield "in", "inputs", own["in"], metric.inputs
    if metric.axes and len(metric.axes) != len(own["in"]):
        raise ValueError(
            f"the metric has moments of {len(metric.axes)} axes, {name} has {len(own['in'])} axes"
            " of inputs"
        )
    for axis, moment in zip(own["in"], metric.axes, strict=False):
        if axis.legs:  # else it is of size 1: a factor of all errors
            yield "in", "axes", [axis], moment
    if metric.outputs is not None:
        yield "out", "outputs", own["out"], metric.outputs


def _places(axes: list[WeightAxis]) -> torch.Tensor:
    """Where the entries of a side that count are among all of it."""
    places = torch.zeros(1, dtype=torch.long)
    for axis in axes:
        places = (places.unsqueeze(1) * axis.size + torch.arange(axis.length)).flatten()
    return places


def _along(tensor: torch.Tensor, legs: Legs, root: Root, *, invert: bool) -> torch.Tensor:
    """A tensor with some of its legs multiplied by a root, or by its inverse."""
    rest = [leg for leg in legs if leg not in root.legs]
    order = [legs.index(leg) for leg in (*rest, *root.legs)]
    moved = tensor.permute(order)
    matrix = root.matrix
    flat = moved.reshape(-1, matrix.shape[0])
    if matrix.dim() == 1:
        flat = flat / matrix if invert else flat * matrix
    elif invert:
        flat = torch.linalg.solve_triangular(matrix, flat, upper=False, left=False)
    else:
        flat = flat @ matrix
    back = [order.index(k) for k in range(len(order))]
    return flat.reshape(moved.shape).permute(back)


def _transformed(problem: Problem, axes: tuple[WeightAxis, ...], roots: list[Root]) -> Problem:
    """The problem in other coordinates, where the metric of the roots is the plain one.

    A root mixes the entries of its side, so that none of them can be left out.
    """
    target = problem.target
    for root in roots:
        target = _along(target, problem.product.open, root, invert=False)
    sides = {root.side for root in roots}
    pairs = zip(axes, problem.padded, problem.cut, strict=True)
    cut = tuple(size if axis.side in sides else length for axis, size, length in pairs)
    return replace(problem, target=target.contiguous(), cut=cut)


def _separated(product: Product, root: Root) -> Iterator[Root]:
    """Roots leg by leg, of the partial traces: the metric as if legs were independent."""
    sizes = product.shape(root.legs)
    total = float(root.moment.sum().real if root.moment.dim() == 1 else root.moment.trace().real)
    for place, leg in enumerate(root.legs):
        before, size, after = math.prod(sizes[:place]), sizes[place], math.prod(sizes[place + 1 :])
        if root.moment.dim() == 1:
            moment = root.moment.reshape(before, size, after).sum((0, 2))
        else:
            split = root.moment.reshape(before, size, after, before, size, after)
            moment = torch.einsum("aibajb->ij", split)
        yield Root(root.side, (leg,), moment * (size / total))


def _inside(problem: Problem, axes: tuple[WeightAxis, ...], metric: Metric) -> Problem:
    """The problem with the roots as factors: open legs are those of the roots, and nothing is cut.

    In what is cut off a root is zero.
    """
    product, target, legs = problem.product, problem.target, problem.product.open
    lengths = list(zip(problem.padded, problem.cut, axes, strict=True))
    moments = _moments(product, axes, metric, "", target.device)
    for number, (side, own, moment) in enumerate(moments):
        carried = tuple(leg for axis in own for leg in axis.legs)
        matrix = Root(side, carried, moment).matrix
        size = math.prod(axis.size for axis in own)
        full = matrix.new_zeros((size, *matrix.shape[1:]))
        full[_places(own).to(matrix.device)] = matrix
        shape, new, left = product.shape(carried), f"{ROOT}{number}", legs
        constant = full.reshape(*shape, *matrix.shape[1:]).to(product.dtype)
        factor = Factor(new, carried, constant=constant)
        sizes = dict(product.sizes)
        if matrix.dim() == 1:
            lengths = [(p, p if axis in own else c, axis) for p, c, axis in lengths]
        else:
            lengths = [each for each in lengths if each[2] not in own]
            lengths.insert(
                0 if side == "out" else len(lengths), (matrix.shape[1], matrix.shape[1], own[0])
            )
            factor = replace(factor, legs=(*carried, new))
            left = tuple(leg for leg in legs if leg not in carried)
            left = (new, *left) if side == "out" else (*left, new)
            sizes[new] = matrix.shape[1]
        target = contract([(target, legs), (constant, factor.legs)], left, sizes)
        legs = left
        product = replace(product, factors=(*product.factors, factor), sizes=sizes, open=legs)
    padded, cut = tuple(p for p, _, _ in lengths), tuple(c for _, c, _ in lengths)
    return Problem(product, target.contiguous(), padded, cut)
