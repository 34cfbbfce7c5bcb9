"""The probes of convolutions, and the costs that explain their seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tncompile.machine.call_probes import Key, Point, Probe
from tncompile.machine.convolution import (
    PASSES,
    Convolution,
    ConvolutionCost,
    ConvolutionKernel,
    ConvolutionPass,
    amounts,
    kernel_for,
)
from tncompile.machine.profile import CPU

DENSE = (
    (2, 1, 16, 16, 3, 3, 4, 4),
    (16, 1, 32, 32, 1, 1, 2, 2),
    (16, 1, 3, 32, 3, 3, 28, 28),
    (16, 1, 16, 16, 3, 3, 14, 14),
    (16, 1, 8, 8, 3, 3, 28, 28),
    (16, 1, 64, 16, 1, 1, 14, 14),
    (16, 1, 16, 64, 1, 1, 28, 28),
    (4, 1, 64, 64, 3, 3, 14, 14),
    (4, 1, 8, 128, 3, 3, 14, 14),
    (4, 1, 128, 8, 3, 3, 14, 14),
    (16, 1, 64, 64, 1, 1, 7, 7),
    (16, 1, 64, 8, 1, 1, 56, 56),
    (16, 1, 8, 64, 1, 1, 56, 56),
    (16, 1, 8, 8, 3, 3, 56, 56),
    (4, 1, 64, 64, 3, 3, 28, 28),
    (16, 1, 32, 64, 3, 3, 28, 28),
    (8, 1, 128, 128, 3, 3, 7, 7),
    (1, 1, 256, 256, 3, 3, 10, 10),
    (16, 1, 256, 64, 1, 1, 7, 7),
    (16, 1, 64, 256, 1, 1, 7, 7),
    (1, 1, 64, 64, 3, 3, 28, 28),
    (16, 1, 512, 256, 1, 1, 7, 7),
    (1, 1, 512, 512, 3, 3, 7, 7),
    (16, 1, 32, 32, 3, 1, 14, 14),
    (16, 1, 32, 32, 1, 3, 14, 14),
    (4, 1, 24, 40, 3, 3, 28, 28),
    (4, 4, 16, 16, 3, 3, 14, 14),
    (2, 1, 16, 32, 3, 3, 3, 8, 8, 8),
)
"""Rows, groups, channels of source and result in a group, kernel, lengths."""

GROUPED = (
    (2, 4, 8, 8, 3, 3, 4, 4),
    (4, 8, 8, 8, 3, 3, 14, 14),
    (16, 16, 2, 2, 3, 3, 14, 14),
    (4, 4, 32, 4, 3, 3, 14, 14),
    (4, 4, 4, 32, 3, 3, 14, 14),
    (4, 8, 16, 2, 3, 3, 28, 28),
    (4, 8, 2, 16, 3, 3, 28, 28),
    (16, 8, 4, 4, 3, 3, 14, 14),
    (1, 2, 24, 24, 3, 3, 28, 28),
    (16, 4, 4, 8, 1, 1, 28, 28),
    (1, 32, 2, 8, 3, 3, 14, 14),
    (2, 16, 8, 4, 3, 3, 14, 14),
    (2, 4, 48, 24, 3, 3, 14, 14),
)

DEPTHWISE = (
    (2, 16, 1, 1, 3, 3, 4, 4),
    (2, 32, 1, 1, 1, 3, 4, 4),
    (16, 64, 1, 1, 3, 3, 14, 14),
    (16, 16, 1, 1, 3, 1, 28, 28),
    (16, 16, 1, 1, 1, 3, 28, 28),
    (16, 8, 1, 1, 3, 3, 28, 28),
    (16, 256, 1, 1, 1, 3, 7, 7),
    (16, 256, 1, 1, 3, 3, 7, 7),
    (1, 64, 1, 1, 3, 3, 28, 28),
    (4, 128, 1, 1, 3, 1, 14, 14),
    (1, 512, 1, 1, 3, 3, 7, 7),
    (16, 32, 1, 1, 3, 1, 56, 56),
    (16, 32, 1, 1, 3, 3, 56, 56),
)

OTHER_DEPTHWISE = (
    (4, 64, 1, 1, 5, 5, 7, 7),
    (2, 16, 1, 1, 5, 5, 14, 14),
    (1, 64, 1, 1, 5, 5, 14, 14),
    (2, 32, 1, 1, 3, 1, 1, 4, 4, 4),
    (2, 16, 1, 1, 3, 3, 3, 4, 4, 4),
    (1, 8, 1, 1, 1, 3, 1, 8, 8, 8),
)

COLUMNS = (
    (1, 1, 16, 16, 3, 3, 14, 14),
    (1, 1, 64, 64, 3, 3, 7, 7),
    (1, 1, 16, 64, 3, 3, 28, 28),
    (1, 1, 64, 16, 3, 3, 14, 14),
    (1, 1, 8, 32, 3, 1, 28, 28),
    (1, 1, 32, 32, 3, 1, 14, 14),
    (1, 1, 256, 256, 3, 1, 7, 7),
    (1, 1, 256, 256, 3, 3, 7, 7),
    (1, 1, 8, 64, 1, 1, 56, 56),
    (1, 1, 6, 64, 3, 3, 56, 56),
    (1, 1, 16, 16, 3, 1, 7, 7),
)

ROUNDS = 6
"""Rounds of least squares."""

LEAST_ERROR = 0.1
"""Relative error up to which all probes are trusted equally."""

BUSY = 16
"""How many times as many rows keep a device other than a CPU busy."""


def sizes_of(point: Point) -> Convolution:
    """The convolution of a probe, padded so that lengths stay."""
    rows, groups, summed, columns, *lengths = point
    half = len(lengths) // 2
    kernel, lengths_in = tuple(lengths[:half]), tuple(lengths[half:])
    return Convolution(rows, groups, summed, columns, kernel, lengths_in, lengths_in)


def points(device: str) -> dict[ConvolutionKernel, tuple[Point, ...]]:
    """The sizes that are probed on a device, by the kernel that at least one pass runs in."""
    found: dict[ConvolutionKernel, tuple[Point, ...]] = {
        "dense": DENSE,
        "grouped": GROUPED,
        "depthwise": DEPTHWISE,
        "other depthwise": OTHER_DEPTHWISE,
        "columns": COLUMNS,
    }
    if device == CPU:
        return found
    return {
        kernel: tuple((BUSY * rows, *rest) for rows, *rest in shapes)
        for kernel, shapes in found.items()
        if kernel != "columns"
    }


def probe_name(which: ConvolutionPass, channels_last: bool) -> str:
    """The name of the probes of a pass in a format."""
    return f"convolution {which} {'channels-last' if channels_last else 'row-major'}"


def convolution_probes(device: str) -> Iterator[Probe]:
    """A call of each pass in each format."""
    for kernel, shapes in points(device).items():
        for which in PASSES:
            for last in (False, True):
                for point in shapes:
                    if _runs_in(kernel, point, which, device):
                        make = partial(_convolution, point, which, last)
                        yield Probe(probe_name(which, last), point, make)


def _runs_in(kernel: ConvolutionKernel, point: Point, which: ConvolutionPass, device: str) -> bool:
    """Whether a pass is computed by a kernel, on a CPU of several threads."""
    sizes = sizes_of(point)
    return kernel_for(sizes, which, device != CPU or sizes.in_onednn(4, threads=2)) == kernel


def _formatted(tensor: Tensor, channels_last: bool) -> Tensor:
    """(N, channels, lengths…) in one of the two formats."""
    return tensor.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else tensor


def _convolution(point: Point, which: ConvolutionPass, channels_last: bool) -> Callable[[], object]:
    sizes = sizes_of(point)
    channels = sizes.groups * sizes.columns
    weight = torch.full((channels, sizes.summed, *sizes.kernel), 0.5)
    image = torch.full((sizes.rows, sizes.groups * sizes.summed, *sizes.lengths_in), 0.5)
    image, weight = (_formatted(tensor, channels_last) for tensor in (image, weight))
    axes = len(sizes.kernel)
    numbers: tuple[Any, ...] = (
        [1] * axes, [length // 2 for length in sizes.kernel], [1] * axes, False, [0] * axes,
        sizes.groups,
    )  # fmt: skip
    aten: Any = torch.ops.aten  # its calls have no types
    if which == "forward":
        return lambda: aten.convolution(image, weight, None, *numbers)
    result = torch.full((sizes.rows, channels, *sizes.lengths_out), 0.5)
    gradient = _formatted(result, channels_last)
    wanted = [which == "input", which == "weight", False]
    return lambda: aten.convolution_backward(gradient, image, weight, None, *numbers, wanted)


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────


def convolution_costs(
    seconds: Mapping[Key, float],
    device: str,
    work: Callable[[str, Point, float], float],
) -> tuple[ConvolutionCost, ...]:
    """The costs that explain the seconds of all probes.

    `work` gives the seconds of one, by name, sizes and bytes, without the call and cache misses.
    """
    costs: list[ConvolutionCost] = []
    for kernel, shapes in points(device).items():
        for last in (False, True):
            for which in PASSES:
                name = probe_name(which, last)
                held = [point for point in shapes if _runs_in(kernel, point, which, device)]
                if held:
                    rows = [amounts(sizes_of(point), which, kernel) for point in held]
                    times = [work(name, p, sizes_of(p).streamed(last, 4)) for p in held]
                    costs.append(ConvolutionCost(kernel, last, which, *_explained(rows, times)))
    fastest = {(cost.channels_last, cost.which): cost.product for cost in costs[: 2 * len(PASSES)]}
    return tuple(
        replace(cost, product=max(cost.product, fastest[cost.channels_last, cost.which]))
        if cost.kernel == "grouped"  # few and small probes say little of large ones
        else cost
        for cost in costs
    )


def _explained(rows: list[tuple[float, ...]], times: list[float]) -> list[float]:
    """Non-negative figures whose sums, times the amounts, have the least relative errors.

    Least squares, from which the most negative figure is left out until there is none. Rounds after
    the first trust a probe less the farther it is off, so that what no cost explains pulls little.
    """
    relative = torch.tensor(rows, dtype=torch.float64) / torch.tensor(times)[:, None]
    scale = relative.amax(0).clamp(min=1e-300)
    relative = relative / scale
    trust = torch.ones(len(times), 1, dtype=torch.float64)
    for _ in range(ROUNDS):
        held = [k for k in range(len(scale)) if relative[:, k].any()]
        while True:
            found = torch.linalg.lstsq(relative[:, held] * trust, trust).solution[:, 0]
            if found.min() >= 0 or len(held) == 1:
                break
            held.pop(int(found.argmin()))
        errors = (relative[:, held] @ found - 1).abs()[:, None]
        trust = errors.clamp(min=LEAST_ERROR).rsqrt()
    figures = [0.0] * len(rows[0])
    for k, figure in zip(held, found.tolist(), strict=True):
        figures[k] = max(0.0, figure) / float(scale[k])
    return figures
