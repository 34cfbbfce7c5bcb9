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
from torch import Tensor

from tncompile.machine.call_probes import overheads
from tncompile.machine.probe import Probe, matrix
from tncompile.machine.profile import CPU, CUDA


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a device is measured at.

    Sizes of products (narrow columns are where BLAS differs most), of which those of more than
    `most` numbers are left out; how many matrices a batch has at most and how many numbers it is to
    have; bytes that an elementwise product reads and writes, bytes of copies and of all their
    sources together, bytes that are summed and bytes of rows picked by number.
    """

    rows: tuple[int, ...]
    inner: tuple[int, ...]
    columns: tuple[int, ...]
    most: int
    matrices: int
    numbers: int
    passes: tuple[int, ...]
    copies: tuple[int, ...]
    beyond: int
    summed: int
    picked: int


LONG = (1, 8, 64, 1024, 2**14, 2**18)

SIZES = {
    CPU: Sizes(
        rows=(1, 2, 8, 32, 256, 1024),
        inner=(1, 4, 16, 64, 256, 1024),
        columns=(1, 2, 8, 16, 64, 256, 1024),
        most=2**62,
        matrices=256,
        numbers=2**18,
        passes=(2**14, 2**16, *(3 * 2**k for k in (18, 20, 22, 23, 24)), 75 * 2**20),
        copies=(2**14, 2**16, 2**18, 2**22, 2**23, 2**24),
        beyond=2**25,
        summed=2**22,
        picked=2**20,
    ),
    # Batches stand where rows do, and in gradients where numbers are summed: both grow long.
    CUDA: Sizes(
        rows=LONG,
        inner=LONG,
        columns=LONG,
        most=2**26,
        matrices=2**16,
        numbers=2**24,
        passes=tuple(3 * 2**k for k in (14, 17, 20, 22, 24, 26)),
        copies=(2**16, 2**20, 2**22, 2**24, 2**26, 2**28),
        beyond=2**28,
        summed=2**26,
        picked=2**26,
    ),
}

TURNED_ROWS = (1, 2, 8, 64, 1024)
TURNED_INNER = (4, 64, 1024)
TURNED_COLUMNS = (1, 2, 8, 16, 64, 1024)

BATCHED = (1, 2, 8, 12, 16, 64, 256)
BATCHED_TURNED = (1, 4, 16, 64)

SMALL = ((4, 4, 4), (1, 8, 8), (8, 8, 1), (1, 16, 16), (6, 6, 6))
"""Products that `bmm` does not leave to BLAS."""

RUNS = (4, 16, 64, 256, 2048)
"""Bytes that lie together in copies."""

SPREAD = 2**20
"""Bytes from which sources are read by turns."""

SUMMED = (8, 32, 256, 4096)
PICKED = (4, 32, 256, 4096)
"""Bytes of rows that are summed, and of rows picked by number."""

FAULTED = 2**26
RESIDENT = 3 * 2**23
"""Bytes of an allocation that is always new memory, and of one that never is."""


def probes(device: str = CPU) -> list[Probe]:
    """Everything that a profile needs."""
    sizes = SIZES[device]
    calls = (replace(probe, usual=True) for probe in overheads())
    return [*_products(sizes), *_batched(sizes), *_streams(sizes, device), *_rows(sizes), *calls]


# ── products ────────────────────────────────────────────────────────────────────────────────────


def _product(sizes: tuple[int, ...], left: bool, right: bool) -> Callable[[], object]:
    rows, inner, columns = sizes
    first, second = matrix(rows, inner, left), matrix(inner, columns, right)
    return lambda: torch.mm(first, second)


def numbers_of(sizes: tuple[int, ...]) -> int:
    """How many numbers the operands and the result of a product have."""
    rows, inner, columns = sizes
    return rows * inner + inner * columns + rows * columns


def _products(held: Sizes) -> Iterator[Probe]:
    turned = (*product(TURNED_ROWS, TURNED_INNER, TURNED_COLUMNS),)
    grid = (*product(held.rows, held.inner, held.columns), *turned)
    plain = dict.fromkeys(point for point in grid if numbers_of(point) <= held.most)
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


def batch_count(sizes: tuple[int, ...], held: Sizes) -> int:
    """How many matrices a batch takes to stay in the cache, or to fill a device; at least four."""
    return min(held.matrices, max(4, held.numbers // numbers_of(sizes)))


def _batch(sizes: tuple[int, ...], count: int, left: bool, right: bool) -> Callable[[], object]:
    rows, inner, columns = sizes
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


def _batched(held: Sizes) -> Iterator[Probe]:
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
                partial(_batch, sizes, batch_count(sizes, held), left, right),
            )
    yield Probe("two matrices", (), _two_matrices)
    for sizes in SMALL:
        yield Probe("small", sizes, partial(_small_batch, sizes))


# ── passes and copies ───────────────────────────────────────────────────────────────────────────


def _by_turns(
    count: int, beyond: int, make: Callable[[], tuple[Tensor, ...]]
) -> Iterator[tuple[Tensor, ...]]:
    """Sources of `count` bytes, another one each time: large ones are not in the cache by then.

    What programs read has been written a few operations before, at best.
    """
    return cycle([make() for _ in range(1 if count < SPREAD else math.ceil(beyond / count))])


def _pass(count: int, beyond: int) -> Callable[[], object]:
    numbers = count // 12

    def make() -> tuple[Tensor, ...]:
        return torch.full((numbers,), 0.5), torch.full((numbers,), 0.5)

    sources = _by_turns(count, beyond, make)

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


def _copy(count: int, run: int, beyond: int) -> Callable[[], object]:
    """A tensor (outer, inner, run) with its first axes exchanged, four of them side by side."""
    side = 1
    while side * side * run < count // 4:
        side *= 2
    shape = (4, side, count // (4 * side * run), run // 4)
    sources = _by_turns(count, beyond, lambda: (torch.full(shape, 0.5).permute(0, 2, 1, 3),))
    return lambda: next(sources)[0].clone(memory_format=torch.contiguous_format)


def _transposed(count: int, beyond: int) -> Callable[[], object]:
    """Three transpositions of a tensor of 16 times equally many rows and columns."""
    side = 1
    while side * side * 64 < count:
        side *= 2
    shape = (16, side, count // (64 * side))
    sources = _by_turns(count, beyond, lambda: (torch.full(shape, 0.5),))

    def run() -> None:
        for order in ORDERS:
            next(sources)[0].permute(order).contiguous()

    return run


def _sum(row: int, count: int) -> Callable[[], object]:
    source = torch.full((count // row, row // 4), 0.5)
    return lambda: source.sum(1)


def _allocation(count: int) -> Callable[[], object]:
    return lambda: torch.zeros(count, dtype=torch.uint8)


def _streams(held: Sizes, device: str) -> Iterator[Probe]:
    for count in held.passes:
        yield Probe("pass", (count,), partial(_pass, count, held.beyond))
    yield Probe("broadcast", (), _broadcast)
    for count in held.copies:
        alone, *runs = RUNS
        make = partial(_transposed, count, held.beyond)
        yield Probe("copy", (count, alone), make, calls=len(ORDERS))
        for run in runs:
            yield Probe("copy", (count, run), partial(_copy, count, run, held.beyond))
    for row in SUMMED:
        yield Probe("sum", (row,), partial(_sum, row, held.summed))
    if device == CPU:  # elsewhere torch hands out the memory
        for count in (FAULTED, RESIDENT):
            yield Probe("allocation", (count,), partial(_allocation, count))


# ── rows by number ──────────────────────────────────────────────────────────────────────────────


def _ids(row: int, picked: int) -> tuple[Tensor, Tensor]:
    """A table and the numbers of the rows to pick, spread over it."""
    count = picked // row
    return torch.full((1024, row // 4), 0.5), torch.arange(count) * 389 % 1024


def _gather(row: int, picked: int) -> Callable[[], object]:
    table, ids = _ids(row, picked)
    return lambda: table.index_select(0, ids)


def _scatter(row: int, picked: int) -> Callable[[], object]:
    table, ids = _ids(row, picked)
    rows = torch.full((len(ids), row // 4), 0.5)
    return lambda: table.index_add_(0, ids, rows)


def _rows(held: Sizes) -> Iterator[Probe]:
    for row in PICKED:
        yield Probe("gather", (row,), partial(_gather, row, held.picked))
        yield Probe("scatter", (row,), partial(_scatter, row, held.picked))
