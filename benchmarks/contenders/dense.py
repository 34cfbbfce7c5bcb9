"""The dense layer: what people have before they factorize."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv2d, linear

from benchmarks.contract import Contender, Kind, Parameters, Run


def dense_layer(weight: Callable[[Parameters], Tensor], bias: str | None = None) -> Contender:
    """`nn.Linear` with the same map; `weight` gives (outputs, inputs) from our parameters."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        held = weight(parameters)
        return (held,) if bias is None else (held, parameters[bias].reshape(-1))

    def build(held: Sequence[Tensor]) -> Run:
        return lambda x: linear(x, *held)

    return Contender("nn.Linear", Kind.DENSE, leaves, build)


def dense_table(weight: Callable[[Parameters], Tensor]) -> Contender:
    """`nn.Embedding` with the same table, (words, features)."""
    from torch.nn.functional import embedding

    def build(held: Sequence[Tensor]) -> Run:
        return lambda ids: embedding(ids, held[0])

    return Contender("nn.Embedding", Kind.DENSE, lambda p: (weight(p),), build)


def dense_convolutions(
    kernel: Callable[[Parameters], Tensor], stride: int, padding: int
) -> tuple[Contender, Contender]:
    """`nn.Conv2d` with the same map, in either layout; `kernel` is (outputs, inputs, h, w)."""

    def build(held: Sequence[Tensor]) -> Run:
        return lambda x: conv2d(x, held[0], None, stride, padding)

    def build_channels_last(held: Sequence[Tensor]) -> Run:
        weight = held[0]
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return lambda x: conv2d(
            x.contiguous(memory_format=torch.channels_last), weight, None, stride, padding
        )

    return (
        Contender("nn.Conv2d", Kind.DENSE, lambda p: (kernel(p),), build),
        Contender(
            "nn.Conv2d, channels-last", Kind.DENSE, lambda p: (kernel(p),), build_channels_last
        ),
    )
