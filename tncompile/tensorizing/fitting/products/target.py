"""The weight as a tensor over the open legs of a product, and how far a product is from it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from tncompile.tensorizing.fitting.products.product import Product, Values, WeightAxis


@dataclass(frozen=True)
class Problem:
    """Find the parameters of `product` for which it is nearest to `target`.

    `target` has an axis for each open leg; where axes are cut off by `as` there are zeros beyond,
    which do not count: `padded` and `cut` are the lengths of the axes with and without them.
    """

    product: Product
    target: torch.Tensor
    padded: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()

    @cached_property
    def norm(self) -> float:
        """Of the target."""
        return float(torch.linalg.vector_norm(self.target))

    @property
    def is_cut(self) -> bool:
        """Whether some entries of the product do not count."""
        return self.padded != self.cut

    def inside(self, tensor: torch.Tensor) -> torch.Tensor:
        """The part of a result that counts."""
        if not self.is_cut:
            return tensor
        return tensor.reshape(self.padded)[tuple(slice(length) for length in self.cut)]

    def residual(self, values: Values) -> torch.Tensor:
        """What is missing, in the entries that count."""
        return self.inside(self.target) - self.inside(self.product.dense(values))

    def error(self, values: Values) -> float:
        """The relative error in the Frobenius norm; 0 for a target of zeros that is met."""
        return self.relative(float(torch.linalg.vector_norm(self.residual(values))))

    def relative(self, distance: float) -> float:
        """A distance in units of the norm of the target; as it is where that is zero."""
        return distance / self.norm if self.norm else distance

    def filled(self, values: Values) -> torch.Tensor:
        """The target with the product itself beyond the entries that count.

        Its distance is that of the entries that count, and a product that is nearer to it is
        nearer to them: one step of expectation and maximization (Dempster, Laird and Rubin, 1977).
        """
        if not self.is_cut:
            return self.target
        full = self.product.dense(values).reshape(self.padded)
        full[tuple(slice(length) for length in self.cut)] = self.inside(self.target)
        return full.reshape(self.target.shape)


def problem_of(product: Product, axes: tuple[WeightAxis, ...], weight: torch.Tensor) -> Problem:
    """The weight, in the shape of its axes, cut into legs and filled up with zeros."""
    padded = tuple(math.prod(product.shape(axis.legs)) for axis in axes)
    cut = tuple(axis.length for axis in axes)
    full = weight.to(product.dtype)
    if padded != cut:
        whole = full.new_zeros(padded)
        whole[tuple(slice(length) for length in cut)] = full
        full = whole
    return Problem(product, full.reshape(product.shape(product.open)), padded, cut)


def arranged(weight: torch.Tensor, axes: tuple[WeightAxis, ...], target: str) -> torch.Tensor:
    """A weight in the shape of the axes of the network, checked.

    It may come with the axes of the output flattened and those of the input flattened, or with an
    axis for each leg. Raises TypeError for what is no tensor of numbers, and ValueError for another
    shape and where entries are not finite.
    """
    if not isinstance(weight, torch.Tensor):
        raise TypeError(f"weight is a torch.Tensor, not {type(weight).__name__}")
    if not (weight.is_floating_point() or weight.is_complex()):
        raise TypeError(f"weight holds real or complex numbers, not {weight.dtype}")
    if weight.layout is not torch.strided:
        raise TypeError("weight is sparse: give weight.to_dense()")
    if weight.is_meta:
        raise ValueError("weight is on the device `meta`: it has no values")
    shape = tuple(axis.length for axis in axes)
    given, known = tuple(weight.shape), weight_shapes(axes)
    if given not in known:
        words = " or ".join(map(written_shape, known))
        hint = ""
        if given[::-1] in known and len(given) == 2:
            hint = ": it is transposed (a weight of torch is (out, in))"
        raise ValueError(f"the weight of {target} is {words}, not {written_shape(given)}{hint}")
    found = weight.detach().reshape(shape)
    bad = found.numel() - int(torch.isfinite(found).sum())
    if bad:
        many = "an entry that is" if bad == 1 else f"{bad:,} entries that are"
        raise ValueError(f"the weight has {many} not finite (NaN or infinite)")
    return found


def weight_shapes(axes: tuple[WeightAxis, ...]) -> list[tuple[int, ...]]:
    """The shapes in which a weight may come: as it is, flattened, or with an axis for each leg."""
    shape = tuple(axis.length for axis in axes)
    known = [shape]
    if [axis.side for axis in axes] == sorted((a.side for a in axes), reverse=True):
        out, into = (math.prod(a.length for a in axes if a.side == side) for side in ("out", "in"))
        known.append((out, into))
    if all(axis.length == axis.size for axis in axes):
        known.append(tuple(size for axis in axes for size in axis.split))
    return list(dict.fromkeys(known))


def written_shape(shape: Iterable[int]) -> str:
    """Sizes as messages have them: `32 × 64`."""
    return " × ".join(map(str, shape)) or "a number"


def with_target(problem: Problem, target: torch.Tensor) -> Problem:
    """The same product and another target of its shape."""
    return replace(problem, target=target)
