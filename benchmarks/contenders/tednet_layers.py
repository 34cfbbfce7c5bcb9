"""tednet: linear layers as tensor trains, rings and CP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from benchmarks.contenders.installed import package, silently
from benchmarks.contract import Contender, Kind, Parameters, Run


def _layer(
    module: str,
    kind: str,
    leaves: Callable[[Parameters], Sequence[Tensor]],
    names: Sequence[str],
    *given: object,
) -> Contender:
    def build(held: Sequence[Tensor]) -> Run:
        layer: Any = silently(getattr(package(module), kind), *given, bias=False)
        for name, leaf in zip(names, held, strict=True):
            layer.register_parameter(name, leaf)
        run: Run = layer
        return run

    return Contender("tednet", Kind.PEER, leaves, build)


def train(ins: Sequence[int], outs: Sequence[int], ranks: Sequence[int]) -> Contender:
    """A tensor train; its nodes are (input, output, left, right)."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        first, *middle, last = parameters.values()
        return [first, *(G.permute(1, 2, 0, 3) for G in middle), last.permute(1, 2, 0)]

    names = [f"node{k}" for k in range(len(ins))]
    module = "tednet.tnn.tensor_train"
    return _layer(module, "TTLinear", leaves, names, list(ins), list(outs), list(ranks))


def ring(ins: Sequence[int], outs: Sequence[int], ranks: Sequence[int]) -> Contender:
    """A ring with a node for every leg, inputs first; its nodes are (left, leg, right)."""
    names = [f"node{k}" for k in range(len(ins) + len(outs))]
    module = "tednet.tnn.tensor_ring"
    return _layer(
        module,
        "TRLinear",
        lambda p: list(p.values()),
        names,
        list(ins),
        list(outs),
        list(ranks),
    )


def cp(ins: Sequence[int], outs: Sequence[int], rank: int) -> Contender:
    """CP with a parameter for every column of every factor."""
    count = len(ins) + len(outs)
    names = [f"node{j}_block{k}" for k in range(rank) for j in range(count)]

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        factors = list(parameters.values())
        return [factor[:, k] for k in range(rank) for factor in factors]

    return _layer("tednet.tnn.cp", "CPLinear", leaves, names, list(ins), list(outs), rank)
