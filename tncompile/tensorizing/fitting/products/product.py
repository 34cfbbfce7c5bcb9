"""The map of a network as a product of factors over open legs: what a weight is fitted with.

Inputs are taken away and biases left out. Legs of size 1 are dropped. A leg that two axes of the
weight share gets a name for each and an identity between them, a leg that only one factor carries
ones at its other end, so that each axis has legs of its own and all sums have two ends.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Literal

import torch

from tncompile.network.features import features
from tncompile.network.model import RUN_TIME, Axis, TensorNetwork
from tncompile.tensorizing.fitting.products.environments import Legs, Term, contract

Side = Literal["out", "in"]

Values = dict[str, torch.Tensor]
"""Parameters by key, in the shapes of the state dict."""


@dataclass(frozen=True)
class Factor:
    """One use of a parameter, or a constant, which has its values with it."""

    name: str
    legs: Legs
    key: str = ""
    conjugate: bool = False
    constant: torch.Tensor | None = field(default=None, compare=False)


@dataclass(frozen=True)
class WeightAxis:
    """An axis of the weight: its legs, row major, and how much of them there is (`as`)."""

    legs: Legs
    split: tuple[int, ...]  # the size of each leg
    length: int
    side: Side

    @property
    def size(self) -> int:
        """With what is cut off."""
        return math.prod(self.split)


@dataclass(frozen=True)
class Product:
    """Factors over legs of these sizes; `open` are the legs of the result, in its order."""

    factors: tuple[Factor, ...]
    sizes: Mapping[str, int]
    open: Legs
    shapes: Mapping[str, tuple[int, ...]]  # of the parameters by key
    complex_keys: frozenset[str] = frozenset()
    dtype: torch.dtype = torch.float64  # what everything is computed in

    @cached_property
    def free(self) -> tuple[int, ...]:
        """The places of the factors that are parameters to be found."""
        return tuple(k for k, factor in enumerate(self.factors) if factor.constant is None)

    @cached_property
    def open_set(self) -> frozenset[str]:
        """The open legs."""
        return frozenset(self.open)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The parameters to be found."""
        return tuple(dict.fromkeys(self.factors[k].key for k in self.free))

    @property
    def shared(self) -> bool:
        """Whether a parameter stands at several places: then the result is not linear in it."""
        return len(self.keys) < len(self.free)

    @property
    def linear(self) -> bool:
        """Whether the result is linear in each parameter, all of them real or all complex."""
        alike = not self.dtype.is_complex or len(self.complex_keys) == len(self.keys)
        return alike and not self.shared

    @cached_property
    def swampy(self) -> bool:
        """Whether a sum runs over three factors or more, as in CP: ALS creeps there."""
        ends = Counter(leg for factor in self.factors for leg in factor.legs)
        return any(n > 2 for leg, n in ends.items() if leg not in self.open)

    def shape(self, legs: Iterable[str]) -> tuple[int, ...]:
        """The size of each leg."""
        return tuple(self.sizes[leg] for leg in legs)

    def term(self, place: int, values: Values) -> Term:
        """A factor as it stands in the product."""
        factor = self.factors[place]
        if factor.constant is not None:
            return factor.constant, factor.legs
        tensor = values[factor.key].reshape(self.shape(factor.legs))
        return tensor.conj() if factor.conjugate else tensor, factor.legs

    def store(self, values: Values, place: int, tensor: torch.Tensor) -> None:
        """Put a factor, as it stands in the product, where its parameter is."""
        factor = self.factors[place]
        stored = tensor.conj() if factor.conjugate else tensor
        values[factor.key] = stored.resolve_conj().contiguous().reshape(self.shapes[factor.key])

    def terms(self, values: Values) -> list[Term]:
        """All factors."""
        return [self.term(place, values) for place in range(len(self.factors))]

    def dense(self, values: Values) -> torch.Tensor:
        """The result."""
        terms = [(tensor.to(self.dtype), legs) for tensor, legs in self.terms(values)]
        return contract(terms, self.open, self.sizes)


def weight_axes(network: TensorNetwork) -> tuple[WeightAxis, ...]:
    """The axes of the weight that a network stands for, in the order of the layer of torch.

    Those of the output come first, then those of the input, or of both inputs of a bilinear map; of
    embeddings ids come first, of transposed convolutions the channels of the input. Raises
    ValueError for a network that is no such map: its output is a logarithm, it has other inputs or
    slices, or no parameter.
    """
    what = network.target
    if network.output.log:
        raise ValueError(f"{what} gives a logarithm: no weight is fitted onto it")
    if not any(tensor.role == "parameter" for tensor in network.tensors):
        raise ValueError(f"{what} has no parameters to be fitted")
    layer = features(network)
    if len(network.inputs) > 1 and layer is None:
        names = ", ".join(f"`{each.name}`" for each in network.inputs)
        raise ValueError(
            f"{what} has several inputs ({names}), and is no bilinear map: it has no weight"
        )
    slices = [x.name for x in network.inputs if any(axis.kind == "slices" for axis in x.axes)]
    if slices:
        raise ValueError(f"{what} multiplies slices of `{slices[0]}` with each other: not linear")
    if layer is not None:
        out = 1 if layer.kind in ("embedding", "conv_transpose") else 0
        return tuple(
            _axis(network, axis, "out" if place == out else "in")
            for place, axis in enumerate(layer.axes)
        )
    if network.windows:
        raise ValueError(f"{what} is no convolution of torch: its weight has no known axes")
    given = [axis for each in network.inputs for axis in each.axes]
    outside: list[tuple[Axis, Side]] = [(axis, "out") for axis in network.output.axes]
    outside += [(axis, "in") for axis in given]
    run_time = {index.name for index in network.indices if index.kind in RUN_TIME}
    return tuple(
        _axis(network, axis, side) for axis, side in outside if run_time.isdisjoint(axis.indices)
    )


def _axis(network: TensorNetwork, axis: Axis, side: Side) -> WeightAxis:
    split = tuple(network.index[leg].size or 1 for leg in axis.indices)
    return WeightAxis(axis.indices, split, axis.length or 1, side)


def product_of(
    network: TensorNetwork,
    axes: tuple[WeightAxis, ...],
    frozen: Mapping[str, torch.Tensor],
    device: torch.device,
) -> tuple[Product, tuple[WeightAxis, ...]]:
    """The factors of a network, and the axes of its weight with the legs that these have.

    `frozen` are the values of parameters that are not trained.
    """
    sizes = {index.name: index.size for index in network.indices if index.size is not None}
    names = set(sizes)
    factors = [
        Factor(
            tensor.name,
            tuple(leg for leg in tensor.legs if sizes[leg] > 1),
            tensor.source,
            tensor.conjugate,
        )
        for tensor in network.tensors
        if tensor.role == "parameter"
    ]
    dtype = torch.complex128 if network.complex else torch.float64
    for place, factor in enumerate(factors):
        if network.parameter[factor.key].frozen:
            value = (
                frozen[factor.key].to(device, dtype).reshape([sizes[leg] for leg in factor.legs])
            )
            value = value.conj().resolve_conj() if factor.conjugate else value
            factors[place] = replace(factor, constant=value)
    seen: set[str] = set()
    own: list[WeightAxis] = []
    for axis in axes:
        legs: list[str] = []
        for leg in axis.legs:
            if sizes[leg] == 1:
                continue
            if leg in seen:
                fresh = leg
                while fresh in names:
                    fresh += "'"
                names.add(fresh)
                sizes[fresh] = sizes[leg]
                factors.append(
                    Factor(
                        f"eye[{fresh}]",
                        (leg, fresh),
                        constant=torch.eye(sizes[leg], dtype=dtype, device=device),
                    )
                )
                leg = fresh
            seen.add(leg)
            legs.append(leg)
        own.append(replace(axis, legs=tuple(legs)))
    for leg in _loose(factors, seen):
        ones = torch.ones(sizes[leg], dtype=dtype, device=device)
        factors.append(Factor(f"ones[{leg}]", (leg,), constant=ones))
    used = {factor.key for factor in factors if factor.constant is None}
    shapes = {p.key: p.shape for p in network.parameters if p.key in used}
    complex_keys = frozenset(p.key for p in network.parameters if p.complex and p.key in used)
    outside = tuple(chain.from_iterable(axis.legs for axis in own))
    return Product(tuple(factors), sizes, outside, shapes, complex_keys, dtype), tuple(own)


def _loose(factors: list[Factor], outside: set[str]) -> Iterator[str]:
    """Legs that lack an end: open ones that nothing carries, inner ones that one factor carries."""
    ends = Counter(leg for factor in factors for leg in factor.legs)
    yield from sorted(leg for leg in outside if not ends[leg])
    yield from (leg for leg, count in ends.items() if count == 1 and leg not in outside)
