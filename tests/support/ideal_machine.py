"""A machine whose times are known."""

from __future__ import annotations

import math

from tncompile.machine.call_probes import Probe
from tncompile.machine.convolution import (
    PASSES,
    ConvolutionCost,
    ConvolutionKernel,
    ConvolutionPass,
    amounts,
    kernel_for,
)
from tncompile.machine.convolution_probes import sizes_of
from tncompile.machine.probes import SIZES, Sizes, batch_count, small_count

RATE, CALL = 100e9, 1e-6


def convolution_cost(
    kernel: ConvolutionKernel, channels_last: bool, which: ConvolutionPass
) -> ConvolutionCost:
    """What convolutions take on it: channels-last ones start sooner and read faster."""
    start, number = (1e-5, 4 / RATE) if channels_last else (2e-5, 12 / RATE)
    return ConvolutionCost(kernel, channels_last, which, start, 2 / RATE, 0.0, number, 4 / RATE)


def ideal(probe: Probe, held: Sizes = SIZES["cpu"]) -> float:
    """The seconds on a machine of one rate, where calls take a microsecond."""
    match probe.name.split()[0], probe.sizes:
        case "product", (rows, inner, columns):
            return CALL + 2 * rows * inner * columns / RATE
        case "batched", (rows, inner, columns):
            return CALL + 2 * batch_count(probe.sizes, held) * rows * inner * columns / RATE
        case "small", sizes:
            return CALL + 2 * small_count(sizes) * math.prod(sizes) / RATE
        case "pass" | "copy" | "allocation", (count, *_):
            return CALL + count / RATE
        case "sum", _:
            return CALL + held.summed / RATE
        case "gather" | "scatter", _:
            return CALL + held.picked / RATE
        case "convolution", point:
            form = probe.name.split()[2]
            which = next(each for each in PASSES if each == probe.name.split()[1])
            sizes, last = sizes_of(point), form == "channels-last"
            kernel = kernel_for(sizes, which, sizes.in_onednn(4, threads=2))
            return CALL + convolution_cost(kernel, last, which).seconds(
                amounts(sizes, which, kernel)
            )
        case _, (length,):
            return 5e-6 * length
    return 2e-6
