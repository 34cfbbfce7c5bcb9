"""Gauges: tensors changed so that a bond shows its singular values, and the map stays.

Schollwöck, "The density-matrix renormalization group in the age of matrix product states", 2011,
section 4, on trees.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch

from tncompile.inspection.bonds.graph import MapGraph, graph_of
from tncompile.inspection.bonds.spectra import product
from tncompile.network.model import TensorNetwork


def canonical_values(
    network: TensorNetwork, values: Mapping[str, torch.Tensor], bond: str
) -> dict[str, torch.Tensor]:
    """The parameters in the gauge of a bond.

    All tensors are isometries towards the bond, where they have room for it; the two at the bond
    share its singular values, largest first, each the root of them. Raises ValueError for loops,
    hyperedges, tensors that are shared, tied or frozen, and what is no bond.
    """
    graph = graph_of(network, values)
    require_gauge(network, graph)
    for node in graph.nodes.values():
        for near, legs in node.edges.items():
            if bond in legs:
                gauging = Gauging(graph)
                gauging.towards(node.name)
                gauging.split(node.name, near)
                return gauged_values(graph, values)
    raise ValueError(f"{bond} joins no two tensors of {network.target}")


def require_gauge(network: TensorNetwork, graph: MapGraph) -> None:
    """Raise ValueError unless all tensors can be changed along all bonds."""
    for node in graph.nodes.values():
        if node.tensor is None:
            raise ValueError(f"{node.legs[0]} joins more than two tensors: it has no gauge")
    if graph.has_loops:
        raise ValueError(f"{network.target} has loops: there is no canonical gauge")
    for key, count in Counter(node.key for node in graph.nodes.values()).items():
        if count > 1:
            raise ValueError(f"{key!r} stands at {count} places: one gauge cannot fit them all")
        if network.parameter[key].frozen:
            raise ValueError(f"{key!r} is frozen")


def gauged_values(graph: MapGraph, values: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a graph as parameters, beside all other values."""
    found = dict(values)
    for node in graph.nodes.values():
        assert node.tensor is not None
        whole = node.tensor.conj().resolve_conj() if node.conjugate else node.tensor
        old = values[node.key]
        shape = old.shape if whole.numel() == old.numel() else whole.shape
        found[node.key] = whole.reshape(shape).to(old).contiguous()
    return found


class Gauging:
    """Steps that change tensors of a tree along one bond, and leave the map."""

    def __init__(self, graph: MapGraph) -> None:
        self.graph = graph

    def towards(self, root: str) -> None:
        """Make all tensors that are joined to a root isometries towards it, leaves first."""
        parent = self.graph.parents(root)
        for name in reversed(list(parent)[1:]):
            self.push(name, parent[name])

    def push(self, name: str, near: str) -> None:
        """Leave an isometry, and give what is left to a neighbor."""
        (matrix, order), (other, back) = self._matrix(name, near), self._matrix(near, name)
        q, r = torch.linalg.qr(matrix)
        size = matrix.shape[1]  # a bond may be wider than all that is behind it
        self._put(name, _wide(q, size), order)
        self._put(near, product(other, _wide(r.mT, size)), back)

    def cut(self, name: str, near: str, rank: int | None) -> float:
        """Move the center over a bond, which gets a new size; the squared norm that is lost."""
        (matrix, order), (other, back) = self._matrix(name, near), self._matrix(near, name)
        u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        size = matrix.shape[1] if rank is None else rank
        kept = min(size, len(s))
        (bond, *_) = self.graph.nodes[name].edges[near]
        if rank is not None:
            self.graph.sizes[bond] = size
        self._put(name, _wide(u[:, :kept], size), order)
        self._put(near, product(other, _wide((s[:kept, None] * v[:kept]).mT, size)), back)
        return float(s[kept:].square().sum())

    def split(self, name: str, near: str) -> None:
        """Both sides of a bond: isometries times the roots of its singular values."""
        (a, order), (b, back) = self._matrix(name, near), self._matrix(near, name)
        (qa, ra), (qb, rb) = torch.linalg.qr(a), torch.linalg.qr(b)
        u, s, v = torch.linalg.svd(product(ra, rb.mT), full_matrices=False)
        roots, size = s.sqrt(), a.shape[1]
        self._put(name, _wide(product(qa, u) * roots, size), order)
        self._put(near, _wide(product(qb, v.mT) * roots, size), back)

    def _matrix(self, name: str, near: str) -> tuple[torch.Tensor, list[int]]:
        """A tensor as a matrix onto the bond to a neighbor, and the permutation that led there."""
        node = self.graph.nodes[name]
        assert node.tensor is not None
        bond = node.edges[near]
        rows = [k for k, leg in enumerate(node.legs) if leg not in bond]
        order = [*rows, *(node.legs.index(leg) for leg in bond)]
        size = math.prod(self.graph.sizes[leg] for leg in bond)
        return node.tensor.permute(order).reshape(-1, size), order

    def _put(self, name: str, matrix: torch.Tensor, order: list[int]) -> None:
        """The matrix back where it came from."""
        node = self.graph.nodes[name]
        shape = [self.graph.sizes[node.legs[k]] for k in order]
        back = sorted(range(len(order)), key=lambda k: order[k])
        node.tensor = matrix.reshape(shape).permute(back)


def _wide(matrix: torch.Tensor, size: int) -> torch.Tensor:
    """A matrix with columns of zeros up to a size."""
    short = size - matrix.shape[1]
    return torch.cat([matrix, matrix.new_zeros(len(matrix), short)], 1) if short > 0 else matrix
