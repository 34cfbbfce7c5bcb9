"""The network as a networkx graph: the only file that knows networkx."""

from __future__ import annotations

import networkx as nx

from tncompile.network.model import TensorNetwork

Node = tuple[str, str]
"""`("tensor", name)` or `("index", name)`; the output is the tensor node named after it."""


def bipartite_graph(network: TensorNetwork) -> nx.Graph[Node]:
    """Tensors on one side, indices on the other, an edge for every leg: hyperedges are exact.

    Nodes carry `bipartite` (0 for tensors, 1 for indices, as networkx has it). Tensors, inputs and
    the output carry `role`, `source` and `shape`, indices `kind` and `size`; an edge carries
    `axis`, the axis of the tensor that the index runs over.
    """
    graph: nx.Graph[Node] = nx.Graph(name=network.name)
    sizes = {index.name: index.size for index in network.indices}
    for index in network.indices:
        graph.add_node(("index", index.name), bipartite=1, kind=index.kind, size=index.size)
    factors = [(t.name, t.role, t.source, t.axes) for t in network.tensors]
    outputs = tuple(axis.indices for axis in network.output.axes)
    result = network.output.name
    for name, role, source, axes in [*factors, (result, "output", result, outputs)]:
        shape = tuple(tuple(sizes[leg] for leg in axis) for axis in axes)
        node = ("tensor", name)
        graph.add_node(node, bipartite=0, role=role, source=source, shape=shape)
        for position, axis in enumerate(axes):
            for leg in axis:
                graph.add_edge(node, ("index", leg), axis=position)
    return graph
