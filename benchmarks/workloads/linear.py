"""Linear maps of one kind each: their reference, their equation, their contenders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor

from benchmarks.byhand import custom, products, trains
from benchmarks.contenders import tednet_layers, tensorly_torch
from benchmarks.contenders.dense import dense_layer
from benchmarks.contenders.equations import Equation, equations
from benchmarks.contract import Contender, Kind, Network, Parameters, Workload, features, in_order

LIBRARY = "std/linear.tn"
TOO_MUCH = 1.6
"""A version by hand with so many times the least multiply-adds is not run."""
NO_CLASSIFIER = "TensorKrowch contracts products of vectors or matrix product states, no vector"


def by_hand(
    name: str,
    build: Callable[[Sequence[Tensor]], Callable[..., Tensor]],
    fold: Callable[[Sequence[Tensor]], Callable[..., Tensor]] | None = None,
    suits: Callable[[int], bool] = lambda batch: True,
    leaves: Callable[[Parameters], Sequence[Tensor]] = in_order,
) -> Contender:
    """A version of our own in plain PyTorch."""
    return Contender(f"by hand: {name}", Kind.HAND, leaves, build, fold, suits)


def folded_weight(build: Callable[[Sequence[Tensor]], Callable[..., Tensor]]) -> Contender:
    """The dense weight, computed once."""
    return Contender("by hand: weight", Kind.HAND, in_order, build, build, only_folded=True)


def digits(prefix: str, sizes: Sequence[int]) -> tuple[str, ...]:
    """Names of the indices of a leg that is split into digits."""
    return tuple(f"{prefix}{k}" for k in range(len(sizes)))


def viewed(ins: Sequence[int]) -> Callable[[Tensor], Sequence[Tensor]]:
    """Rows as tensors with an axis for every digit."""
    return lambda x: (x.view(-1, *ins),)


def written(sizes: Sequence[int]) -> str:
    """A list as the language has it."""
    return "[" + ", ".join(map(str, sizes)) + "]"


# ── tensor trains ────────────────────────────────────────────────────────────────────────────────


def train_weight(parameters: Parameters) -> Tensor:
    """The matrix of a tensor train, (inputs, outputs), core by core."""
    first, *others = parameters.values()
    held = first  # (I, O, b)
    for core in others:
        core = core if core.dim() == 4 else core.unsqueeze(-1)
        held = torch.einsum("IOb,bioc->IiOoc", held, core)
        I, i, O, o, c = held.shape
        held = held.reshape(I * i, O * o, c)
    return held.squeeze(-1)


def train_versions(
    ins: Sequence[int], outs: Sequence[int], ranks: Sequence[int]
) -> list[Contender]:
    """All that was tried by hand on a tensor train, each where its FLOPs are not out of reach."""
    bonds = [1, *ranks, 1]
    shapes = [(bonds[k], ins[k], outs[k], bonds[k + 1]) for k in range(len(ins))]
    splits = range(1, len(ins))

    def least(batch: int) -> float:
        return min(min(trains.work(shapes, s, batch).values()) for s in splits)

    def suits(key: str, split: int, above: int = 0) -> Callable[[int], bool]:
        return lambda batch: (
            batch > above and trains.work(shapes, split, batch)[key] < TOO_MUCH * least(batch)
        )

    def small(batch: int) -> bool:
        return batch <= 16

    made = [
        by_hand("sweep on views", trains.sweep, suits=small),
        by_hand("sweep by rows", trains.sweep_by_rows, suits=small),
        folded_weight(trains.folded_dense),
    ]
    for split in splits:
        made += [
            by_hand(
                f"halves at {split}, right first",
                partial(trains.right_first, split=split),
                partial(trains.right_first, split=split, folded=True),
                suits("right first", split),
            ),
            by_hand(
                f"halves at {split}, left first",
                partial(trains.left_first, split=split),
                partial(trains.left_first, split=split, folded=True),
                suits("left first", split),
            ),
            by_hand(
                f"halves at {split}, own backward",
                partial(custom.right_first_recomputed, split=split),
                suits=suits("right first", split, above=8),
            ),
            by_hand(
                f"dense at {split}",
                partial(trains.dense, split=split),
                suits=suits("dense", split, 8),
            ),
            by_hand(
                f"dense at {split}, in blocks",
                partial(trains.dense_in_blocks, split=split),
                suits=suits("dense", split, 8),
            ),
        ]
    return made


def tensor_train(
    name: str,
    ins: Sequence[int],
    outs: Sequence[int],
    ranks: int | Sequence[int],
    batches: tuple[int, ...],
    quick: tuple[int, ...] = (),
    note: str = "",
) -> Workload:
    """A matrix product operator without bias."""
    bonds = [ranks] * (len(ins) - 1) if isinstance(ranks, int) else list(ranks)
    i, o, b = digits("i", ins), digits("o", outs), digits("b", bonds)
    cores = [(*b[max(k - 1, 0) : k], i[k], o[k], *b[k : k + 1]) for k in range(len(ins))]
    equation = Equation((("n", *i),), tuple(cores), ("n", *o), viewed(ins))
    peers = (
        *equations(equation),
        *tensorly_torch.block_train(ins, outs, bonds),
        tednet_layers.train(ins, outs, bonds),
    )
    rank = str(bonds[0]) if len(set(bonds)) == 1 else written(bonds)
    return Workload(
        name=name,
        title=f"MPO {prod(ins)} → {prod(outs)}, {written(ins)} → {written(outs)}, rank {rank}",
        networks=(
            Network(
                LIBRARY,
                f"MPO(ins = {written(ins)}, outs = {written(outs)}, ranks = {written(bonds)}, "
                "with_bias = false)",
            ),
        ),
        batches=batches,
        inputs=features(prod(ins)),
        reference=lambda parameters, x: x @ train_weight(parameters),
        contenders=(
            dense_layer(lambda p: train_weight(p).t()),
            *peers,
            *train_versions(ins, outs, bonds),
        ),
        omitted={"TensorKrowch": NO_CLASSIFIER},
        quick=quick,
        note=note,
    )


# ── other formats ────────────────────────────────────────────────────────────────────────────────


def plain(
    name: str,
    title: str,
    network: Network,
    ins: Sequence[int],
    terms: Sequence[tuple[str, ...]],
    output: tuple[str, ...],
    versions: Sequence[Contender],
    batches: tuple[int, ...],
    *,
    peers: Sequence[Contender] = (),
    omitted: Mapping[str, str] | None = None,
    quick: tuple[int, ...] = (),
    note: str = "",
) -> Workload:
    """A linear map given by its indices; the weight comes from one einsum over its tensors."""
    i = tuple(f"i{k}" for k in range(len(ins)))
    equation = Equation((("n", *i),), tuple(terms), ("n", *output), viewed(ins))
    labels = {label: k for k, label in enumerate(equation.labels)}

    def weight(parameters: Parameters) -> Tensor:
        operands: list[object] = []
        for tensor, term in zip(parameters.values(), terms, strict=True):
            operands += [tensor, [labels[n] for n in term]]
        held = torch.einsum(*operands, [labels[n] for n in (*i, *output)])
        return held.reshape(prod(ins), -1)

    return Workload(
        name=name,
        title=title,
        networks=(network,),
        batches=batches,
        inputs=features(prod(ins)),
        reference=lambda parameters, x: x @ weight(parameters),
        contenders=(
            dense_layer(lambda p: weight(p).t()),
            *equations(equation),
            *peers,
            *versions,
            folded_weight(partial(_folded, weight)),
        ),
        omitted={"TensorKrowch": NO_CLASSIFIER, **(omitted or {})},
        quick=quick,
        note=note,
    )


def _folded(
    weight: Callable[[Parameters], Tensor], held: Sequence[Tensor]
) -> Callable[[Tensor], Tensor]:
    matrix = weight({str(k): leaf for k, leaf in enumerate(held)}).contiguous()
    return lambda x: x @ matrix


__all__ = ["by_hand", "plain", "products", "tensor_train"]
