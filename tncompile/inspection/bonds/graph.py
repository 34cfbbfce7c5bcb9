"""The map of a network as a graph: tensors with their values, edges that are bonds.

An index of three tensors and more, or of two and the outside, is a node of its own that copies it.
Bonds between the same two tensors are one edge.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from tncompile.network.model import RUN_TIME, TensorNetwork

Legs = tuple[str, ...]


@dataclass
class Node:
    """A tensor with its legs, or the copies of an index (without a tensor); `edges` by neighbor."""

    name: str
    legs: Legs
    tensor: torch.Tensor | None
    key: str = ""
    conjugate: bool = False
    is_open: bool = False  # of copies: whether the index is on an input or the output, too
    edges: dict[str, Legs] = field(default_factory=dict)


@dataclass(frozen=True)
class MapGraph:
    """All nodes by name, the sizes of all indices, and which of them are outside."""

    target: str
    nodes: dict[str, Node]
    sizes: dict[str, int]
    outside: frozenset[str]

    def parts(self, without: frozenset[str] = frozenset()) -> list[list[str]]:
        """The connected parts, where edges of these indices are cut."""
        seen: set[str] = set()
        found: list[list[str]] = []
        for start in self.nodes:
            if start in seen:
                continue
            part, waiting = [], [start]
            seen.add(start)
            while waiting:
                name = waiting.pop()
                part.append(name)
                for near, legs in self.nodes[name].edges.items():
                    if near not in seen and not set(legs) <= without:
                        seen.add(near)
                        waiting.append(near)
            found.append(part)
        return found

    def parents(self, root: str) -> dict[str, str]:
        """The neighbor of each node towards a root, nearest first; of the root "". No loops."""
        found, waiting = {root: ""}, deque([root])
        while waiting:
            name = waiting.popleft()
            for near in self.nodes[name].edges:
                if near != found[name]:
                    found[near] = name
                    waiting.append(near)
        return found

    @property
    def has_loops(self) -> bool:
        """Whether there is a way round."""
        edges = sum(len(node.edges) for node in self.nodes.values()) // 2
        return edges != len(self.nodes) - len(self.parts())


def graph_of(network: TensorNetwork, values: Mapping[str, torch.Tensor]) -> MapGraph:
    """The graph of the parameters of a network, in float64 or complex128.

    Raises ValueError for values that are missing, or of another shape.
    """
    sizes = {index.name: index.size or 1 for index in network.indices}
    runs = {index.name for index in network.indices if index.kind in RUN_TIME}
    kernels = {window.kernel_leg for window in network.windows}
    on_inputs = {leg for t in network.tensors if t.role == "input" for leg in t.legs}
    outside = frozenset((on_inputs | set(network.output.legs) | kernels) - runs)
    nodes: dict[str, Node] = {}
    ends: defaultdict[str, list[str]] = defaultdict(list)
    for tensor in network.tensors:
        if tensor.role != "parameter":
            continue
        value = _value(network, tensor.source, values).reshape([sizes[leg] for leg in tensor.legs])
        if tensor.conjugate:
            value = value.conj()
        node = Node(tensor.name, tensor.legs, value, tensor.source, tensor.conjugate)
        nodes[tensor.name] = node
        for leg in tensor.legs:
            ends[leg].append(tensor.name)
    for leg, names in ends.items():
        if len(names) < 2:
            continue
        if len(names) == 2 and leg not in outside:
            pairs = [(names[0], names[1])]
        else:
            copies = f"copies of {leg}"
            nodes[copies] = Node(copies, (leg,), None, is_open=leg in outside)
            pairs = [(name, copies) for name in names]
        for one, other in pairs:
            for here, there in ((one, other), (other, one)):
                edges = nodes[here].edges
                edges[there] = (*edges.get(there, ()), leg)
    return MapGraph(network.target, nodes, sizes, outside)


def weights_of(module: torch.nn.Module | Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The state dict of a module, or one that was given. Raises TypeError for anything else."""
    if isinstance(module, torch.nn.Module):
        return dict(module.state_dict())
    if not isinstance(module, Mapping):
        raise TypeError(f"weights are a module or its state dict, not a {type(module).__name__}")
    for key, value in module.items():
        if not isinstance(key, str) or not isinstance(value, torch.Tensor):
            kinds = f"{type(key).__name__} and {type(value).__name__}"
            raise TypeError(f"a state dict has names and tensors, not {kinds}")
    return dict(module)


def require_weights(network: TensorNetwork, values: Mapping[str, torch.Tensor]) -> None:
    """ValueError unless there is a tensor of the right shape, and finite, for each parameter."""
    for parameter in network.parameters:
        _value(network, parameter.key, values)


def _value(network: TensorNetwork, key: str, values: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A parameter, checked."""
    value, shape = values.get(key), network.parameter[key].shape
    if value is None:
        raise ValueError(f"the weights have no {key!r}")
    if tuple(value.shape) != tuple(shape):
        given, due = (" × ".join(map(str, each)) for each in (value.shape, shape))
        raise ValueError(f"{key!r} is {given}, and {due} in {network.target}")
    kind = torch.complex128 if value.is_complex() else torch.float64
    try:
        whole = value.detach().to("cpu").to(kind)
        finite = bool(torch.isfinite(whole).all())
    except (NotImplementedError, RuntimeError):  # sparse, quantized, on no device
        raise ValueError(f"{key!r} is no dense tensor of numbers, but {value.dtype}") from None
    if not finite:
        raise ValueError(f"{key!r} has entries that are not finite")
    return whole
