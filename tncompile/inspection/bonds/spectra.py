"""Singular values of the map across its bonds, without the map.

A bond of a network without loops cuts the map in two, W = M_L M_Rᵀ. Each side is orthogonalized
tensor by tensor from its leaves (M = Q R), so the singular values of W are those of the small
R_L R_Rᵀ, to the last digits of float64: the canonical form of a tensor tree (Shi, Duan and Vidal,
"Classical simulation of quantum many-body systems with a tree tensor network", 2005; Schollwöck,
"The density-matrix renormalization group in the age of matrix product states", 2011).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from tncompile.inspection.bonds.graph import MapGraph, Node
from tncompile.tensorizing.fitting.products.environments import contract

Messages = dict[tuple[str, str], "Scaled"]
"""R of what is behind a node, towards a neighbor: (rows, size of the bonds between them)."""

LARGEST = 2**26
"""Entries of one side of a cut that are computed at once."""


@dataclass(frozen=True)
class Scaled:
    """A matrix of norm one, times exp(log): products over thousands of tensors fit no float."""

    matrix: torch.Tensor
    log: float

    @staticmethod
    def of(matrix: torch.Tensor, log: float = 0.0) -> Scaled:
        """A matrix, brought to norm one; zeros stay zeros."""
        norm = float(torch.linalg.vector_norm(matrix))
        return (
            Scaled(matrix / norm, log + math.log(norm)) if norm > 0 else Scaled(matrix, -math.inf)
        )


@dataclass(frozen=True)
class Spectrum:
    """Singular values across a cut, largest first, whose squares sum to one, times exp(log)."""

    values: torch.Tensor
    log: float


def tree_spectra(graph: MapGraph) -> dict[tuple[str, str], Spectrum]:
    """The singular values across each edge of a graph without loops, by its two nodes."""
    messages = _messages(graph)
    parts = graph.parts()
    logs = [_log_norm(graph, part, messages) for part in parts]
    found: dict[tuple[str, str], Spectrum] = {}
    for number, part in enumerate(parts):
        outer = sum(log for other, log in enumerate(logs) if other != number)
        for name in part:
            for near, legs in graph.nodes[name].edges.items():
                if (near, name) in found:
                    continue
                one, other_side = messages[name, near], messages[near, name]
                size = math.prod(graph.sizes[leg] for leg in legs)
                spectrum = _spectrum(product(one.matrix, other_side.matrix.mT), size)
                log = spectrum.log + one.log + other_side.log + outer
                found[name, near] = Spectrum(spectrum.values, log)
    return found


def _spectrum(middle: torch.Tensor, size: int) -> Spectrum:
    """The singular values of R_L R_Rᵀ, as many as the bond has entries."""
    values = torch.linalg.svdvals(middle)[:size]
    whole = Scaled.of(torch.cat([values, values.new_zeros(size - len(values))]))
    return Spectrum(whole.matrix, whole.log)


def cut_spectrum(graph: MapGraph, cut: Sequence[str]) -> Spectrum:
    """The singular values across bonds that together cut a network in two, loops or not.

    Raises ValueError where they do not, and where a side is too large to be computed.
    """
    legs = frozenset(cut)
    parts = graph.parts(legs)
    sides = _two_sides(graph, parts, legs)
    if sides is None:
        words = f"{', '.join(cut)} do not cut {graph.target} into two parts"
        raise ValueError(f"{words}: name all bonds of a cut")
    size = math.prod(graph.sizes[leg] for leg in cut)
    left, right = (_side(graph, side, cut) for side in sides)
    return _spectrum(product(left, right.mT), size)


def _two_sides(
    graph: MapGraph, parts: list[list[str]], cut: frozenset[str]
) -> tuple[list[str], list[str]] | None:
    """Parts on either side of a cut: each bond of it has an end in both."""
    of = {name: number for number, part in enumerate(parts) for name in part}
    color: dict[int, int] = {}
    near: dict[int, set[int]] = {number: set() for number in range(len(parts))}
    crossed: set[str] = set()
    for name, node in graph.nodes.items():
        for other, legs in node.edges.items():
            if of[name] != of[other]:
                near[of[name]].add(of[other])
                crossed.update(legs)
    if crossed != cut:
        return None
    for start in near:
        if start in color:
            continue
        color[start] = 0
        queue = [start]
        while queue:
            number = queue.pop()
            for beside in near[number]:
                if beside not in color:
                    color[beside] = 1 - color[number]
                    queue.append(beside)
                elif color[beside] == color[number]:
                    return None
    halves = [[n for k, part in enumerate(parts) if color[k] == c for n in part] for c in (0, 1)]
    return (halves[0], halves[1]) if all(halves) else None


def _side(graph: MapGraph, names: Iterable[str], cut: Sequence[str]) -> torch.Tensor:
    """R of one side of a cut."""
    nodes = [graph.nodes[name] for name in names]
    terms = [(node.tensor, node.legs) for node in nodes if node.tensor is not None]
    carried = {leg for _, legs in terms for leg in legs}
    is_open = [leg for leg in carried if leg in graph.outside and leg not in cut]
    rows = math.prod(graph.sizes[leg] for leg in is_open)
    size = math.prod(graph.sizes[leg] for leg in cut)
    if rows * size > LARGEST:
        raise ValueError(f"one side of the cut has {rows * size:,} numbers: more than {LARGEST:,}")
    kinds = [tensor.dtype for tensor, _ in terms]
    dtype = torch.complex128 if torch.complex128 in kinds else torch.float64
    whole = [(tensor.to(dtype), legs) for tensor, legs in terms]
    dense = contract(whole, (*sorted(is_open), *cut), graph.sizes)
    return _r(dense.reshape(rows, size))


# ── trees ─────────────────────────────────────────────────────────────────────────────────────────


def _messages(graph: MapGraph) -> Messages:
    """All of them, each after those that it needs; no recursion, for chains are long."""
    found: Messages = {}
    for part in graph.parts():
        parent = graph.parents(part[0])
        for name in reversed(parent):
            if parent[name]:
                found[name, parent[name]] = _message(graph, name, parent[name], found)
        for name in parent:
            for near in graph.nodes[name].edges:
                if near != parent[name]:
                    found[name, near] = _message(graph, name, near, found)
    return found


def _message(graph: MapGraph, name: str, towards: str, messages: Messages) -> Scaled:
    node = graph.nodes[name]
    given = {near: messages[near, name] for near in node.edges if near != towards}
    log = sum(each.log for each in given.values())
    matrices = {near: each.matrix for near, each in given.items()}
    if node.tensor is None:
        size = graph.sizes[node.legs[0]]
        return Scaled.of(_copied(node, list(matrices.values()), size), log)
    tensor, legs = absorbed(node, matrices)
    bond = node.edges[towards]
    rows = [k for k, leg in enumerate(legs) if leg not in bond]
    columns = [legs.index(leg) for leg in bond]
    size = math.prod(graph.sizes[leg] for leg in bond)
    return Scaled.of(_r(tensor.permute([*rows, *columns]).reshape(-1, size)), log)


def absorbed(node: Node, messages: dict[str, torch.Tensor]) -> tuple[torch.Tensor, list[str]]:
    """A tensor times what comes from some neighbors, and its legs, one for the bonds of each."""
    assert node.tensor is not None
    tensor, legs = node.tensor, list(node.legs)
    for near, message in messages.items():
        bond = node.edges[near]
        places = [legs.index(leg) for leg in bond]
        rest = [k for k in range(len(legs)) if k not in places]
        flat = tensor.permute([*rest, *places])
        flat = flat.reshape([*(tensor.shape[k] for k in rest), -1])
        dtype = torch.promote_types(flat.dtype, message.dtype)
        tensor = flat.to(dtype) @ message.to(dtype).mT
        legs = [*(legs[k] for k in rest), f"behind {near}"]
    return tensor, legs


def _copied(node: Node, messages: Sequence[torch.Tensor], size: int) -> torch.Tensor:
    """R of a product over the same index: columns multiply entry by entry (Khatri and Rao)."""
    found = torch.ones(1, size, dtype=torch.float64)
    for message in messages:
        dtype = torch.promote_types(found.dtype, message.dtype)
        both = found.to(dtype).unsqueeze(1) * message.to(dtype).unsqueeze(0)
        found = _r(both.reshape(-1, size))
    if node.is_open:  # each entry of the index is a row of its own
        found = torch.diag(torch.linalg.vector_norm(found, dim=0)).to(found.dtype)
    return found


def _log_norm(graph: MapGraph, part: Sequence[str], messages: Messages) -> float:
    """The logarithm of the Frobenius norm of a connected part."""
    name = part[0]
    node = graph.nodes[name]
    given = {near: messages[near, name] for near in node.edges}
    if node.tensor is None:
        near, first = next(iter(given.items()))
        back = messages[name, near]
        return Scaled.of(product(first.matrix, back.matrix.mT), first.log + back.log).log
    tensor, _ = absorbed(node, {near: each.matrix for near, each in given.items()})
    return Scaled.of(tensor, sum(each.log for each in given.values())).log


def product(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Of two matrices, of which one may be complex."""
    dtype = torch.promote_types(one.dtype, other.dtype)
    return one.to(dtype) @ other.to(dtype)


def _r(matrix: torch.Tensor) -> torch.Tensor:
    """R of M = Q R."""
    found: torch.Tensor = torch.linalg.qr(matrix, mode="r").R
    return found
