"""Small models to compare, for tests and for commands, which name what makes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

import tncompile


def classifier() -> nn.Module:
    """Of 12 features and 5 classes, as it is trained: with dropout."""
    torch.manual_seed(0)
    layers = (nn.Linear(12, 20), nn.ReLU(), nn.Dropout(0.5), nn.Linear(20, 5))
    return nn.Sequential(*layers).train()


def noisy(model: nn.Module, scale: float, seed: int = 1) -> nn.Module:
    """A copy whose parameters are disturbed."""
    from copy import deepcopy

    generator = torch.Generator().manual_seed(seed)
    twin = deepcopy(model)
    with torch.no_grad():
        for parameter in twin.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(scale * noise.to(parameter))
    return twin


def batches(count: int = 3, rows: int = 20, seed: int = 0) -> list[torch.Tensor]:
    """Inputs of `classifier`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, 12, generator=generator) for _ in range(count)]


def streamed() -> Iterator[torch.Tensor]:
    """The same one by one, as a command reads them."""
    yield from batches()


def labels(batch: torch.Tensor) -> torch.Tensor:
    """A class for each row; the first row has none."""
    found = batch.sum(1).abs().long() % 5
    found[0] = -100
    return found


def scores() -> dict[str, object]:
    """One number, and one for each of some items."""
    x = batches()[0]
    return {
        "size": lambda model: float(model(x).abs().sum()),
        "items": lambda model: model(x).square().sum(1),
    }


def texts(model: nn.Module) -> list[str]:
    """What a model says."""
    return [f"class {int(each)}" for each in model(batches()[0][:2]).argmax(1)]


def halved() -> tncompile.Tensorized:
    """`classifier` with one layer of low rank."""
    text = 'import "std/linear.tn" { LowRank } rewrite S { linear "0" -> LowRank(rank = 3) }'
    return tncompile.tensorize(classifier(), tncompile.Rewrite.loads(text))
