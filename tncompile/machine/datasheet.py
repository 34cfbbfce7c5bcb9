"""A profile of CUDA devices from a data sheet, so that plans are the same on every machine.

A time is that of arithmetic or of memory traffic, whichever is longer (the roofline of Williams,
Waterman and Patterson, 2009). Products are rounded up to tiles; no kernel is shorter than `KERNEL`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from itertools import product

from tncompile.machine.convolution import ConvolutionCost, expected_costs
from tncompile.machine.grid import Grid
from tncompile.machine.profile import BUILTIN, CUDA, ENDLESS, MachineProfile

FLOPS = 67e12
"""Float32 operations a second of an NVIDIA H100 SXM by its data sheet (torch has TF32 off)."""

BANDWIDTH = 3.35e12
"""Bytes a second of its memory by the same sheet."""

REACHED = 0.75
"""Share of either that large products and long copies reach."""

PROCESSORS = 132
"""Streaming multiprocessors; each computes one tile of a product at a time."""

TILE, SMALL_TILE = 64, 16
"""Sides of a tile of one product, and of one of many small products in a batch."""

DEPTH = 256
"""Length of the part of a sum that one processor computes of a tile."""

KERNEL = 2.5e-6
"""Seconds of the shortest kernel."""

DEPTHWISE = 8
"""How much longer a multiply-add takes in a depthwise convolution, which no product computes."""

LAUNCH = 4e-6
"""Seconds to launch a kernel, beyond a call on the processor."""

SECTOR = 32
"""Bytes of the smallest memory transaction."""

SIZES = (1, 4, 16, 64, 256, 1024, 4096, 2**14, 2**17, 2**20)
BATCHED = (1, 4, 16, 64, 256)
BYTES = (2**14, 2**17, 2**20, 2**23, 2**26, 2**29)
RUNS = (4, 16, 64, 256)

ONES = Grid(((1,),) * 3, (1.0,))
"""Factors of transposed operands: cuBLAS takes either order equally well."""


@cache
def nominal_cuda() -> MachineProfile:
    """The profile of `--machine cuda`, the default for modules on a CUDA device.

    Its host is that of the built-in profile. `tncompile calibrate --cuda` measures a device.
    """
    return replace(
        BUILTIN,
        name="nominal-cuda",
        fitted_on="figures of an NVIDIA H100's data sheet, not measured",
        device=CUDA,
        products=_grid(_product_rate, SIZES, SIZES, SIZES),
        batched=_grid(partial(_product_rate, batched=True), *(BATCHED,) * 3),
        left_turned=ONES,
        right_turned=ONES,
        batched_left_turned=ONES,
        batched_right_turned=ONES,
        convolutions=_convolutions(),
        small_products=FLOPS / 1e9,
        threads=1,
        passes=_grid(lambda size: size / _stream_seconds(size), BYTES),
        reductions=_grid(_row_rate, RUNS),
        copies=_grid(lambda size, run: size / _stream_seconds(2 * size / _used(run)), BYTES, RUNS),
        gathers=_grid(lambda row: _row_rate(row) / 2, RUNS),
        scatters=_grid(lambda row: _row_rate(row) / 3, RUNS),
        row=1e-13,
        faults=BANDWIDTH / 1e9,
        fresh=ENDLESS,
        kept=ENDLESS,
        call=BUILTIN.call + LAUNCH,
        backward_call=BUILTIN.backward_call + LAUNCH,
        batch_start=KERNEL,
    )


def _grid(rate: Callable[..., float], *axes: tuple[int, ...]) -> Grid:
    """10⁹ a second at every point of the axes."""
    return Grid(axes, tuple(rate(*point) / 1e9 for point in product(*axes)))


def _product_rate(rows: int, inner: int, columns: int, *, batched: bool = False) -> float:
    """Operations a second of one product, alone on the device or one of many that keep it busy."""
    side = SMALL_TILE if batched and min(rows, columns) < TILE else TILE
    tiles = math.ceil(rows / side) * math.ceil(columns / side)
    busy = 1.0 if batched else min(1.0, tiles * max(1, inner // DEPTH) / PROCESSORS)
    depth = max(inner, 8) if batched else inner
    compute = 2 * tiles * side**2 * depth / (REACHED * FLOPS * busy)
    traffic = 4 * (rows * inner + inner * columns + rows * columns) / (REACHED * BANDWIDTH)
    return 2 * rows * inner * columns / ((0.0 if batched else KERNEL) + max(compute, traffic))


def _convolutions() -> tuple[ConvolutionCost, ...]:
    """Arithmetic and traffic of every kernel of cuDNN, which copies channels-last operands.

    Depthwise ones compute little for each number that they read.
    """
    product, number = 2 / (REACHED * FLOPS), 4 / (REACHED * BANDWIDTH)
    return tuple(
        ConvolutionCost(
            kernel,
            last,
            which,
            start=KERNEL,
            product=product * (1 if kernel == "dense" else DEPTHWISE),
            short_sum=0.0,
            number=number * (2 if last else 1),
            weight=number,
        )
        for kernel, last, which in sorted(expected_costs(columns=False))
    )


def _stream_seconds(size: float) -> float:
    """Seconds of a kernel that reads and writes `size` bytes in all."""
    return KERNEL + size / (REACHED * BANDWIDTH)


def _used(run: int) -> float:
    """The share of transferred bytes that is used, in contiguous runs of `run` bytes."""
    return min(1.0, run / SECTOR)


def _row_rate(row: int) -> float:
    """Bytes a second of scattered rows of `row` bytes."""
    return REACHED * BANDWIDTH * _used(row)
