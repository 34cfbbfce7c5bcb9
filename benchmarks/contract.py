"""What a workload is: a network, its inputs, its exact answer, and who computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import gelu

Parameters = Mapping[str, Tensor]
"""The tensors of an emitted module under their own names."""

Run = Callable[..., Tensor]
"""A forward pass, from the inputs of the network to its output."""


@dataclass(frozen=True)
class Loaded:
    """A forward pass whose parameters are not the leaves it was given, but made of them."""

    run: Run
    parameters: Callable[[], Sequence[Tensor]]
    gradients: Callable[[], Sequence[Tensor | None]]
    """Gradients of the leaves, after a backward pass."""

    def __call__(self, *inputs: Tensor) -> Tensor:
        return self.run(*inputs)


class Mode(StrEnum):
    """What is timed."""

    INFERENCE = "inference"
    TRAINING = "training"


class Kind(StrEnum):
    """Whose code runs."""

    OURS = "ours"
    DENSE = "dense"
    PEER = "peer"
    HAND = "by hand"


class UnavailableError(Exception):
    """A contender cannot run here; the message says why."""


@dataclass(frozen=True)
class Contender:
    """One way to compute a map.

    `leaves` makes the tensors that it trains out of those of the emitted module, by differentiable
    operations: so gradients can be carried back and compared. `build` makes a forward pass out of
    such leaves, once they are parameters. `fold` does so for inference, with everything that
    depends on parameters alone computed once; with `only_folded` that is all there is. `suits`
    says at which batch sizes it is worth a run.
    """

    name: str
    kind: Kind
    leaves: Callable[[Parameters], Sequence[Tensor]]
    build: Callable[[Sequence[Tensor]], Run]
    fold: Callable[[Sequence[Tensor]], Run] | None = None
    suits: Callable[[int], bool] = field(default=lambda batch: True)
    only_folded: bool = False


@dataclass(frozen=True)
class Network:
    """A block with its arguments: `spec` is a file of the library or a text in the language.

    `sizes` are run-time sizes besides the batch, by name: what plans are made for.
    """

    spec: str
    target: str
    sizes: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Workload:
    """A map to compute, at some batch sizes.

    `networks` are joined by `between` where there are several; their parameters then have the
    prefix `0.`, `1.` and so on. `order` are the families of parameters in the order in which
    contenders take them, where that is not the order of the module. `inputs` draws the inputs for a
    batch size. `reference` is the plainest possible formula; it is evaluated in float64. `quick`
    are the batch sizes of the short run. `omitted` names peers and why they are missing.
    """

    name: str
    title: str
    networks: tuple[Network, ...]
    batches: tuple[int, ...]
    inputs: Callable[[int, torch.Generator], tuple[Tensor, ...]]
    reference: Callable[..., Tensor]
    contenders: tuple[Contender, ...]
    omitted: Mapping[str, str] = field(default_factory=dict)
    quick: tuple[int, ...] = ()
    order: tuple[str, ...] = ()
    between: Callable[[Tensor], Tensor] = gelu
    input_gradients: bool = True
    note: str = ""


def features(size: int) -> Callable[[int, torch.Generator], tuple[Tensor, ...]]:
    """Inputs of a linear map: rows of standard normal numbers."""
    return lambda batch, generator: (torch.randn(batch, size, generator=generator),)


def in_order(parameters: Parameters) -> Sequence[Tensor]:
    """The leaves of whoever takes the tensors as they are."""
    return tuple(parameters.values())


def in_sequence(name: str, title: str, parts: tuple[Workload, ...], **changes: Any) -> Workload:
    """Several maps with a nonlinearity between them; contenders are those that can do each part."""
    first = parts[0]
    between = changes.pop("between", gelu)

    def reference(parameters: Parameters, x: Tensor) -> Tensor:
        for k, part in enumerate(parts):
            x = part.reference(_part(parameters, k), x if k == 0 else between(x))
        return x

    shared = [c for c in first.contenders if all(_named(p, c.name) for p in parts[1:])]
    return Workload(
        name=name,
        title=title,
        networks=tuple(network for part in parts for network in part.networks),
        batches=changes.pop("batches", first.batches),
        inputs=first.inputs,
        reference=reference,
        contenders=tuple(
            _chained([_named(part, c.name) or c for part in parts], between) for c in shared
        ),
        omitted={**first.omitted},
        between=between,
        **changes,
    )


def _part(parameters: Parameters, k: int) -> Parameters:
    return {n.split(".", 1)[1]: p for n, p in parameters.items() if n.startswith(f"{k}.")}


def _named(workload: Workload, name: str) -> Contender | None:
    return next((c for c in workload.contenders if c.name == name), None)


def _chained(parts: Sequence[Contender], between: Callable[[Tensor], Tensor]) -> Contender:
    """One contender for maps in a row."""
    counts: list[int] = []

    def leaves(parameters: Parameters) -> Sequence[Tensor]:
        held = [part.leaves(_part(parameters, k)) for k, part in enumerate(parts)]
        counts[:] = [len(each) for each in held]
        return [leaf for each in held for leaf in each]

    def joined(runs: Sequence[Run]) -> Run:
        def run(x: Tensor) -> Tensor:
            for k, step in enumerate(runs):
                x = step(x if k == 0 else between(x))
            return x

        return run

    def split(held: Sequence[Tensor]) -> list[Sequence[Tensor]]:
        starts = [sum(counts[:k]) for k in range(len(counts))]
        return [held[s : s + n] for s, n in zip(starts, counts, strict=True)]

    def build(held: Sequence[Tensor]) -> Run:
        return joined([p.build(h) for p, h in zip(parts, split(held), strict=True)])

    def fold(held: Sequence[Tensor]) -> Run:
        return joined([(p.fold or p.build)(h) for p, h in zip(parts, split(held), strict=True)])

    return Contender(
        parts[0].name,
        parts[0].kind,
        leaves,
        build,
        fold if any(part.fold for part in parts) else None,
        lambda batch: all(part.suits(batch) for part in parts),
        any(part.only_folded for part in parts),
    )
