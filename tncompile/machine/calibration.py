"""Measuring a machine: the profile that predicts what programs take on it."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from random import Random
from time import perf_counter
from typing import Any

import torch

from tncompile.machine.fitting import fit
from tncompile.machine.host import machine_text, settle
from tncompile.machine.probe import Key, Probe
from tncompile.machine.probes import probes
from tncompile.machine.profile import CPU, MachineProfile

SWEEPS = 12
"""Every probe is measured so often, in sweeps one after the other. The second fastest counts: what
else runs on a machine only ever adds. Of calls, which most programs make many of at any moment of a
machine, the average counts, the slowest quarter left out."""

FEWEST = 3
"""Sweeps that are made however long they take, …"""

BUDGET = 50.0
"""… and seconds that all of them together should."""

WINDOW = 0.4e-3
"""Seconds that are timed at a time, calls repeated to fill them."""


Progress = Callable[[int, int], None]


def calibrate(progress: Progress | None = None, device: str = CPU) -> MachineProfile:
    """Measure this machine, in float32 with the threads that torch uses now; or a CUDA device.

    Takes about half a minute, in which nothing else should run.
    """
    found = measure(probes(device), progress, device)
    name = "measured" if device == CPU else f"measured-{device}"
    return fit(found, name, machine_text(device), device)


# ── measuring ───────────────────────────────────────────────────────────────────────────────────


def measure(
    held: list[Probe], progress: Progress | None = None, device: str = CPU
) -> dict[Key, float]:
    """Seconds of one call of each probe: of the host where it is `usual`, else of its work."""
    torch.empty(31 * 2**20, dtype=torch.uint8)  # freed at once: raises the allocator's thresholds
    samples: dict[Key, list[float]] = {probe.key: [] for probe in held}
    order = list(held)
    random = Random(2026)
    taken = seconds if device == CPU else Replay().seconds
    started = perf_counter()
    for sweep in range(SWEEPS):
        spent = perf_counter() - started
        if sweep >= FEWEST and spent * (sweep + 1) / sweep > BUDGET:
            break  # a machine that is busy with something else: fewer sweeps must do
        random.shuffle(order)
        for number, probe in enumerate(order):
            with torch.set_grad_enabled(probe.gradients):
                with torch.device(device):
                    action = probe.make()
                timed = seconds if probe.usual else taken
                samples[probe.key].append(timed(action) / probe.calls)
            if progress is not None:
                progress(sweep * len(order) + number + 1, SWEEPS * len(order))
    return {probe.key: _counted(sorted(samples[probe.key]), probe.usual) for probe in held}


def _counted(taken: list[float], usual: bool) -> float:
    """The seconds that count of those of all sweeps, which ascend."""
    if usual:
        return statistics.mean(taken[: max(1, len(taken) * 3 // 4)])
    return taken[len(taken) // 8]


def seconds(action: Callable[[], object]) -> float:
    """The median time of a call, warm. Work of another device is no part of it."""
    action()
    settle()
    start = perf_counter()
    action()
    once = perf_counter() - start
    settle()
    repeats = max(1, int(WINDOW / max(once, 1e-7)))
    taken: list[float] = []
    for _ in range(5 if once < 2e-3 else 3):
        start = perf_counter()
        for _ in range(repeats):
            action()
        taken.append((perf_counter() - start) / repeats)
        settle()
    return statistics.median(taken)


REPLAYED = 16
"""Calls in a graph of a CUDA device, which starts them without the host."""


class Replay:
    """Times the work of calls on a CUDA device, without the host's time to start it.

    The calls are recorded in a graph and replayed, between two events of the device.
    """

    def __init__(self) -> None:
        self._cuda: Any = torch.cuda  # its classes have no types
        self._stream = self._cuda.Stream()

    def seconds(self, action: Callable[[], object]) -> float:
        """The median time of the work of a call."""
        cuda, stream = self._cuda, self._stream
        stream.wait_stream(cuda.current_stream())  # operands are made there
        with cuda.stream(stream):  # libraries set themselves up in the first calls
            for _ in range(3):
                action()
        graph = cuda.CUDAGraph()
        with cuda.graph(graph, stream=stream):
            for _ in range(REPLAYED):
                action()
        taken: list[float] = []
        with cuda.stream(stream):
            for _ in range(5):
                start, end = (cuda.Event(enable_timing=True) for _ in range(2))
                graph.replay()  # keeps the device at work while what is timed is started
                start.record()
                graph.replay()
                end.record()
                end.synchronize()
                taken.append(start.elapsed_time(end) / 1e3 / REPLAYED)  # of milliseconds
        cuda.current_stream().wait_stream(stream)
        return statistics.median(taken)


# ── fitting ─────────────────────────────────────────────────────────────────────────────────────


# ── what it says ────────────────────────────────────────────────────────────────────────────────


def summary(profile: MachineProfile) -> str:
    """A few figures of a profile, as a table."""

    def rate(rows: int, inner: int, columns: int) -> str:
        taken = profile.product_seconds(1, rows, inner, columns)
        return f"{2e-9 * rows * inner * columns / taken:,.0f} GFLOP/s"

    def copied(run: int) -> str:
        return f"{profile.copies.at(2**20, run):,.0f} GB/s"

    lines = (
        ("product 1024 x 1024 x 1024", rate(1024, 1024, 1024)),
        ("product 4096 x 64 x 64", rate(4096, 64, 64)),
        ("product 4096 x 64 x 8", rate(4096, 64, 8)),
        ("product 1 x 1024 x 1024", rate(1, 1024, 1024)),
        ("elementwise pass in the cache", f"{max(profile.passes.figures):,.0f} GB/s"),
        ("elementwise pass beyond it", f"{profile.passes.figures[-1]:,.0f} GB/s"),
        ("copy of a transpose, 1 MiB", copied(4)),
        ("copy with runs of 256 bytes, 1 MiB", copied(256)),
        *([] if profile.overlaps else [("memory handed out anew", f"{profile.faults:,.1f} GB/s")]),
        ("a call", f"{profile.call * 1e6:.1f} µs"),
        ("a view", f"{profile.view_call * 1e6:.1f} µs"),
        ("a node of the backward pass", f"{profile.backward_call * 1e6:.1f} µs"),
    )
    width = max(len(title) for title, _ in lines)
    return "\n".join([profile.fitted_on, *(f"  {title:{width}}  {it:>15}" for title, it in lines)])
