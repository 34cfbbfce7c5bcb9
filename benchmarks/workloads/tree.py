"""A binary tree over the patches of an image."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from benchmarks.byhand import grids
from benchmarks.contenders import tensorkrowch_models
from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Network, Parameters, Workload
from benchmarks.workloads.linear import by_hand

SITES, FEATURES, RANK, CLASSES = 64, 4, 16, 10
DEPTH = 6


def patches(batch: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Feature vectors of norm 1."""
    x = torch.rand(batch, SITES, FEATURES, generator=generator) + 0.1
    return (x / x.norm(dim=-1, keepdim=True),)


def levels(parameters: Parameters, x: Tensor) -> Tensor:
    """Pairs merged level by level, node by node."""
    held = list(parameters.values())
    state = list(x.unbind(1))
    while len(state) > 1:
        nodes, held = held[: len(state) // 2], held[len(state) // 2 :]
        state = [
            torch.einsum("na,nb,abc->nc", state[2 * j], state[2 * j + 1], node)
            for j, node in enumerate(nodes)
        ]
    return state[0] @ held[0]


def equation() -> Equation:
    """One factor of the input a patch."""
    terms: list[tuple[str, ...]] = []
    for level in range(DEPTH):
        terms += [
            (f"v{level}.{2 * j}", f"v{level}.{2 * j + 1}", f"v{level + 1}.{j}")
            for j in range(SITES >> (level + 1))
        ]
    return Equation(
        tuple(("n", f"v0.{k}") for k in range(SITES)),
        (*terms, (f"v{DEPTH}.0", "label")),
        ("n", "label"),
        lambda x: x.unbind(1),
    )


WORKLOADS = (
    Workload(
        name="tree-64-r16",
        title=f"Tree classifier, {SITES} sites, rank {RANK}",
        networks=(
            Network(
                "std/classifier.tn",
                f"TreeClassifier(sites = {SITES}, features = {FEATURES}, rank = {RANK}, "
                f"classes = {CLASSES})",
            ),
        ),
        batches=(1, 256),
        inputs=patches,
        reference=levels,
        contenders=(
            tensorkrowch_models.tree(
                (32, 16, 8, 4, 2, 1, 1),
                ((FEATURES, FEATURES, RANK), *((RANK, RANK, RANK),) * 5, (RANK, CLASSES)),
            ),
            *equations(equation()),
            by_hand(
                "pairs, level by level",
                partial(grids.tree, sites=SITES),
                partial(grids.tree, sites=SITES, folded=True),
            ),
            by_hand(
                "left, then right, level by level", partial(grids.tree_without_pairs, sites=SITES)
            ),
        ),
        omitted={
            "nn.Linear": "the map is no matrix",
            "torch.einsum": "it has 52 letters, the network 129 indices",
            "tensorly-torch": "it has no such layer",
            "tednet": "it has no such layer",
        },
        quick=(256,),
        order=("Pair", "Node", "Top"),
        input_gradients=False,
    ),
)
