"""Probes of what calls take beside their work: chains of small ones, modules, parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from tncompile.machine.probe import Probe, matrix

TINY = 4
"""Sides of the matrices of probes that time the call and not the work."""

SHORT, LONG = 2, 18
"""Lengths of chains; the difference is what their links take."""

CALLS, VIEWS = 3, 4
"""In each link of a chain."""


class _Module(nn.Module):
    """What an emitted module does around its products: it checks, flattens and branches."""

    weight: nn.Parameter
    fixed: bool

    def __init__(self) -> None:
        super().__init__()
        self.fixed = False
        self.weight = nn.Parameter(torch.eye(TINY))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() < 1 or x.shape[-1] != TINY:
            raise ValueError(f"x has the shape {tuple(x.shape)}")
        lead = x.shape[:-1]
        size = math.prod(lead)
        if x.dim() != 2:
            x = x.reshape(size, TINY)
        if self.fixed or torch.compiler.is_compiling():
            return x
        if torch.is_grad_enabled():
            return x
        return self.run(x, lead)

    def run(self, x: Tensor, lead: tuple[int, ...]) -> Tensor:
        return x if len(lead) == 1 else x.reshape(*lead, TINY)


def _small() -> Tensor:
    return torch.full((TINY, TINY), 0.5)


def _linked(t: Tensor, weight: Tensor) -> Tensor:
    """A link of `CALLS` calls."""
    return torch.mm(weight, torch.mm(t, weight) * weight)


def _viewed(t: Tensor, weight: Tensor) -> Tensor:
    """A link of `CALLS` calls and `VIEWS` views."""
    t = torch.mm(t.reshape(2, 2 * TINY).reshape(TINY, TINY), weight) * weight
    return torch.mm(weight, t.permute(1, 0)).expand(TINY, TINY)


def _multiplied(t: Tensor, weight: Tensor) -> Tensor:
    return torch.mm(t, weight)


Link = Callable[[Tensor, Tensor], Tensor]


def _forward(link: Link, length: int, gradients: bool) -> Callable[[], Tensor]:
    """A chain of equal links."""
    first, weight = _small().requires_grad_(gradients), _small()

    def run() -> Tensor:
        t = first
        for _ in range(length):
            t = link(t, weight)
        return t

    return run


def _step(link: Link, length: int, weights: int = 0) -> Callable[[], object]:
    """A training step through a chain, each link with a parameter of its own or none of them."""
    first, fixed, gradient = nn.Parameter(_small()), _small(), _small()
    held: list[Tensor] = [nn.Parameter(_small()) for _ in range(weights)] or [fixed] * length

    def run() -> None:
        first.grad = None
        for weight in held:
            weight.grad = None
        t: Tensor = first
        for weight in held:
            t = link(t, weight)
        torch.autograd.backward([t], [gradient])

    return run


def _stacked(count: int, training: bool) -> Callable[[], object]:
    """Parameters stacked, in a training step or without one."""
    held = [nn.Parameter(_small()) for _ in range(count)]
    gradient = torch.full((count, TINY, TINY), 0.5)

    def forward() -> Tensor:
        return torch.stack([*held])

    def step() -> None:
        for weight in held:
            weight.grad = None
        torch.autograd.backward([forward()], [gradient])

    return step if training else forward


WIDE = (64, 128, 256)
"""A product whose code and operands push those of small calls out of the nearest caches."""


def _amid(product: bool, calls: bool) -> Callable[[], object]:
    """A product, small calls, or both by turns: the calls take longer then."""
    rows, inner, columns = WIDE
    first, second = matrix(rows, inner, False), matrix(inner, columns, False)
    t, weight = _small(), _small()

    def run() -> None:
        if product:
            torch.mm(first, second)
        if calls:
            _viewed(t, weight)

    return run


def _module() -> Callable[[], object]:
    module, x = _Module(), _small()
    return lambda: module(x)


def _reads() -> Callable[[], object]:
    module = _Module()

    def run() -> None:
        module.weight, module.weight, module.weight, module.weight  # noqa: B018

    return run


def overheads() -> Iterator[Probe]:
    yield Probe("reads", (), _reads, calls=4)
    yield Probe("module", (), _module)
    yield Probe("product alone", (), partial(_amid, True, False))
    yield Probe("calls alone", (), partial(_amid, False, True))
    yield Probe("by turns", (), partial(_amid, True, True))
    links: tuple[tuple[str, Link], ...] = (("linked", _linked), ("viewed", _viewed))
    for length in (SHORT, LONG):
        sizes = (length,)
        for name, link in links:
            yield Probe(f"{name}", sizes, partial(_forward, link, length, False))
            yield Probe(
                f"{name} recorded", sizes, partial(_forward, link, length, True), gradients=True
            )
            yield Probe(f"{name} step", sizes, partial(_step, link, length), gradients=True)
        yield Probe("fixed", sizes, partial(_step, _multiplied, length), gradients=True)
        yield Probe("weights", sizes, partial(_step, _multiplied, length, length), gradients=True)
        yield Probe("stack", sizes, partial(_stacked, length, False))
        yield Probe("stack step", sizes, partial(_stacked, length, True), gradients=True)
