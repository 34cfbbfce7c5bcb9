"""The probes of convolutions, and the costs that explain their seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from tncompile.machine.call_probes import Key, Probe
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
    (16, 1, 3, 32, 3, 3, 28, 28),
    (16, 1, 16, 16, 3, 3, 14, 14),
    (16, 1, 8, 8, 3, 3, 28, 28),
    (16, 1, 64, 16, 1, 1, 14, 14),
    (16, 1, 16, 64, 1, 1, 28, 28),
    (4, 1, 64, 64, 3, 3, 14, 14),
    (4, 1, 8, 128, 3, 3, 14, 14),
    (4, 1, 128, 8, 3, 3, 14, 14),
    (16, 1, 64, 64, 1, 1, 7, 7),
    (8, 1, 128, 128, 3, 3, 7, 7),
    (1, 1, 256, 256, 3, 3, 10, 10),
    (4, 1, 256, 64, 1, 1, 14, 14),
    (4, 1, 64, 256, 1, 1, 14, 14),
    (1, 1, 64, 64, 3, 3, 28, 28),
    (2, 1, 512, 512, 1, 1, 7, 7),
    (1, 1, 512, 256, 3, 3, 7, 7),
    (16, 1, 32, 32, 3, 1, 14, 14),
    (16, 1, 32, 32, 1, 3, 14, 14),
    (4, 1, 24, 40, 3, 3, 28, 28),
    (4, 4, 16, 16, 3, 3, 14, 14),
    (4, 8, 8, 8, 3, 3, 14, 14),
    (2, 1, 16, 32, 3, 3, 3, 8, 8, 8),
)
"""Rows, groups, channels of source and result in a group, kernel, lengths."""

DEPTHWISE = (
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
    (1, 1, 16, 16, 3, 1, 7, 7),
)

BUSY = 16
"""How many times as many rows keep a device other than a CPU busy."""


def sizes_of(point: tuple[int, ...]) -> Convolution:
    """The convolution of a probe, padded so that lengths stay."""
    rows, groups, summed, columns, *lengths = point
    half = len(lengths) // 2
    kernel, lengths_in = tuple(lengths[:half]), tuple(lengths[half:])
    return Convolution(rows, groups, summed, columns, kernel, lengths_in, lengths_in)


def points(device: str) -> dict[ConvolutionKernel, tuple[tuple[int, ...], ...]]:
    """The sizes that are probed on a device, by the kernel that at least one pass runs in."""
    found: dict[ConvolutionKernel, tuple[tuple[int, ...], ...]] = {
        "dense": DENSE,
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
                    if _kernel(point, which) == kernel or device != CPU:
                        make = partial(_convolution, point, which, last)
                        yield Probe(probe_name(which, last), point, make)


def _kernel(point: tuple[int, ...], which: ConvolutionPass) -> ConvolutionKernel:
    sizes = sizes_of(point)
    return kernel_for(sizes, which, sizes.in_onednn(4, 2))


def _formatted(tensor: Tensor, channels_last: bool) -> Tensor:
    """(N, channels, lengths…) in one of the two formats."""
    return tensor.movedim(1, -1).contiguous().movedim(-1, 1) if channels_last else tensor


def _convolution(
    point: tuple[int, ...], which: ConvolutionPass, channels_last: bool
) -> Callable[[], object]:
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
    work: Callable[[str, tuple[int, ...]], float],
) -> tuple[ConvolutionCost, ...]:
    """The costs that explain the seconds of all probes; `work` takes calls and misses off them."""
    costs: list[ConvolutionCost] = []
    for kernel, shapes in points(device).items():
        for last in (False, True):
            for which in PASSES:
                name = probe_name(which, last)
                held = [
                    point for point in shapes
                    if (name, point) in seconds and (device != CPU or _kernel(point, which) == kernel)
                ]  # fmt: skip
                if held:
                    rows = [amounts(sizes_of(point), which, kernel) for point in held]
                    times = [work(name, point) for point in held]
                    costs.append(ConvolutionCost(kernel, last, which, *_explained(rows, times)))
    return tuple(costs)


def _explained(rows: list[tuple[float, ...]], times: list[float]) -> list[float]:
    """Non-negative figures whose sums, times the amounts, have the least relative errors.

    Least squares, from which the most negative figure is left out until there is none.
    """
    relative = torch.tensor(rows, dtype=torch.float64) / torch.tensor(times)[:, None]
    scale = relative.amax(0)
    relative = relative / scale.clamp(min=1e-300)
    held = [k for k, most in enumerate(scale.tolist()) if most > 0]
    while True:
        due = torch.ones(len(times), 1, dtype=torch.float64)
        found = torch.linalg.lstsq(relative[:, held], due).solution[:, 0]
        if found.min() >= 0 or len(held) == 1:
            break
        held.pop(int(found.argmin()))
    figures = [0.0] * len(rows[0])
    for k, figure in zip(held, found.tolist(), strict=True):
        figures[k] = max(0.0, figure) / float(scale[k])
    return figures
