"""Bonds cut down to what they carry: smaller tensors, and the error that this makes.

One walk over the tree: the tensor where it stands is the center, all others are isometries towards
it, so that what the singular values of its next bond lose is what the map loses (Schollwöck, 2011,
section 4.5, on trees).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tncompile.inspection.bonds.bonds import bonds_of
from tncompile.inspection.bonds.canonical import Gauging, gauged_values, require_gauge
from tncompile.inspection.bonds.graph import MapGraph, graph_of
from tncompile.inspection.bonds.resizing import Arguments, arguments_for
from tncompile.language.diagnostics.errors import CompileError
from tncompile.network.model import TensorNetwork

if TYPE_CHECKING:
    from torch import nn

    from tncompile.architecture import Architecture


@dataclass(frozen=True)
class Truncated:
    """What `truncate` returns: a smaller architecture, its module, and ‖W − W'‖ / ‖W‖ at most.

    `ranks` are the sizes of all bonds now.
    """

    architecture: Architecture
    module: nn.Module
    error: float
    ranks: Mapping[str, int]

    def __repr__(self) -> str:
        count = sum(parameter.numel() for parameter in self.module.parameters())
        return f"Truncated({self.architecture!r}, {count:,} parameters, error {self.error:.2e})"


def truncated(
    architecture: Architecture,
    module: nn.Module,
    values: Mapping[str, torch.Tensor],
    tolerance: float | None,
    ranks: Mapping[str, int] | None,
) -> Truncated:
    """What `Architecture.truncate` returns."""
    network = architecture.network
    require_gauge(network, graph_of(network, values))
    wanted = wanted_ranks(network, values, tolerance, ranks)

    def sizes(changed: Arguments) -> dict[str, int | None] | None:
        try:
            made = architecture._with_arguments(changed)
        except CompileError:
            return None
        return {index.name: index.size for index in made.network.indices}

    arguments = arguments_for(architecture.arguments, sizes, wanted)
    small = architecture._with_arguments(arguments)
    found = {name: small.network.index[name].size or 1 for name in wanted}
    now = {name: network.index[name].size for name in wanted}
    if (
        ranks is not None
        and found == now
        and any(wanted[name] < (now[name] or 1) for name in ranks)
    ):
        asked = ", ".join(name for name in ranks if wanted[name] < (now[name] or 1))
        others = ", ".join(name for name in wanted if name not in ranks)
        words = f"one argument gives {asked} and other bonds a size together"
        raise ValueError(f"{words}: give ranks of all of them, of {others} too")
    cut, error = truncated_values(network, values, found)
    first = next(iter(values.values()))
    made = small.module(dtype=first.dtype, device=first.device, search="fast")
    made.load_state_dict(cut)
    return Truncated(small, made.train(module.training), error, found)


def wanted_ranks(
    network: TensorNetwork,
    values: Mapping[str, torch.Tensor],
    tolerance: float | None,
    ranks: Mapping[str, int] | None,
) -> dict[str, int]:
    """The rank that each bond is to have: those given, or the smallest for a relative error.

    Errors of bonds add up in squares, so each of n may make tolerance / √n. Raises ValueError for
    both or neither, ranks of what is no bond, and ranks out of range.
    """
    if (tolerance is None) == (ranks is None):
        raise ValueError("give a tolerance, or ranks")
    found = bonds_of(network, values, None)
    single = {name: bond for name, bond in found.items() if name in network.index}
    if ranks is None:
        assert tolerance is not None
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance is a relative error from 0 to 1, not {tolerance}")
        each = tolerance / math.sqrt(max(1, len(single)))
        return {name: max(1, bond.rank_for(each)) for name, bond in single.items()}
    for name, rank in ranks.items():
        if name not in single:
            raise ValueError(f"{name} is no bond of {network.target}")
        if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
            raise ValueError(f"the rank of {name} is a number from 1 on, not {rank!r}")
    return {name: min(bond.size, ranks.get(name, bond.size)) for name, bond in single.items()}


def truncated_values(
    network: TensorNetwork, values: Mapping[str, torch.Tensor], ranks: Mapping[str, int]
) -> tuple[dict[str, torch.Tensor], float]:
    """The parameters with bonds of these sizes, and the relative error of the map at most."""
    graph = graph_of(network, values)
    require_gauge(network, graph)
    lost = 0.0
    for part in graph.parts():
        lost += _walk(graph, part[0], ranks)
    return gauged_values(graph, values), math.sqrt(lost)


def _walk(graph: MapGraph, root: str, ranks: Mapping[str, int]) -> float:
    """Go from a root over all bonds and back; the squared relative error."""
    gauging = Gauging(graph)
    gauging.towards(root)
    center = graph.nodes[root].tensor
    assert center is not None
    whole = float(center.abs().square().sum())
    lost = 0.0
    seen, path = {root}, [root]
    while path:
        here = path[-1]
        near = next((name for name in graph.nodes[here].edges if name not in seen), None)
        if near is None:
            path.pop()
            if path:
                gauging.push(here, path[-1])
            continue
        seen.add(near)
        bond = graph.nodes[here].edges[near]
        rank = ranks.get(bond[0]) if len(bond) == 1 else None
        lost += gauging.cut(here, near, rank)
        path.append(near)
    return lost / whole if whole > 0 else 0.0
