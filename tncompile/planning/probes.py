"""What calibration times: single calls of torch, each on operands of its own.

A probe is named by what it measures and the sizes it does that at; making it allocates operands and
gives the function to time. The function repeats its call where one alone is too short to time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import cycle, product

import torch
from torch import Tensor

from tncompile.planning.overheads import overheads
from tncompile.planning.probe import Probe, matrix

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


def probes() -> list[Probe]:
    """Everything that a profile needs."""
    calls = (replace(probe, usual=True) for probe in overheads())
    return [*_products(), *_batched(), *_streams(), *_rows(), *calls]


# ── products ────────────────────────────────────────────────────────────────────────────────────


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
