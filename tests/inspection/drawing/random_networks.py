"""Networks that nobody would draw by hand, as texts: bonds and hyperedges at random."""

from __future__ import annotations

import random

import networkx as nx

import tncompile
from tncompile.network.model import TensorNetwork

SIZES = (1, 2, 3, 8, 16, 4096)


def random_network(seed: int, *, most: int = 10, density: float = 0.3) -> TensorNetwork:
    """Up to `most` tensors, double bonds, hyperedges, two inputs, flattened axes, frozen ones."""
    return tncompile.loads(random_text(seed, most, density)).instantiate("R").network


def random_text(seed: int, most: int, density: float) -> str:
    """The text of such a network."""
    draw = random.Random(seed)
    count = draw.randint(2, most)
    graph = nx.gnp_random_graph(count, draw.uniform(0.05, density), seed=seed)
    if not nx.is_connected(graph):
        graph = nx.compose(graph, nx.path_graph(count))
    lines, legs = [], {node: list[str]() for node in graph}

    def declare(kind: str, name: str, owners: list[int], size: int) -> None:
        lines.append(f"{kind} {name} = {size}")
        for owner in owners:
            legs[owner].append(name)

    for number, (one, other) in enumerate(graph.edges):
        for twin in range(2 if draw.random() < 0.15 else 1):
            declare("bond", f"e{number}_{twin}", [one, other], draw.choice(SIZES))
    for number in range(draw.randint(0, 2)):
        owners = draw.sample(range(count), min(count, draw.randint(3, 5)))
        if len(owners) > 2:
            declare("hyper", f"h{number}", owners, draw.choice((2, 64)))
    inputs = [f"i{number}" for number in range(draw.randint(1, 4))]
    outputs = [f"o{number}" for number in range(draw.randint(1, 3))]
    for name in (*inputs, *outputs):
        declare("index", name, [draw.randrange(count)], draw.choice((2, 5, 100)))

    def axes(names: list[str]) -> str:
        flattened = len(names) > 1 and draw.random() < 0.5
        return f"({', '.join(names)})" if flattened else ", ".join(names)

    cut = draw.randint(0, len(inputs))
    for name, own in (("x", inputs[:cut]), ("second_input", inputs[cut:])):
        if own:
            lines.append(f"input {name}(..., {axes(own)})")
    for node, own in legs.items():
        frozen = draw.choice(["", "", "", " frozen"])
        lines.append(
            f"tensor {draw.choice(['T', 'Weight', 'core'])}{node}({', '.join(own)}){frozen}"
        )
    if draw.random() < 0.5:
        lines.append(f"bias c({outputs[0]})")
    lines.append(f"output y(..., {axes(outputs)})")
    return "network R() {\n" + "\n".join(lines) + "\n}"
