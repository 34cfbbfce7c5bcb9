"""TensorKrowch: classifiers as matrix product states and trees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from benchmarks.contenders.installed import package, silently
from benchmarks.contract import Contender, Kind, Loaded, Parameters


def _ready(model: Any, nodes: Sequence[Any], held: Sequence[Tensor]) -> Loaded:
    """A model that holds these tensors and stacks what is equal, as its manual advises."""
    for node, leaf in zip(nodes, held, strict=True):
        node.tensor = leaf
    model.auto_stack, model.auto_unbind = True, False
    traced: set[tuple[int, ...]] = set()

    def run(x: Tensor) -> Tensor:
        if tuple(x.shape) not in traced:
            model.reset()
            model.trace(x)
            traced.add(tuple(x.shape))
        y: Tensor = model(x)
        return y

    return Loaded(run, lambda: list(model.parameters()), lambda: [node.grad for node in nodes])


def chain(sites: int, features: int, rank: int, classes: int) -> Contender:
    """`MPSLayer` with the label in the middle; its ends are closed by vectors of their own."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        first, *middle, last = parameters.values()
        end = torch.zeros(rank, dtype=first.dtype)
        end[0] = 1
        first = pad(first.unsqueeze(0), (0, 0, 0, 0, 0, rank - 1))
        return [end, first, *middle, pad(last.unsqueeze(-1), (0, rank - 1)), end.clone()]

    def build(held: Sequence[Tensor]) -> Loaded:
        model = silently(
            package("tensorkrowch").models.MPSLayer,
            n_features=sites + 1,
            in_dim=features,
            out_dim=classes,
            bond_dim=rank,
            out_position=sites // 2,
        )
        nodes = [model.left_node, *model.mats_env, model.right_node]
        return _ready(model, nodes, held)

    return Contender("TensorKrowch", Kind.PEER, leaves, build)


def tree(levels: Sequence[int], bonds: Sequence[Sequence[int]]) -> Contender:
    """`Tree`; the last layer is a node with the label."""

    def build(held: Sequence[Tensor]) -> Loaded:
        model = silently(
            package("tensorkrowch").models.Tree,
            sites_per_layer=list(levels),
            bond_dim=[list(bond) for bond in bonds],
        )
        return _ready(model, [node for layer in model.layers for node in layer], held)

    return Contender("TensorKrowch", Kind.PEER, lambda p: list(p.values()), build)
