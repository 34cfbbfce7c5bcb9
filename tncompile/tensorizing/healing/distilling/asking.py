"""Models that are asked for what is compared, and the batches of both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tncompile.tensorizing.calibrating.calling import called, first_tensor
from tncompile.tensorizing.calibrating.patterns import matching

Output = Callable[[nn.Module, Any], torch.Tensor]


@dataclass
class Answer:
    """What a model gives for a batch: its output, and those of the layers that are compared."""

    output: torch.Tensor
    layers: list[torch.Tensor]


class Asked:
    """A model whose layers are listened to."""

    def __init__(self, model: nn.Module, output: Output | None, names: Sequence[str]) -> None:
        self.model, self.output, self.names = model, output, names
        self.heard: dict[str, torch.Tensor] = {}

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The layers are listened to while the body runs."""
        handles = []
        for name in self.names:

            def hook(module: nn.Module, args: Any, result: object, name: str = name) -> None:
                found = first_tensor(result)
                if isinstance(found, torch.Tensor):
                    self.heard[name] = found

            handles.append(self.model.get_submodule(name).register_forward_hook(hook))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __call__(self, batch: object) -> Answer:
        self.heard = {}
        call = self.output
        found = first_tensor(called(self.model, batch)) if call is None else call(self.model, batch)
        if not isinstance(found, torch.Tensor) or not found.is_floating_point():
            what = found.dtype if isinstance(found, torch.Tensor) else type(found).__name__
            raise ValueError(f"the output is to be a tensor of real numbers, not {what}")
        missing = [name for name in self.names if name not in self.heard]
        if missing:
            raise ValueError(f"{missing[0]} gives no tensor: its output cannot be compared")
        return Answer(found, [self.heard[name] for name in self.names])


def split(
    batches: list[Any], held_out: Iterable[Any] | float, seed: int
) -> tuple[list[Any], list[Any]]:
    """Batches to train on, and those held out."""
    if not batches:
        raise ValueError("there are no batches")
    if not isinstance(held_out, int | float):
        held = list(held_out)
        if not held:
            raise ValueError("there are no batches that are held out")
        return batches, held
    if isinstance(held_out, bool) or not 0 < held_out < 1:
        raise ValueError(f"held_out is a part of the data between 0 and 1, not {held_out}")
    if len(batches) < 2:
        raise ValueError("of one batch none can be held out: give more, or held_out=…")
    count = min(len(batches) - 1, max(1, round(held_out * len(batches))))
    order = torch.randperm(len(batches), generator=torch.Generator().manual_seed(seed)).tolist()
    left = set(order[:count])
    return (
        [each for k, each in enumerate(batches) if k not in left],
        [each for k, each in enumerate(batches) if k in left],
    )


def layers_of(model: nn.Module, small: nn.Module, patterns: Sequence[str]) -> list[str]:
    """The names of modules that both models have."""
    ours = {name for name, _ in small.named_modules()}
    names = [name for name, _ in model.named_modules() if name and name in ours]
    return matching(patterns, names, none="no module of both models is called {pattern}")


def integers(batch: object) -> int:
    """The entries of the first tensor of integers in a batch: tokens."""
    values: Iterable[object] = (batch,)
    if isinstance(batch, Mapping):
        values = batch.values()
    elif isinstance(batch, list | tuple):
        values = batch
    for each in values:
        if isinstance(each, torch.Tensor):
            return 0 if each.is_floating_point() or each.is_complex() else each.numel()
    return 0
