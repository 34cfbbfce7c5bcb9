"""What a probe is, and those of overheads: chains of small calls, modules, parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

Point = tuple[int, ...]
Key = tuple[str, Point]

TINY = 4
"""Side of the matrices of probes that time the call and not the work."""

SHORT, LONG = 2, 18
"""Lengths of the chains whose difference in time is that of their links."""

CALLS, VIEWS = 3, 4
"""Calls and views in each link of a chain."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One thing to time: its name, its sizes, and `make`, which returns the function to time.

    The function does it `calls` times. The average over sweeps counts for an `overhead`, the second
    fastest for work.
    """

    name: str
    sizes: tuple[int, ...]
    make: Callable[[], Callable[[], object]]
    calls: int = 1
    gradients: bool = False
    overhead: bool = False

    @property
    def key(self) -> Key:
        """What the measured seconds are stored under."""
        return self.name, self.sizes


def matrix(rows: int, columns: int, transposed: bool, count: int = 0) -> Tensor:
    """A row-major or column-major matrix, or a stack of `count` such matrices."""
    batch = (count,) if count else ()
    if transposed:
        return torch.full((*batch, columns, rows), 0.5).transpose(-1, -2)
    return torch.full((*batch, rows, columns), 0.5)


class _Module(nn.Module):
    """What an emitted module does around its products: it checks, flattens and branches."""

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


def _link_of_calls(t: Tensor, weight: Tensor) -> Tensor:
    return torch.mm(weight, torch.mm(t, weight) * weight)


def _link_of_calls_and_views(t: Tensor, weight: Tensor) -> Tensor:
    t = torch.mm(t.reshape(2, 2 * TINY).reshape(TINY, TINY), weight) * weight
    return torch.mm(weight, t.permute(1, 0)).expand(TINY, TINY)


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


def _step(link: Link, length: int, trainable: bool = False) -> Callable[[], object]:
    """A training step through a chain whose links share a constant or have a parameter each."""
    first, constant, gradient = nn.Parameter(_small()), _small(), _small()
    weights = [nn.Parameter(_small()) if trainable else constant for _ in range(length)]

    def run() -> None:
        t: Tensor = first
        for tensor in (first, *weights):
            tensor.grad = None
        for weight in weights:
            t = link(t, weight)
        torch.autograd.backward([t], [gradient])

    return run


def _stacked(count: int, training: bool) -> Callable[[], object]:
    """Parameters stacked, in a training step or without one."""
    weights = [nn.Parameter(_small()) for _ in range(count)]
    gradient = torch.full((count, TINY, TINY), 0.5)

    def forward() -> Tensor:
        return torch.stack([*weights])

    def step() -> None:
        for weight in weights:
            weight.grad = None
        torch.autograd.backward([forward()], [gradient])

    return step if training else forward


WIDE = (64, 128, 256)
"""A product whose code and operands push those of small calls out of the nearest caches."""


def _alternating(product: bool, calls: bool) -> Callable[[], object]:
    """A product, small calls, or both in turn: the calls take longer then."""
    rows, inner, columns = WIDE
    first, second = matrix(rows, inner, False), matrix(inner, columns, False)
    t, weight = _small(), _small()

    def run() -> None:
        if product:
            torch.mm(first, second)
        if calls:
            _link_of_calls_and_views(t, weight)

    return run


def _reads() -> Callable[[], object]:
    module = _Module()

    def run() -> None:
        module.weight, module.weight, module.weight, module.weight  # noqa: B018

    return run


def overhead_probes() -> Iterator[Probe]:
    """Probes of calls, modules and parameters."""
    untrained = partial(Probe, overhead=True)
    trained = partial(Probe, overhead=True, gradients=True)
    yield untrained("reads", (), _reads, calls=4)
    yield untrained("module", (), lambda: partial(_Module(), _small()))
    yield untrained("product alone", (), partial(_alternating, True, False))
    yield untrained("calls alone", (), partial(_alternating, False, True))
    yield untrained("by turns", (), partial(_alternating, True, True))
    links: dict[str, Link] = {"linked": _link_of_calls, "viewed": _link_of_calls_and_views}
    for n in (SHORT, LONG):
        for name, link in links.items():
            yield untrained(name, (n,), partial(_forward, link, n, False))
            yield trained(f"{name} recorded", (n,), partial(_forward, link, n, True))
            yield trained(f"{name} step", (n,), partial(_step, link, n))
        yield trained("fixed", (n,), partial(_step, torch.mm, n))
        yield trained("weights", (n,), partial(_step, torch.mm, n, True))
        yield untrained("stack", (n,), partial(_stacked, n, False))
        yield trained("stack step", (n,), partial(_stacked, n, True))
