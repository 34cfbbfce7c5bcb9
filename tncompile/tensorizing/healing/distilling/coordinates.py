"""Coordinates in which the loss curves alike in all directions, as far as moments tell.

Adam scales every entry of a tensor by its own gradients, but knows nothing of entries that go
together. In coordinates that are multiplied by the root of a curvature along each axis the loss is
as steep one way as another, and steps of one size suit all of them: as Shampoo steps (Gupta, Koren
and Singer, 2018), but from moments that are known before the first step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tncompile.model import Model
from tncompile.tensorizing.calibrating.calling import digest
from tncompile.tensorizing.calibrating.layers import layer_of
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.sharing import shared_sums
from tncompile.tensorizing.fitting.curvature import (
    Curvature,
    Side,
    curvatures,
    curvatures_of_gauge,
)
from tncompile.tensorizing.fitting.interpolating import Gauge
from tncompile.tensorizing.moments import DAMPING, Metric
from tncompile.tensorizing.replacing.placing import Placed


@dataclass(frozen=True)
class Coordinates:
    """Those of a tensor: its axes `along` are multiplied by `roots`, symmetric (size, size)."""

    shape: tuple[int, ...]
    along: tuple[tuple[int, ...], ...]
    roots: tuple[torch.Tensor, ...]
    inverses: tuple[torch.Tensor, ...]

    @staticmethod
    def of(curvature: Curvature, like: torch.Tensor) -> Coordinates:
        """Those of a curvature, damped, for a tensor of this dtype and device."""
        roots, inverses = [], []
        for _, matrix in curvature.sides:
            scale = float(matrix.diagonal().mean())
            values, vectors = torch.linalg.eigh(matrix / scale if scale > 0 else matrix)
            root = values.clamp(min=0).add(DAMPING).sqrt()
            roots.append((vectors * root @ vectors.mT).to(like))
            inverses.append((vectors / root @ vectors.mT).to(like))
        along = tuple(axes for axes, _ in curvature.sides)
        return Coordinates(curvature.shape, along, tuple(roots), tuple(inverses))

    def coordinates(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor in them, in its own shape."""
        return self._multiplied(tensor, self.roots)

    def inverse(self, tensor: torch.Tensor) -> torch.Tensor:
        """A gradient in them, or a step in them as one of the tensor: roots are symmetric."""
        return self._multiplied(tensor, self.inverses)

    def _multiplied(self, tensor: torch.Tensor, matrices: Sequence[torch.Tensor]) -> torch.Tensor:
        found = tensor.reshape(self.shape)
        for axes, matrix in zip(self.along, matrices, strict=True):
            rest = [axis for axis in range(len(self.shape)) if axis not in axes]
            order = [*rest, *axes]
            moved = found.permute(order)
            flat = moved.reshape(-1, len(matrix)) @ matrix
            back = [order.index(axis) for axis in range(len(order))]
            found = flat.reshape(moved.shape).permute(back)
        return found.reshape(tensor.shape)


def coordinates_of(
    model: nn.Module,
    placed: Sequence[Placed],
    chosen: Mapping[str, nn.Parameter],
    moments: Moments,
) -> dict[str, Coordinates]:
    """Coordinates of the parameters of which moments tell something, by the names in `chosen`.

    Those are the tensors of networks, and the weights of layers that were not replaced.
    """
    names = {id(parameter): name for name, parameter in chosen.items()}
    found: dict[str, Coordinates] = {}
    with torch.no_grad():
        for parameter, curvature in _known(model, placed, moments):
            name = names.get(id(parameter))
            if name is not None and curvature.sides and _finite(curvature):
                dtype = torch.promote_types(parameter.dtype, torch.float32)
                found[name] = Coordinates.of(curvature, parameter.detach().to(dtype))
    return found


def fingerprint(moments: Moments) -> int:
    """A number that other moments do not have."""
    sums = moments.layers.items()
    own = {name: [each.inputs, each.outputs, *each.axes] for name, each in sums}
    return digest(moments.samples, own)


def _known(
    model: nn.Module, placed: Sequence[Placed], moments: Moments
) -> Iterator[tuple[nn.Parameter, Curvature]]:
    inside = set()
    for each in placed:
        inside |= {id(module) for module in each.module.modules()}
        layer = each.replacement.layer
        metric = _metric(moments, layer.weight_names, layer.kind)
        if metric is not None:
            yield from _of_network(each, metric)
    for name, module in model.named_modules():
        known = layer_of(module) if id(module) not in inside else None
        metric = None if known is None else _metric(moments, (name,), known.kind)
        weight = module._parameters.get("weight")
        if known is not None and metric is not None and weight is not None:
            curvature = _of_layer(weight, known.kind, metric)
            if _fits(curvature):  # else it is another layer of the same name
                yield weight, curvature


def _metric(moments: Moments, names: Sequence[str], kind: str) -> Metric | None:
    sums = shared_sums(moments, names, kind)
    return None if sums is None else sums.metric(moments.samples, "gradients", DAMPING)


def _of_network(placed: Placed, metric: Metric) -> Iterator[tuple[nn.Parameter, Curvature]]:
    own = {name.removeprefix("table."): each for name, each in placed.module.named_parameters()}
    made = placed.architecture
    if isinstance(made, Model):
        form = made._form
        rows, order = own[form.columns.path], placed.module.get_buffer(form.order.path)
        rest = own.get(form.rest.path) if form.rest is not None else None
        empty = rows.new_zeros((len(order) - len(rows), len(rows)))
        gauge = Gauge(order, rows, empty if rest is None else rest)
        of_rows, of_rest = curvatures_of_gauge(made._map, gauge, metric)
        yield rows, of_rows
        if rest is not None:
            yield rest, of_rest
        return
    values = {key: value.detach() for key, value in own.items()}
    if not {parameter.key for parameter in made.network.parameters} <= set(values):
        return  # weights of integers are not trained
    for key, curvature in curvatures(made.network, values, metric).items():
        yield own[key], curvature


def _of_layer(weight: torch.Tensor, kind: str, metric: Metric) -> Curvature:
    """The curvature of a weight that is as torch has it."""
    sides: list[Side] = []
    first, *others = weight.shape
    shape: tuple[int, ...] = (first, math.prod(others))
    out, into = (1, 0) if kind in ("conv1d", "embedding") else (0, 1)
    if metric.outputs is not None and metric.outputs.dim() == 2:
        sides.append(((out,), metric.outputs.double()))
    if metric.inputs is not None and metric.inputs.dim() == 2:
        sides.append(((into,), metric.inputs.double()))
    if metric.axes:
        shape = tuple(weight.shape)
        sides += [((place,), each.double()) for place, each in enumerate(metric.axes, start=1)]
        sides = [side for side in sides if side[0][0] < len(shape)]
    return Curvature(shape, tuple(sides))


def _fits(curvature: Curvature) -> bool:
    """Whether all matrices are over the sizes of their axes."""
    return all(
        len(matrix) == math.prod(curvature.shape[axis] for axis in axes)
        for axes, matrix in curvature.sides
    )


def _finite(curvature: Curvature) -> bool:
    return all(bool(torch.isfinite(matrix).all()) for _, matrix in curvature.sides)
