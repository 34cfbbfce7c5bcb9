"""tednet: convolutions as Tucker-2, CP and tensor trains."""

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
    assign: Callable[[Any, Sequence[Tensor]], None],
    *given: object,
    **named: object,
) -> Contender:
    def build(held: Sequence[Tensor]) -> Run:
        layer: Any = silently(getattr(package(module), kind), *given, bias=False, **named)
        assign(layer, held)
        run: Run = layer
        return run

    return Contender("tednet", Kind.PEER, leaves, build)


def tucker(shape: tuple[int, int, int, int], stride: int, rank: int) -> Contender:
    """Tucker-2: two products around an `nn.Conv2d`."""
    outs, ins, *size = shape

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        U, K, V = parameters.values()
        return [U.t(), K, V.t()]

    def assign(layer: Any, held: Sequence[Tensor]) -> None:
        layer.node0, layer.kernel.weight, layer.node1 = held

    return _layer(
        "tednet.tnn.tucker2",
        "TK2Conv2D",
        leaves,
        assign,
        ins,
        outs,
        [rank, rank],
        tuple(size),
        stride=stride,
        padding=size[0] // 2,
    )


def cp(shape: tuple[int, int, int, int], stride: int, rank: int) -> Contender:
    """CP with a parameter for every column of every factor; it sums up the dense kernel."""
    outs, ins, *size = shape
    names = [f"node_{leg}_block{k}" for k in range(rank) for leg in ("in", "k0", "k1", "out")]

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        A, B, C, D = parameters.values()
        return [leg[k] for k in range(rank) for leg in (A, B, C, D.t())]

    def assign(layer: Any, held: Sequence[Tensor]) -> None:
        for name, leaf in zip(names, held, strict=True):
            layer.register_parameter(name, leaf)

    return _layer(
        "tednet.tnn.cp",
        "CPConv2D",
        leaves,
        assign,
        ins,
        outs,
        rank,
        tuple(size),
        stride=stride,
        padding=size[0] // 2,
    )


def train(digits: Sequence[int], rank: int) -> Contender:
    """A tensor train over the digits of the channels, kernels of 3 x 3 with a border of one."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        kernel, *cores, last = parameters.values()
        inner = [core.permute(1, 2, 0, 3) for core in cores]
        return [kernel.permute(2, 0, 1)[:, None], *inner, last.permute(1, 2, 0)]

    def assign(layer: Any, held: Sequence[Tensor]) -> None:
        layer.kernel.weight = held[0]
        for k, leaf in enumerate(held[1:]):
            layer.register_parameter(f"node{k}", leaf)

    sides = list(digits)
    ranks = [rank] * len(sides)
    return _layer(
        "tednet.tnn.tensor_train", "TTConv2D", leaves, assign, sides, sides, ranks, 3, padding=1
    )
