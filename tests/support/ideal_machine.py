"""A machine whose times are known."""

from __future__ import annotations

import math

from tncompile.machine.call_probes import Probe
from tncompile.machine.probes import SIZES, Sizes, batch_count, small_count

RATE, CALL = 100e9, 1e-6


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
        case _, (length,):
            return 5e-6 * length
    return 2e-6
