"""The probes of a calibration: single calls of torch, each on operands of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import cycle, product

import torch
from torch import Tensor

from tncompile.machine.call_probes import Probe, matrix, overhead_probes
from tncompile.machine.convolution_probes import convolution_probes
from tncompile.machine.profile import CPU, CUDA


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes that a kind of device is measured at."""

    rows: tuple[int, ...]
    inner: tuple[int, ...]
    columns: tuple[int, ...]  # BLAS varies most where they are narrow
    most: int  # numbers of a product; larger ones are left out
    matrices: int  # matrices of a batch at most
    numbers: int  # numbers of a batch
    passes: tuple[int, ...]  # bytes that an elementwise product reads and writes
    copies: tuple[int, ...]  # bytes of a copy
    beyond: int  # bytes of all sources of copies
    summed: int  # bytes that a sum reads
    picked: int  # bytes of rows selected by id


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
"""Products that `bmm` computes itself."""

RUNS = (4, 16, 64, 256, 2048)
"""Bytes of a contiguous run in a copy."""

SPREAD = 2**20
"""Bytes from which a probe alternates among sources."""

SUMMED = (8, 32, 256, 4096)
"""Bytes of a row that is summed."""

PICKED = (4, 32, 256, 4096)
"""Bytes of a row selected by id."""

FAULTED = 2**26
"""Bytes of an allocation that is always new memory."""

RESIDENT = 3 * 2**23
"""Bytes of an allocation that never is."""

BROADCAST = (512, 4)
"""The number of outer products formed at a time, and the length of their vectors."""

ORDERS = ((0, 2, 1), (1, 2, 0), (2, 1, 0))
"""Permutations that leave no two elements together; the first takes a third of the others."""

SIDES = {"plain": (False, False), "left turned": (True, False), "right turned": (False, True)}
"""Which operands of a product are column-major."""


def probes(device: str = CPU) -> list[Probe]:
    """Every probe that a profile needs."""
    sizes = SIZES[device]
    work = (
        _products(sizes),
        _batched(sizes),
        _streams(sizes, device),
        _rows(sizes),
        convolution_probes(device),
    )
    return [*(probe for group in work for probe in group), *overhead_probes()]


# ── products ────────────────────────────────────────────────────────────────────────────────────


def numbers_of(sizes: tuple[int, ...]) -> int:
    """The number of elements of the operands and the result of a product."""
    rows, inner, columns = sizes
    return rows * inner + inner * columns + rows * columns


def batch_count(point: tuple[int, ...], sizes: Sizes) -> int:
    """The matrices of a batch that stays in the cache, or fills a device; at least four."""
    return min(sizes.matrices, max(4, sizes.numbers // numbers_of(point)))


def small_count(sizes: tuple[int, ...]) -> int:
    """The matrices of a batch that torch multiplies itself, on one thread."""
    return 2**14 // math.prod(sizes)


def _product(
    point: tuple[int, ...], count: int = 0, left: bool = False, right: bool = False
) -> Callable[[], object]:
    """`mm`, or `bmm` of `count` matrices; `left` and `right` operands may be column-major."""
    rows, inner, columns = point
    first, second = matrix(rows, inner, left, count), matrix(inner, columns, right, count)
    multiply = torch.bmm if count else torch.mm
    return lambda: multiply(first, second)


def _products(sizes: Sizes) -> Iterator[Probe]:
    transposed = (*product(TURNED_ROWS, TURNED_INNER, TURNED_COLUMNS),)
    grid = (*product(sizes.rows, sizes.inner, sizes.columns), *transposed)
    plain = dict.fromkeys(point for point in grid if numbers_of(point) <= sizes.most)
    for name, sides in SIDES.items():
        for point in plain if name == "plain" else transposed:
            yield Probe(f"product {name}", point, partial(_product, point, 0, *sides))


def _batched(sizes: Sizes) -> Iterator[Probe]:
    transposed = (*product(BATCHED_TURNED, repeat=3),)
    plain = dict.fromkeys((*product(BATCHED, repeat=3), *transposed))
    for name, sides in SIDES.items():
        for point in plain if name == "plain" else transposed:
            make = partial(_product, point, batch_count(point, sizes), *sides)
            yield Probe(f"batched {name}", point, make)
    yield Probe("two matrices", (), partial(_product, (16, 16, 16), 2))
    for point in SMALL:
        yield Probe("small", point, partial(_product, point, small_count(point)))


# ── passes and copies ───────────────────────────────────────────────────────────────────────────


def _alternating(
    size: int, beyond: int, make: Callable[[], tuple[Tensor, ...]]
) -> Iterator[tuple[Tensor, ...]]:
    """Sources of `size` bytes, another one each time, so that large ones are not in the cache.

    What a program reads was written a few operations before, at best.
    """
    return cycle([make() for _ in range(1 if size < SPREAD else math.ceil(beyond / size))])


def _pass(size: int, beyond: int) -> Callable[[], object]:
    full = partial(torch.full, (size // 12,), 0.5)
    pairs = _alternating(size, beyond, lambda: (full(), full()))
    return lambda: torch.mul(*next(pairs))


def _broadcast() -> Callable[[], object]:
    count, side = BROADCAST
    left, right = torch.full((count, side, 1), 0.5), torch.full((count, 1, side), 0.5)
    return lambda: left * right


def _side(limit: int) -> int:
    """The least power of two whose square is at least `limit`."""
    return 1 << ((limit - 1).bit_length() + 1) // 2


def _copy(size: int, run: int, beyond: int) -> Callable[[], object]:
    """Four tensors (outer, inner, run) side by side, outer and inner axes exchanged."""
    side = _side(math.ceil(size // 4 / run))
    shape = (4, side, size // (4 * side * run), run // 4)
    sources = _alternating(size, beyond, lambda: (torch.full(shape, 0.5).permute(0, 2, 1, 3),))
    return lambda: next(sources)[0].clone(memory_format=torch.contiguous_format)


def _transposed(size: int, beyond: int) -> Callable[[], object]:
    """Three transpositions of a tensor of 16 times equally many rows and columns."""
    side = _side(math.ceil(size / 64))
    shape = (16, side, size // (64 * side))
    sources = _alternating(size, beyond, lambda: (torch.full(shape, 0.5),))

    def run() -> None:
        for order in ORDERS:
            next(sources)[0].permute(order).contiguous()

    return run


def _sum(row: int, size: int) -> Callable[[], object]:
    source = torch.full((size // row, row // 4), 0.5)
    return lambda: source.sum(1)


def _allocation(size: int) -> Callable[[], object]:
    return lambda: torch.zeros(size, dtype=torch.uint8)


def _streams(sizes: Sizes, device: str) -> Iterator[Probe]:
    for size in sizes.passes:
        yield Probe("pass", (size,), partial(_pass, size, sizes.beyond))
    yield Probe("broadcast", (), _broadcast)
    single, *runs = RUNS
    for size in sizes.copies:
        make = partial(_transposed, size, sizes.beyond)
        yield Probe("copy", (size, single), make, calls=len(ORDERS))
        for run in runs:
            yield Probe("copy", (size, run), partial(_copy, size, run, sizes.beyond))
    for row in SUMMED:
        yield Probe("sum", (row,), partial(_sum, row, sizes.summed))
    if device == CPU:  # elsewhere torch hands out the memory
        for size in (FAULTED, RESIDENT):
            yield Probe("allocation", (size,), partial(_allocation, size))


# ── rows by id ──────────────────────────────────────────────────────────────────────────────────


def _by_id(row: int, picked: int, scattered: bool) -> Callable[[], object]:
    """Rows of a table selected, or added to it, by ids that are spread over it."""
    table, ids = torch.full((1024, row // 4), 0.5), torch.arange(picked // row) * 389 % 1024
    rows = torch.full((len(ids), row // 4), 0.5)
    return lambda: table.index_add_(0, ids, rows) if scattered else table.index_select(0, ids)


def _rows(sizes: Sizes) -> Iterator[Probe]:
    for row in PICKED:
        yield Probe("gather", (row,), partial(_by_id, row, sizes.picked, False))
        yield Probe("scatter", (row,), partial(_by_id, row, sizes.picked, True))
