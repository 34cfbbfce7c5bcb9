"""Measurement of a machine, from which its profile is fitted."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial
from random import Random
from time import perf_counter
from typing import Any

import torch

from tncompile.machine.call_probes import Key, Probe
from tncompile.machine.fitting import fit
from tncompile.machine.host import machine_text, synchronize
from tncompile.machine.probes import probes
from tncompile.machine.profile import CPU, MachineProfile

SWEEPS = 12
"""How often every probe is measured, in one sweep over all of them after another."""

FEWEST_SWEEPS = 3
"""Sweeps made however long they take."""

BUDGET = 50.0
"""Seconds for all sweeps; further ones than `FEWEST_SWEEPS` are made only within it."""

WINDOW = 0.4e-3
"""Seconds that calls are repeated for in one measurement."""

REPLAYED = 16
"""Calls in a recorded graph of a CUDA device."""

Progress = Callable[[int, int], None]


def calibrate(progress: Progress | None = None, device: str = CPU) -> MachineProfile:
    """Measure this machine, in float32 with the threads that torch uses now; or a CUDA device.

    Takes about half a minute, in which nothing else should run.
    """
    seconds = measure(probes(device), progress, device)
    name = "measured" if device == CPU else f"measured-{device}"
    return fit(seconds, name, machine_text(device), device)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def measure(
    probed: list[Probe], progress: Progress | None = None, device: str = CPU
) -> dict[Key, float]:
    """Seconds of one call of each probe: host time of an overhead, else time of its work."""
    torch.empty(31 * 2**20, dtype=torch.uint8)  # freed at once: raises the allocator's thresholds
    samples: dict[Key, list[float]] = {probe.key: [] for probe in probed}
    order = list(probed)
    random = Random(2026)
    cuda: Any = torch.cuda  # its classes have no types
    work_seconds = host_seconds if device == CPU else partial(replay_seconds, cuda.Stream())
    started = perf_counter()
    for sweep in range(SWEEPS):
        spent = perf_counter() - started
        if sweep >= FEWEST_SWEEPS and spent * (sweep + 1) / sweep > BUDGET:
            break
        random.shuffle(order)
        for number, probe in enumerate(order):
            with torch.set_grad_enabled(probe.gradients):
                with torch.device(device):
                    action = probe.make()
                clock = host_seconds if probe.overhead else work_seconds
                samples[probe.key].append(clock(action) / probe.calls)
            if progress is not None:
                progress(sweep * len(order) + number + 1, SWEEPS * len(order))
    return {probe.key: _typical(sorted(samples[probe.key]), probe.overhead) for probe in probed}


def _typical(ascending: list[float], overhead: bool) -> float:
    """One figure for the seconds of all sweeps.

    Other processes only ever add time, so the second fastest counts. Of overheads, which programs
    meet many of at any moment, the average counts without the slowest quarter.
    """
    if overhead:
        return statistics.mean(ascending[: max(1, len(ascending) * 3 // 4)])
    return ascending[len(ascending) // 8]


def host_seconds(action: Callable[[], object]) -> float:
    """The median time that the host takes for a call, warm."""
    action()
    synchronize()
    start = perf_counter()
    action()
    once = perf_counter() - start
    synchronize()
    repeats = max(1, int(WINDOW / max(once, 1e-7)))
    readings: list[float] = []
    for _ in range(5 if once < 2e-3 else 3):
        start = perf_counter()
        for _ in range(repeats):
            action()
        readings.append((perf_counter() - start) / repeats)
        synchronize()
    return statistics.median(readings)


def replay_seconds(stream: Any, action: Callable[[], object]) -> float:
    """The median time of the kernels of a call, without that in which the host launches them.

    The calls are recorded in a CUDA graph on `stream` and replayed between two events.
    """
    cuda: Any = torch.cuda  # its classes have no types
    stream.wait_stream(cuda.current_stream())  # operands are made there
    with cuda.stream(stream):  # libraries set themselves up in the first calls
        for _ in range(3):
            action()
    graph = cuda.CUDAGraph()
    with cuda.graph(graph, stream=stream):
        for _ in range(REPLAYED):
            action()
    readings: list[float] = []
    with cuda.stream(stream):
        for _ in range(5):
            start, end = (cuda.Event(enable_timing=True) for _ in range(2))
            graph.replay()  # keeps the device busy while the host launches what is timed
            start.record()
            graph.replay()
            end.record()
            end.synchronize()
            readings.append(start.elapsed_time(end) / 1e3 / REPLAYED)  # of milliseconds
    cuda.current_stream().wait_stream(stream)
    return statistics.median(readings)


# ── summary ─────────────────────────────────────────────────────────────────────────────────────


def summary(profile: MachineProfile) -> str:
    """A few figures of a profile, as a table."""

    def product(rows: int, inner: int, columns: int) -> tuple[str, str]:
        rate = 2e-9 * rows * inner * columns / profile.product_seconds(1, rows, inner, columns)
        return f"product {rows} x {inner} x {columns}", f"{rate:,.0f} GFLOP/s"

    def copied(run: int) -> str:
        return f"{profile.copies.at(2**20, run):,.0f} GB/s"

    rows = (
        product(1024, 1024, 1024),
        product(4096, 64, 64),
        product(4096, 64, 8),
        product(1, 1024, 1024),
        ("elementwise pass in the cache", f"{max(profile.passes.figures):,.0f} GB/s"),
        ("elementwise pass beyond it", f"{profile.passes.figures[-1]:,.0f} GB/s"),
        ("copy of a transpose, 1 MiB", copied(4)),
        ("copy with runs of 256 bytes, 1 MiB", copied(256)),
        *([] if profile.overlaps else [("memory handed out anew", f"{profile.faults:,.1f} GB/s")]),
        ("a call", f"{profile.call * 1e6:.1f} µs"),
        ("a view", f"{profile.view_call * 1e6:.1f} µs"),
        ("a node of the backward pass", f"{profile.backward_call * 1e6:.1f} µs"),
    )
    width = max(len(title) for title, _ in rows)
    lines = (f"  {title:{width}}  {figure:>15}" for title, figure in rows)
    return "\n".join([profile.fitted_on, *lines])
