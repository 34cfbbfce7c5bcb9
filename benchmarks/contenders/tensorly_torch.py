"""tensorly-torch: factorized linear layers and embeddings, contracted or reconstructed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from benchmarks.contenders.installed import package, silently
from benchmarks.contract import Contender, Kind, Parameters, Run

Assign = Callable[[Any, Sequence[Tensor]], None]


def _linear(
    ins: Sequence[int],
    outs: Sequence[int],
    factorization: str,
    rank: object,
    leaves: Callable[[Parameters], Sequence[Tensor]],
    assign: Assign,
) -> tuple[Contender, ...]:
    """The two ways a `FactorizedLinear` has of computing the same map."""

    def build(implementation: str) -> Callable[[Sequence[Tensor]], Run]:
        def load(held: Sequence[Tensor]) -> Run:
            layer = silently(
                package("tltorch").FactorizedLinear,
                tuple(ins),
                tuple(outs),
                bias=False,
                factorization=factorization,
                rank=rank,
                implementation=implementation,
                dtype=held[0].dtype,
            )
            assign(layer.weight, held)
            warnings.filterwarnings("ignore", message=".*reconstructed into a matrix.*")
            run: Run = layer
            return run

        return load

    return tuple(
        Contender(f"tensorly-torch {how}", Kind.PEER, leaves, build(how))
        for how in ("factorized", "reconstructed")
    )


def set_factors(weight: Any, held: Sequence[Tensor]) -> None:
    """Put tensors in the place of the factors that a factorized weight was made with."""
    weight.factors = package("tltorch.utils").FactorList(list(held))


def block_train(ins: Sequence[int], outs: Sequence[int], ranks: Sequence[int]) -> tuple[Any, ...]:
    """A tensor train; its factors are (left, output, input, right)."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        first, *middle, last = parameters.values()
        full = [first.unsqueeze(0), *middle, last.unsqueeze(-1)]
        return [core.transpose(1, 2) for core in full]

    return _linear(ins, outs, "blocktt", (1, *ranks, 1), leaves, set_factors)


def cp(ins: Sequence[int], outs: Sequence[int], rank: int) -> tuple[Any, ...]:
    """CP: weights of one, then the factors of the outputs, then those of the inputs."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        held = list(parameters.values())
        weights = held[0].new_ones(rank)
        return [weights, *held[len(ins) :], *held[: len(ins)]]

    def assign(weight: Any, held: Sequence[Tensor]) -> None:
        weight.weights = held[0]
        set_factors(weight, held[1:])

    return _linear(ins, outs, "cp", rank, leaves, assign)


def tucker(ins: Sequence[int], outs: Sequence[int], ranks: Sequence[int]) -> tuple[Any, ...]:
    """Tucker: `ranks` are those of the inputs, then those of the outputs, as in our core."""
    n = len(ins)

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        held = list(parameters.values())
        core = held[n].permute(*range(n, len(ranks)), *range(n))
        outputs = [V.t() for V in held[n + 1 :]]
        return [core, *outputs, *held[:n]]

    def assign(weight: Any, held: Sequence[Tensor]) -> None:
        weight.core = held[0]
        set_factors(weight, held[1:])

    return _linear(ins, outs, "tucker", (*ranks[n:], *ranks[:n]), leaves, assign)


def table(
    rows: Sequence[int], columns: Sequence[int], words: int, ranks: Sequence[int]
) -> Contender:
    """A tensor-train embedding; its factors are (left, row, column, right)."""

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        first, *middle, last = parameters.values()
        return [first.unsqueeze(0), *middle, last.unsqueeze(-1)]

    def build(held: Sequence[Tensor]) -> Run:
        features = 1
        for column in columns:
            features *= column
        layer = silently(
            package("tltorch").FactorizedEmbedding,
            words,
            features,
            auto_tensorize=False,
            tensorized_num_embeddings=tuple(rows),
            tensorized_embedding_dim=tuple(columns),
            factorization="blocktt",
            rank=(1, *ranks, 1),
            dtype=held[0].dtype,
        )
        set_factors(layer.weight, held)
        run: Run = layer
        return run

    return Contender("tensorly-torch", Kind.PEER, leaves, build)
