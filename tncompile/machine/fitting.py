"""The machine profile that explains the seconds of probes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from itertools import product
from typing import Any

import torch

from tncompile.machine import call_probes, probes
from tncompile.machine.call_probes import Key, Point
from tncompile.machine.convolution_probes import convolution_costs
from tncompile.machine.grid import Grid
from tncompile.machine.profile import (
    CPU,
    ENDLESS,
    GIGA,
    SMALL_PRODUCT,
    MachineProfile,
    miss_seconds,
)

LEAST = 2e-8
"""Lower bound in seconds for a measured time after the call overhead is subtracted."""

SHARE = 0.15
"""Least share of a measured time that is work, however large the call overhead was measured."""

NARROW = 16
"""Rows or columns below which a transposed operand may make a product faster."""

MOST_AMID = 3.0
"""Upper bound for how much longer small calls take amid products: beyond, noise was measured."""

FRESH = 2**25
"""Bytes from which glibc maps an allocation anew."""

KEPT = 62 * 2**20
"""Bytes of freed memory that glibc's heap keeps."""


def fit(seconds: Mapping[Key, float], name: str, machine: str, device: str = CPU) -> MachineProfile:
    """The profile that explains the measured seconds of all probes of a device."""
    sizes, on_cpu = probes.SIZES[device], device == CPU
    call = 0.0  # what was replayed on another device is work alone
    if on_cpu:
        shortest = ("product plain", "batched plain")
        call = min(time for (kind, _), time in seconds.items() if kind in shortest)
    # `bmm` beyond `mm`; on a device its shortest kernel.
    single = seconds["product plain", (1, 16, 16)] if on_cpu else 0.0
    start = max(seconds["two matrices", ()] - single, LEAST)
    overheads = _overheads(seconds, on_cpu, start)

    def work(kind: str, *point: int, view: float = 0.0) -> float:
        """Seconds without the overhead of the call and of a view."""
        time = seconds[kind, point]
        return max(max(time - call, LEAST, SHARE * time) - view, SHARE * time)

    def rates(kind: str, axis: Point, size: int | None = None) -> Grid:
        """10⁹ bytes a second along an axis, of `size` bytes or of as many as the axis says."""
        return Grid((axis,), tuple((size or n) / work(kind, n) / GIGA for n in axis))

    passes = rates("pass", sizes.passes)

    def without_misses(time: float, size: float) -> float:
        """The seconds of work on `size` bytes as if they lay in the cache."""
        return max(time - miss_seconds(passes, size), 0.4 * time)

    def product_work(kind: str, point: Point) -> float:
        """Seconds of one product, alone or in a batch."""
        batched = kind.startswith("batched")
        count = probes.batch_count(point, sizes) if batched else 1
        time = work(kind, *point)
        if batched and (math.prod(point) >= SMALL_PRODUCT or not on_cpu):
            time = max(time - start, 0.2 * time)
        size = 4.0 * count * probes.numbers_of(point) if on_cpu else 0.0
        return without_misses(time, size) / count

    def products(kind: str, *axes: Point) -> Grid:
        def rate(point: Point) -> float:
            measured = list(point)  # or one nearby that was not too large to be measured
            while (kind, tuple(measured)) not in seconds:
                longest = measured.index(max(measured))
                smaller = axes[longest].index(measured[longest]) - 1
                measured[longest] = axes[longest][smaller]
            return 2e-9 * math.prod(measured) / product_work(kind, tuple(measured))

        by_point = {point: rate(point) for point in product(*axes)}
        most = max(rate for point, rate in by_point.items() if min(point) >= 64)
        return Grid(axes, tuple(min(rate, most) for rate in by_point.values()))

    def factors(kind: str, side: str, *axes: Point) -> Grid:
        plain, transposed = f"{kind} plain", f"{kind} {side} turned"
        ratios = {p: product_work(transposed, p) / product_work(plain, p) for p in product(*axes)}
        # Where a product is not narrow, a ratio below one is noise that plans would follow.
        least = {p: 0.1 if min(p[0], p[2]) < NARROW else 1.0 for p in ratios}
        return Grid(axes, tuple(min(10.0, max(least[p], ratio)) for p, ratio in ratios.items()))

    def convolution_work(kind: str, point: Point, streamed: float) -> float:
        """Seconds of a convolution that goes through so many bytes."""
        return without_misses(work(kind, *point), streamed if on_cpu else 0.0)

    axes = (probes.TURNED_ROWS, probes.TURNED_INNER, probes.TURNED_COLUMNS)
    batched_axes = (probes.BATCHED_TURNED,) * 3
    view = overheads["view_call"] if on_cpu else 0.0
    copies = tuple(
        size / work("copy", size, run, view=view) / GIGA
        for size, run in product(sizes.copies, probes.RUNS)
    )
    fault = 1e-9 / passes.figures[-1]
    if on_cpu:
        fault = seconds["allocation", (probes.FAULTED,)] / probes.FAULTED
        fault -= seconds["allocation", (probes.RESIDENT,)] / probes.RESIDENT
    count, side = probes.BROADCAST
    row = work("broadcast") - 4e-9 * count * side * (side + 2) / passes.figures[0]
    small = [
        2e-9 * probes.small_count(point) * math.prod(point) / work("small", *point)
        for point in probes.SMALL
    ]
    return MachineProfile(
        name=name,
        fitted_on=machine,
        device=device,
        products=products("product plain", sizes.rows, sizes.inner, sizes.columns),
        left_turned=factors("product", "left", *axes),
        right_turned=factors("product", "right", *axes),
        batched=products("batched plain", *(probes.BATCHED,) * 3),
        batched_left_turned=factors("batched", "left", *batched_axes),
        batched_right_turned=factors("batched", "right", *batched_axes),
        small_products=statistics.geometric_mean(small),
        convolutions=convolution_costs(seconds, device, convolution_work),
        row=max(row / (count * side), 1e-10 if on_cpu else 1e-13),
        threads=torch.get_num_threads() if on_cpu else 1,
        passes=passes,
        reductions=rates("sum", probes.SUMMED, sizes.summed),
        copies=Grid((sizes.copies, probes.RUNS), copies),
        gathers=rates("gather", probes.PICKED, sizes.picked),
        scatters=rates("scatter", probes.PICKED, sizes.picked),
        faults=1e-9 / max(fault, 1e-12),
        fresh=FRESH if on_cpu else ENDLESS,
        kept=KEPT if on_cpu else ENDLESS,
        **overheads,
    )


def _overheads(seconds: Mapping[Key, float], on_cpu: bool, start: float) -> dict[str, Any]:
    """Seconds of calls, by the field of the profile; `start` are those of `bmm` beyond `mm`.

    A chain of small calls has its code and data in the nearest caches. Amid products, as in real
    programs, it has not and is slower, if the products run on the same processor.
    """

    def link(kind: str) -> float:
        """Seconds of one link of a chain."""
        longer = seconds[kind, (call_probes.LONG,)] - seconds[kind, (call_probes.SHORT,)]
        return longer / (call_probes.LONG - call_probes.SHORT)

    calls, views = call_probes.CALLS, call_probes.VIEWS
    call, view = link("linked") / calls, (link("viewed") - link("linked")) / views
    recording = (link("viewed recorded") - link("viewed")) / (calls + views)
    backward = link("linked step") - link("linked recorded")
    both = link("viewed step") - link("viewed recorded")
    fixed = link("fixed")
    gradient = link("weights") - fixed - call
    first_step = seconds["fixed", (call_probes.SHORT,)] - call_probes.SHORT * fixed
    member = link("stack")
    figures = {
        "call": call,
        "view_call": view,
        "batch_start": start,
        "recording": recording,
        "backward_call": backward / calls,
        "backward_view_call": (both - backward) / views,
        "parameter": seconds["reads", ()],
        "gradient": gradient,
        "member": member,
        "backward_member": link("stack step") - member - gradient,
        "forward_start": seconds["module", ()] - view,
        "backward_start": first_step - gradient,
    }
    slower = 1.0
    if on_cpu:
        amid_products = seconds["by turns", ()] - seconds["product alone", ()]
        slower = min(max(amid_products / seconds["calls alone", ()], 1.0), MOST_AMID)
    return {name: max(figure, LEAST) * slower for name, figure in figures.items()}
