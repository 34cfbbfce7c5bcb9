"""Gauges: tensors changed so that a bond shows its singular values, and the map stays.

Schollwöck, "The density-matrix renormalization group in the age of matrix product states", 2011,
section 4, on trees.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import torch

from tncompile.inspection.bonds.graph import MapGraph, Node, graph_of
from tncompile.network.model import TensorNetwork


def canonical_values(
    network: TensorNetwork, values: Mapping[str, torch.Tensor], bond: str
) -> dict[str, torch.Tensor]:
    """The parameters in the gauge of a bond; those that no bond joins stay as they are.

    All tensors are isometries towards the bond, where they have room for it; the two at the bond
    share its singular values, largest first, each the root of them. Raises ValueError for loops,
    hyperedges, tensors that are shared, tied or frozen, and what is no bond.
    """
    graph = graph_of(network, values)
    ends = _ends(network, graph, bond)
    left, right = ends
    for name, parent, order in (*_towards(graph, left, right), *_towards(graph, right, left)):
        _push(graph, name, parent, order)
    _split(graph, left, right)
    found = dict(values)
    for node in graph.nodes.values():
        assert node.tensor is not None
        whole = node.tensor.conj().resolve_conj() if node.conjugate else node.tensor
        old = values[node.key]
        found[node.key] = whole.reshape(old.shape).to(old)
    return found


def _ends(network: TensorNetwork, graph: MapGraph, bond: str) -> tuple[str, str]:
    """The two tensors of a bond, once everything can be gauged."""
    for node in graph.nodes.values():
        if node.tensor is None:
            raise ValueError(f"{node.legs[0]} joins more than two tensors: it has no gauge")
    if graph.has_loops:
        raise ValueError(f"{network.target} has loops: there is no canonical gauge")
    counted = Counter(node.key for node in graph.nodes.values())
    for key, count in counted.items():
        if count > 1:
            raise ValueError(f"{key!r} stands at {count} places: one gauge cannot fit them all")
        if network.parameter[key].frozen:
            raise ValueError(f"{key!r} is frozen")
    for node in graph.nodes.values():
        for near, legs in node.edges.items():
            if bond in legs:
                return node.name, near
    raise ValueError(f"{bond} joins no two tensors of {network.target}")


def _towards(graph: MapGraph, root: str, away: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """The nodes on one side, leaves first: each with the next one towards the root."""
    order, parent = [root], {root: away}
    for name in order:
        for near in graph.nodes[name].edges:
            if near != parent[name]:
                parent[near] = name
                order.append(near)
    return [
        (name, parent[name], graph.nodes[name].edges[parent[name]])
        for name in reversed(order)
        if name != root
    ]


def _matrix(graph: MapGraph, node: Node, bond: tuple[str, ...]) -> tuple[torch.Tensor, list[int]]:
    """A tensor as a matrix onto a bond, and the permutation that led there."""
    assert node.tensor is not None
    rows = [k for k, leg in enumerate(node.legs) if leg not in bond]
    order = [*rows, *(node.legs.index(leg) for leg in bond)]
    size = math.prod(graph.sizes[leg] for leg in bond)
    return node.tensor.permute(order).reshape(-1, size), order


def _put(graph: MapGraph, node: Node, matrix: torch.Tensor, order: list[int]) -> None:
    """The matrix back where it came from."""
    shape = [graph.sizes[node.legs[k]] for k in order]
    back = sorted(range(len(order)), key=lambda k: order[k])
    node.tensor = matrix.reshape(shape).permute(back)


def _push(graph: MapGraph, name: str, parent: str, bond: tuple[str, ...]) -> None:
    """Leave an isometry, and give what is left to the next tensor."""
    node, near = graph.nodes[name], graph.nodes[parent]
    matrix, order = _matrix(graph, node, bond)
    q, r = torch.linalg.qr(matrix)
    short = matrix.shape[1] - q.shape[1]  # a bond wider than all that is behind it
    if short > 0:
        q = torch.cat([q, q.new_zeros(q.shape[0], short)], dim=1)
        r = torch.cat([r, r.new_zeros(short, r.shape[1])])
    _put(graph, node, q, order)
    other, places = _matrix(graph, near, bond)
    dtype = torch.promote_types(other.dtype, r.dtype)
    _put(graph, near, other.to(dtype) @ r.to(dtype).mT, places)


def _split(graph: MapGraph, left: str, right: str) -> None:
    """Both sides of the bond: isometries times the roots of its singular values."""
    one, other = graph.nodes[left], graph.nodes[right]
    bond = one.edges[right]
    (a, order), (b, places) = _matrix(graph, one, bond), _matrix(graph, other, bond)
    (qa, ra), (qb, rb) = torch.linalg.qr(a), torch.linalg.qr(b)
    dtype = torch.promote_types(ra.dtype, rb.dtype)
    u, s, v = torch.linalg.svd(ra.to(dtype) @ rb.to(dtype).mT)
    roots, size = s.sqrt(), a.shape[1]
    for node, q, turned, back in ((one, qa, u, order), (other, qb, v.mT, places)):
        matrix = q.to(dtype) @ turned[:, : len(s)] * roots
        if size > len(s):
            matrix = torch.cat([matrix, matrix.new_zeros(len(matrix), size - len(s))], dim=1)
        _put(graph, node, matrix, back)
