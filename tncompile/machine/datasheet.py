"""A profile of CUDA devices from figures of a data sheet, for plans that are equal everywhere.

Times are the longer one of arithmetic and memory traffic (the roofline of Williams, Waterman and
Patterson, 2009), with the tiles that products are computed in and the shortest kernel counted in.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product

from tncompile.machine.grid import Grid
from tncompile.machine.profile import BUILTIN, CUDA, ENDLESS, MachineProfile

FLOPS = 67e12
"""Operations a second in float32 of an NVIDIA H100 SXM by its data sheet (TF32 is off in torch)."""

BANDWIDTH = 3.35e12
"""Bytes a second of its memory, by the same sheet."""

REACHED = 0.75
"""What large products and long copies get of either."""

PROCESSORS = 132
"""Streaming multiprocessors, each with a tile of a product of its own."""

TILE, SMALL_TILE, DEPTH = 64, 16, 256
"""Sides of the tiles of one product, and of each of many in a batch; numbers summed in a go."""

KERNEL = 2.5e-6
"""Seconds of the shortest kernel."""

LAUNCH = 4e-6
"""Seconds that the host takes to start a kernel, on top of what a call takes on a processor."""

SECTOR = 32
"""Bytes that memory is read by: numbers that lie alone cost as much."""

SIZES = (1, 4, 16, 64, 256, 1024, 4096, 2**14, 2**17, 2**20)
BATCHED = (1, 4, 16, 64, 256)
BYTES = (2**14, 2**17, 2**20, 2**23, 2**26, 2**29)
RUNS = (4, 16, 64, 256)


@cache
def nominal_cuda() -> MachineProfile:
    """The profile that `--machine cuda` asks for, and modules on a CUDA device by default.

    The host is that of the built-in profile. `tncompile calibrate --cuda` measures a device.
    """
    return replace(
        BUILTIN,
        name="nominal-cuda",
        fitted_on="figures of an NVIDIA H100's data sheet, not measured",
        device=CUDA,
        products=_grid(_product_rate, SIZES, SIZES, SIZES),
        batched=_grid(_batched_rate, BATCHED, BATCHED, BATCHED),
        left_turned=_even(3),
        right_turned=_even(3),
        batched_left_turned=_even(3),
        batched_right_turned=_even(3),
        small_products=FLOPS / 1e9,
        threads=1,
        passes=_grid(lambda count: count / _streamed(count), BYTES),
        reductions=_grid(_sectors, RUNS),
        copies=_grid(lambda count, run: count / _streamed(2 * count / _share(run)), BYTES, RUNS),
        gathers=_grid(lambda row: _sectors(row) / 2, RUNS),
        scatters=_grid(lambda row: _sectors(row) / 3, RUNS),
        row=1e-13,
        faults=BANDWIDTH / 1e9,
        fresh=ENDLESS,
        kept=ENDLESS,
        call=BUILTIN.call + LAUNCH,
        backward_call=BUILTIN.backward_call + LAUNCH,
        batch_start=KERNEL,
    )


def _grid(rate: Callable[..., float], *axes: tuple[int, ...]) -> Grid:
    """Billions a second at every point."""
    return Grid(axes, tuple(rate(*point) / 1e9 for point in product(*axes)))


def _even(axes: int) -> Grid:
    """A factor of one everywhere: cuBLAS takes either order."""
    return Grid(((1,),) * axes, (1.0,))


def _product_rate(rows: int, inner: int, columns: int) -> float:
    """Operations a second of one product, which is all that the device does meanwhile."""
    tiles = math.ceil(rows / TILE) * math.ceil(columns / TILE)
    busy = min(1.0, tiles * max(1, inner // DEPTH) / PROCESSORS)
    done = 2 * tiles * TILE**2 * inner / (REACHED * FLOPS * busy)
    read = 4 * (rows * inner + inner * columns + rows * columns) / (REACHED * BANDWIDTH)
    return 2 * rows * inner * columns / (KERNEL + max(done, read))


def _batched_rate(rows: int, inner: int, columns: int) -> float:
    """Operations a second of one of many products, which keep all of the device busy."""
    side = TILE if min(rows, columns) >= TILE else SMALL_TILE
    tiles = math.ceil(rows / side) * math.ceil(columns / side)
    done = 2 * tiles * side**2 * max(inner, 8) / (REACHED * FLOPS)
    read = 4 * (rows * inner + inner * columns + rows * columns) / (REACHED * BANDWIDTH)
    return 2 * rows * inner * columns / max(done, read)


def _streamed(count: float) -> float:
    """Seconds of a kernel that reads and writes this many bytes together."""
    return KERNEL + count / (REACHED * BANDWIDTH)


def _share(run: int) -> float:
    """What of the bytes that a copy moves is wanted, where runs of `run` bytes stay together."""
    return min(1.0, run / SECTOR)


def _sectors(row: int) -> float:
    """Bytes a second of rows that lie apart."""
    return REACHED * BANDWIDTH * _share(row)
