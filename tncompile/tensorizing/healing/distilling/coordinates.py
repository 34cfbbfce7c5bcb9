"""Coordinates in which the loss curves alike in all directions, as far as moments tell.

Adam scales every entry of a tensor by its own gradients, but knows nothing of entries that go
together. In coordinates that are multiplied by the root of a curvature along each axis the loss is
as steep one way as another, and steps of one size suit all of them: as Shampoo steps (Gupta, Koren
and Singer, 2018), but from moments that are known before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from tncompile.model import Model
from tncompile.models.graph.mixed import Mixed
from tncompile.tensorizing.calibrating.calling import digest
from tncompile.tensorizing.calibrating.model_moments import Moments
from tncompile.tensorizing.calibrating.sharing import shared_sums
from tncompile.tensorizing.fitting.curvature import (
    Curvature,
    curvatures,
    curvatures_of_gauge,
    curvatures_of_table,
)
from tncompile.tensorizing.fitting.interpolating import Gauge
from tncompile.tensorizing.moments import DAMPING, Metric
from tncompile.tensorizing.replacing.placing import Placed


@dataclass(frozen=True)
class Coordinates:
    """Those of a tensor: its axes `along` are multiplied by roots, symmetric (size, size).

    `size` is the root mean square of the tensor in them at the start.
    """

    shape: tuple[int, ...]
    along: tuple[tuple[int, ...], ...]
    inverses: tuple[torch.Tensor, ...]
    size: float

    @staticmethod
    def of(curvature: Curvature, tensor: torch.Tensor) -> Coordinates:
        """Those of a curvature, damped, for a tensor, of its dtype and on its device."""
        roots, inverses = [], []
        for _, matrix in curvature.sides:
            scale = float(matrix.diagonal().mean())
            values, vectors = torch.linalg.eigh(matrix / scale if scale > 0 else matrix)
            root = values.clamp(min=0).add(DAMPING).sqrt()
            roots.append((vectors * root @ vectors.mT).to(tensor))
            inverses.append((vectors / root @ vectors.mT).to(tensor))
        along = tuple(axes for axes, _ in curvature.sides)
        inside = multiplied(tensor.reshape(curvature.shape), along, roots)
        size = float(inside.square().mean().sqrt())
        return Coordinates(curvature.shape, along, tuple(inverses), size)

    def inverse(self, tensor: torch.Tensor) -> torch.Tensor:
        """A gradient in them, or a step in them as one of the tensor: roots are symmetric."""
        found = multiplied(tensor.reshape(self.shape), self.along, self.inverses)
        return found.reshape(tensor.shape)


def multiplied(
    tensor: torch.Tensor, along: Sequence[tuple[int, ...]], matrices: Sequence[torch.Tensor]
) -> torch.Tensor:
    """A tensor with some of its axes multiplied by a symmetric matrix, in its own shape."""
    for axes, matrix in zip(along, matrices, strict=True):
        order = [axis for axis in range(tensor.dim()) if axis not in axes] + list(axes)
        moved = tensor.permute(order)
        flat = moved.reshape(-1, len(matrix)) @ matrix
        back = [order.index(axis) for axis in range(len(order))]
        tensor = flat.reshape(moved.shape).permute(back)
    return tensor


def coordinates_of(
    placed: Sequence[Placed], chosen: Mapping[str, nn.Parameter], moments: Moments
) -> dict[str, Coordinates]:
    """Coordinates of the tensors of networks of which moments tell something, by name in `chosen`.

    What was not replaced is as good as it was, and its matrices are large: it has none.
    """
    names = {id(parameter): name for name, parameter in chosen.items()}
    found: dict[str, Coordinates] = {}
    with torch.no_grad():
        for each in placed:
            layer = each.replacement.layer
            sums = shared_sums(moments, layer.weight_names, layer.kind)
            if sums is None:
                continue
            metric = sums.metric(moments.samples, "gradients", DAMPING)
            for parameter, curvature in _curvatures(each, metric):
                name = names.get(id(parameter))
                if name is not None and curvature.sides:
                    dtype = torch.promote_types(parameter.dtype, torch.float32)
                    found[name] = Coordinates.of(curvature, parameter.detach().to(dtype))
    return found


def fingerprint(moments: Moments) -> int:
    """A number that other moments do not have."""
    sums = moments.layers.items()
    own = {name: [each.inputs, each.outputs, *each.axes] for name, each in sums}
    return digest(moments.samples, own)


def _curvatures(placed: Placed, metric: Metric) -> Iterator[tuple[torch.Tensor, Curvature]]:
    """Those of the tensors of a network; none where they are stored as integers."""
    made, module = placed.architecture, placed.network
    own = dict(module.named_parameters()) | dict(module.named_buffers())  # frozen ones are buffers
    if isinstance(made, Model):
        form = made._form
        if isinstance(form, Mixed):
            tables = [own.get(each.path) for each in (form.base, *form.more)]
            basis, places = own.get(form.basis.path), own[form.places.path]
            known = [each for each in tables if each is not None]
            if basis is not None and len(known) == len(tables):
                found = curvatures_of_table(made._map, known, basis, places, metric)
                yield from zip([*known, basis], found, strict=True)
            return
        rows, order = own.get(form.columns.path), own[form.order.path]
        rest = None if form.rest is None else own.get(form.rest.path)
        if rows is None or (rest is None and form.rest is not None):
            return
        empty = rows.new_zeros((len(order) - len(rows), len(rows)))
        gauge = Gauge(order, rows, empty if rest is None else rest)
        of_rows, of_rest = curvatures_of_gauge(made._map, gauge, metric)
        yield rows, of_rows
        if rest is not None:
            yield rest, of_rest
        return
    if {parameter.key for parameter in made.network.parameters} <= set(own):
        values = {key: value.detach() for key, value in own.items()}
        for key, curvature in curvatures(made.network, values, metric).items():
            yield own[key], curvature
