"""The emitted modules of a workload."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import tncompile
from benchmarks.contract import Network, Workload

PRODUCTS: dict[str, Callable[..., object]] = {
    "aten.mm": torch.mm,
    "aten.bmm": torch.bmm,
    "aten.addmm": torch.addmm,
    "aten.baddbmm": torch.baddbmm,
    "aten.mv": torch.mv,
    "aten.addmv": torch.addmv,
    "aten.convolution": torch.convolution,
}
"""The products of tensors, convolutions among them, and who calls them with the same operands."""


class Between(nn.Module):
    """A nonlinearity as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """The function itself."""
        return self.function(x)


class InSequence(nn.Module):
    """Modules in a row with a nonlinearity between them."""

    def __init__(self, parts: list[nn.Module], between: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.between = between
        for k, part in enumerate(parts):
            self.add_module(str(k), part)

    def forward(self, x: Tensor) -> Tensor:
        """All of them, first to last."""
        for k, part in enumerate(self.children()):
            x = part(x if k == 0 else self.between(x))
        return x

    def fold(self) -> InSequence:
        """All of them folded."""
        return InSequence([part.fold() for part in self.children()], self.between)


@cache
def architecture(network: Network) -> Any:
    """The network of a workload with its sizes; it keeps the plans it has made."""
    named = network.spec.endswith(".tn")
    spec = tncompile.load(network.spec) if named else tncompile.loads(network.spec)
    return spec.instantiate(network.target)


@cache
def tuned_architecture(network: Network, batch: int, seconds: float) -> Any:
    """The same, its plan for a batch size chosen by so many seconds of measuring."""
    held = architecture.__wrapped__(network)
    held.tune(batch, training=True, seconds=seconds, anyway=True, sizes=dict(network.sizes))
    return held


def module(workload: Workload, batch: int, tuning: float = 0.0) -> nn.Module:
    """The module for a batch size, with the same weights every time.

    It is planned by prediction or, with `tuning`, by so many seconds of measuring.
    """
    parts = []
    for k, network in enumerate(workload.networks):
        held = (
            tuned_architecture(network, batch, tuning / len(workload.networks))
            if tuning
            else architecture(network)
        )
        parts.append(held.module(batch=batch, seed=2026 + k, sizes=dict(network.sizes)))
    return parts[0] if len(parts) == 1 else InSequence(parts, workload.between)


def folded(held: nn.Module) -> nn.Module | None:
    """Its twin for inference, or None while there is no such thing."""
    fold = getattr(held, "fold", None)
    if fold is None:
        return None
    try:
        twin: nn.Module = fold()
    except AttributeError:
        return None
    return twin


def parameters(workload: Workload, held: nn.Module) -> dict[str, Tensor]:
    """The parameters by name, in the order in which contenders take them."""
    named = dict(held.named_parameters())

    def place(name: str) -> int:
        stem = name.split(".")[0]
        return workload.order.index(stem) if stem in workload.order else 0

    return {name: named[name] for name in sorted(named, key=place)}


class Recorder(TorchDispatchMode):
    """Notes every matrix product that is run, with its operands."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        if str(func).rsplit(".", 1)[0] in PRODUCTS:
            self.calls.append((func, args))
        return func(*args, **(kwargs or {}))


def bare_products(run: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Callable[[], None]:
    """The matrix products of a forward pass and nothing else, on the operands they had."""
    with torch.no_grad(), Recorder() as recorder:
        run(*inputs)
    calls = [
        (
            PRODUCTS[str(func).rsplit(".", 1)[0]],
            tuple(a.detach() if isinstance(a, Tensor) else a for a in args),
        )
        for func, args in recorder.calls
    ]

    def replay() -> None:
        with torch.no_grad():
            for function, operands in calls:
                function(*operands)

    return replay
