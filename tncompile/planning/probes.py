"""What calibration times: single calls of torch, each on operands of its own.

A probe is named by what it measures and the sizes it does that at; making it allocates operands and
gives the function to time. The function repeats its call where one alone is too short to time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle, product

import torch
from torch import Tensor, nn

ROWS = (1, 2, 8, 32, 256, 1024)
INNER = (1, 4, 16, 64, 256, 1024)
COLUMNS = (1, 2, 8, 16, 64, 256, 1024)
"""Sizes of products: narrow columns are where BLAS differs most."""

TURNED_ROWS = (1, 2, 8, 64, 1024)
TURNED_INNER = (4, 64, 1024)
TURNED_COLUMNS = (1, 2, 8, 16, 64, 1024)

BATCHED = (1, 2, 8, 12, 16, 64, 256)
BATCHED_TURNED = (1, 4, 16, 64)

SMALL = ((4, 4, 4), (1, 8, 8), (8, 8, 1), (1, 16, 16), (6, 6, 6))
"""Products that `bmm` does not leave to BLAS."""

PASSES = (2**14, 2**16, 3 * 2**18, 3 * 2**20, 3 * 2**22, 3 * 2**23, 3 * 2**24, 75 * 2**20)
"""Bytes that an elementwise product reads and writes."""

COPIES = (2**14, 2**16, 2**18, 2**22, 2**23, 2**24)
RUNS = (4, 16, 64, 256, 2048)
"""Bytes of copies, and bytes that lie together in them."""

SPREAD, BEYOND = 2**20, 2**25
"""Bytes from which sources are read by turns, and bytes of all of them together."""

SUMMED = (8, 32, 256, 4096)
PICKED = (4, 32, 256, 4096)
"""Bytes of rows that are summed, and of rows picked by number."""

FAULTED = 2**26
RESIDENT = 3 * 2**23
"""Bytes of an allocation that is always new memory, and of one that never is."""

TINY = 4
"""Sides of the matrices of probes that time the call and not the work."""

Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Probe:
    """What is measured, at which sizes; `calls` of it in one go of what `make` gives.

    Of `usual` probes the time that they take on average counts, of others nearly the shortest.
    """

    name: str
    sizes: tuple[int, ...]
    make: Callable[[], Callable[[], object]]
    calls: int = 1
    gradients: bool = False
    usual: bool = False

    @property
    def key(self) -> Key:
        """By which the measured seconds are found."""
        return self.name, self.sizes


def probes() -> list[Probe]:
    """Everything that a profile needs."""
    overheads = (replace(probe, usual=True) for probe in _overheads())
    return [*_products(), *_batched(), *_streams(), *_rows(), *overheads]


# ── products ────────────────────────────────────────────────────────────────────────────────────


def matrix(rows: int, columns: int, turned: bool, count: int = 0) -> Tensor:
    """A matrix, or `count` matrices, row-major or column-major."""
    batch = (count,) if count else ()
    if turned:
        return torch.full((*batch, columns, rows), 0.5).transpose(-1, -2)
    return torch.full((*batch, rows, columns), 0.5)


def _product(sizes: tuple[int, ...], left: bool, right: bool) -> Callable[[], object]:
    rows, inner, columns = sizes
    first, second = matrix(rows, inner, left), matrix(inner, columns, right)
    return lambda: torch.mm(first, second)


def _products() -> Iterator[Probe]:
    turned = (*product(TURNED_ROWS, TURNED_INNER, TURNED_COLUMNS),)
    plain = dict.fromkeys((*product(ROWS, INNER, COLUMNS), *turned))
    for name, points, left, right in (
        ("product", plain, False, False),
        ("left turned", turned, True, False),
        ("right turned", turned, False, True),
    ):
        for sizes in points:
            yield Probe(
                name,
                sizes,
                partial(_product, sizes, left, right),
            )


def batch_count(sizes: tuple[int, ...]) -> int:
    """How many matrices a batch takes to stay in the cache, at least four."""
    rows, inner, columns = sizes
    numbers = rows * inner + inner * columns + rows * columns
    return min(256, max(4, 2**18 // numbers))


def _batch(sizes: tuple[int, ...], left: bool, right: bool) -> Callable[[], object]:
    rows, inner, columns = sizes
    count = batch_count(sizes)
    first, second = matrix(rows, inner, left, count), matrix(inner, columns, right, count)
    return lambda: torch.bmm(first, second)


def _two_matrices() -> Callable[[], object]:
    first, second = matrix(16, 16, False, 2), matrix(16, 16, False, 2)
    return lambda: torch.bmm(first, second)


def small_count(sizes: tuple[int, ...]) -> int:
    """How many matrices torch multiplies on one thread, when it does so itself."""
    return 2**14 // math.prod(sizes)


def _small_batch(sizes: tuple[int, ...]) -> Callable[[], object]:
    rows, inner, columns = sizes
    count = small_count(sizes)
    first, second = matrix(rows, inner, False, count), matrix(inner, columns, False, count)
    return lambda: torch.bmm(first, second)


def _batched() -> Iterator[Probe]:
    turned = (*product(BATCHED_TURNED, repeat=3),)
    plain = dict.fromkeys((*product(BATCHED, repeat=3), *turned))
    for name, points, left, right in (
        ("batched", plain, False, False),
        ("batched left turned", turned, True, False),
        ("batched right turned", turned, False, True),
    ):
        for sizes in points:
            yield Probe(
                name,
                sizes,
                partial(_batch, sizes, left, right),
            )
    yield Probe("two matrices", (), _two_matrices)
    for sizes in SMALL:
        yield Probe("small", sizes, partial(_small_batch, sizes))


# ── passes and copies ───────────────────────────────────────────────────────────────────────────


def _by_turns(count: int, make: Callable[[], tuple[Tensor, ...]]) -> Iterator[tuple[Tensor, ...]]:
    """Sources of `count` bytes, another one each time: large ones are not in the cache by then.

    What programs read has been written a few operations before, at best.
    """
    return cycle([make() for _ in range(1 if count < SPREAD else math.ceil(BEYOND / count))])


def _pass(count: int) -> Callable[[], object]:
    numbers = count // 12
    sources = _by_turns(count, lambda: (torch.full((numbers,), 0.5), torch.full((numbers,), 0.5)))

    def run() -> Tensor:
        left, right = next(sources)
        return left * right

    return run


BROADCAST = (512, 4)
"""How many outer products of vectors of this length are formed at a time."""


def _broadcast() -> Callable[[], object]:
    count, side = BROADCAST
    left, right = torch.full((count, side, 1), 0.5), torch.full((count, 1, side), 0.5)
    return lambda: left * right


ORDERS = ((0, 2, 1), (1, 2, 0), (2, 1, 0))
"""Of the axes of what is transposed number by number; the first takes a third of the others."""


def _copy(count: int, run: int) -> Callable[[], object]:
    """A tensor (outer, inner, run) with its first axes exchanged, four of them side by side."""
    side = 1
    while side * side * run < count // 4:
        side *= 2
    shape = (4, side, count // (4 * side * run), run // 4)
    sources = _by_turns(count, lambda: (torch.full(shape, 0.5).permute(0, 2, 1, 3),))
    return lambda: next(sources)[0].contiguous()


def _transposed(count: int) -> Callable[[], object]:
    """Three transpositions of a tensor of 16 times equally many rows and columns."""
    side = 1
    while side * side * 64 < count:
        side *= 2
    shape = (16, side, count // (64 * side))
    sources = _by_turns(count, lambda: (torch.full(shape, 0.5),))

    def run() -> None:
        for order in ORDERS:
            next(sources)[0].permute(order).contiguous()

    return run


def _sum(row: int) -> Callable[[], object]:
    source = torch.full((2**22 // row, row // 4), 0.5)
    return lambda: source.sum(1)


def _allocation(count: int) -> Callable[[], object]:
    return lambda: torch.zeros(count, dtype=torch.uint8)


def _streams() -> Iterator[Probe]:
    for count in PASSES:
        yield Probe("pass", (count,), partial(_pass, count))
    yield Probe("broadcast", (), _broadcast)
    for count in COPIES:
        alone, *runs = RUNS
        yield Probe("copy", (count, alone), partial(_transposed, count), calls=len(ORDERS))
        for run in runs:
            yield Probe("copy", (count, run), partial(_copy, count, run))
    for row in SUMMED:
        yield Probe("sum", (row,), partial(_sum, row))
    for count in (FAULTED, RESIDENT):
        yield Probe("allocation", (count,), partial(_allocation, count))


# ── rows by number ──────────────────────────────────────────────────────────────────────────────

PICKED_BYTES = 2**20


def _ids(row: int) -> tuple[Tensor, Tensor]:
    """A table and the numbers of the rows to pick, spread over it."""
    count = PICKED_BYTES // row
    return torch.full((1024, row // 4), 0.5), torch.arange(count) * 389 % 1024


def _gather(row: int) -> Callable[[], object]:
    table, ids = _ids(row)
    return lambda: table.index_select(0, ids)


def _scatter(row: int) -> Callable[[], object]:
    table, ids = _ids(row)
    rows = torch.full((len(ids), row // 4), 0.5)
    return lambda: table.index_add_(0, ids, rows)


def _rows() -> Iterator[Probe]:
    for row in PICKED:
        yield Probe("gather", (row,), partial(_gather, row))
        yield Probe("scatter", (row,), partial(_scatter, row))


# ── overheads ───────────────────────────────────────────────────────────────────────────────────

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
        x = x.reshape(size, TINY)
        if self.fixed or torch.compiler.is_compiling():
            return x
        if torch.is_grad_enabled():
            return x
        return self.run(x, lead)

    def run(self, x: Tensor, lead: tuple[int, ...]) -> Tensor:
        return x.reshape(*lead, TINY)


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


def _overheads() -> Iterator[Probe]:
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
