"""tensorly-torch: factorized convolutions, in steps or with the kernel reconstructed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders.installed import package, silently
from benchmarks.contenders.tensorly_torch import set_factors
from benchmarks.contract import Contender, Kind, Parameters, Run

Assign = Callable[[Any, Sequence[Tensor]], None]
STEPS, WHOLE, MERGED = "factorized", "reconstructed", "mobilenet"
"""What its layers call their ways: step by step, the whole kernel, CP with its axes merged."""


def _convolution(
    shape: tuple[int, int, int, int],
    stride: int,
    factorization: str,
    rank: object,
    leaves: Callable[[Parameters], Sequence[Tensor]],
    assign: Assign,
    ways: Sequence[str] = (STEPS, WHOLE),
) -> tuple[Contender, ...]:
    """A `FactorizedConv` with a kernel (outputs, inputs, height, width) in each of its ways."""
    outs, ins, *size = shape

    def build(implementation: str) -> Callable[[Sequence[Tensor]], Run]:
        def load(held: Sequence[Tensor]) -> Run:
            layer = silently(
                package("tltorch").FactorizedConv,
                ins,
                outs,
                tuple(size),
                stride=stride,
                padding=tuple(length // 2 for length in size),
                factorization=factorization,
                rank=rank,
                implementation=implementation,
                dtype=held[0].dtype,
            )
            assign(layer.weight, held)
            run: Run = layer
            return run

        return load

    return tuple(Contender(f"tensorly-torch {way}", Kind.PEER, leaves, build(way)) for way in ways)


def tucker(shape: tuple[int, int, int, int], stride: int, rank: int) -> tuple[Contender, ...]:
    """Tucker; the kernel's own axes have the unit matrix as a factor."""
    size = shape[2:]

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        U, K, V = parameters.values()
        units = [torch.eye(length, dtype=U.dtype) for length in size]
        return [K, V, U.t(), *units]

    def assign(weight: Any, held: Sequence[Tensor]) -> None:
        weight.core = held[0]
        set_factors(weight, held[1:])

    return _convolution(shape, stride, "tucker", (rank, rank, *size), leaves, assign)


def cp(shape: tuple[int, int, int, int], stride: int, rank: int) -> tuple[Contender, ...]:
    """CP: weights of one, then the factors of outputs, inputs, height and width."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        A, B, C, D = parameters.values()
        return [A.new_ones(rank), D, A.t(), B.t(), C.t()]

    def assign(weight: Any, held: Sequence[Tensor]) -> None:
        weight.weights = held[0]
        set_factors(weight, held[1:])

    return _convolution(shape, stride, "cp", rank, leaves, assign, (STEPS, MERGED, WHOLE))


def train(shape: tuple[int, int, int, int], stride: int, rank: int) -> tuple[Contender, ...]:
    """A tensor train: inputs, height, width, outputs; its factors are (left, leg, right)."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        U, K, L, V = parameters.values()
        return [U.unsqueeze(0), K, L, V.unsqueeze(-1)]

    ranks = (1, rank, rank, rank, 1)
    return _convolution(shape, stride, "tt", ranks, leaves, set_factors)
