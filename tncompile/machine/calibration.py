"""Measuring a machine: the profile that predicts what programs take on it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping
from itertools import product
from random import Random
from time import perf_counter
from typing import Any

import torch

from tncompile.machine import call_probes as small
from tncompile.machine import probes as probed
from tncompile.machine.grid import Grid
from tncompile.machine.probe import Key, Probe
from tncompile.machine.probes import probes
from tncompile.machine.profile import CPU, ENDLESS, SMALL_PRODUCT, MachineProfile
from tncompile.tuning.timing import machine_text, settle

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

LEAST = 2e-8
"""Seconds: what is measured to take less, the overhead of calls taken off, takes this."""

SHARE = 0.15
"""Of a measured time is work at least, however much the overhead of calls is found to be."""

NARROW = 16
"""Rows or columns of which a product takes one way or the other, as its operands lie."""

MOST_AMID = 3.0
"""How much longer small calls take amid products, at most: beyond, something else was measured."""

FRESH = 2**25
KEPT = 62 * 2**20
"""Bytes as glibc has them: allocations mapped anew, and what a heap keeps of freed memory."""

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


def fit(found: Mapping[Key, float], name: str, machine: str, device: str = CPU) -> MachineProfile:
    """The profile that explains the measured seconds."""
    sizes, here = probed.SIZES[device], device == CPU
    call = 0.0  # what was replayed on another device is work alone
    if here:
        shortest = ("product", "batched")
        call = min(seconds for (kind, _), seconds in found.items() if kind in shortest)
    overheads = _overheads(found, here)
    start = max(_batch_start(found, here), LEAST)
    view = overheads["view_call"] if here else 0.0

    def work(key: Key) -> float:
        """Seconds without the overhead of the call."""
        return max(found[key] - call, LEAST, SHARE * found[key])

    def rates(kind: str, sizes: tuple[int, ...], share: float = 1.0) -> Grid:
        figures = (share * size / work((kind, (size,))) / 1e9 for size in sizes)
        return Grid((sizes,), tuple(figures))

    passes = rates("pass", sizes.passes)
    fastest = max(passes.figures)

    def waiting(numbers: int) -> float:
        count = 4.0 * numbers if here else 0.0
        return max(0.0, count / passes.at(count) - count / fastest) / 1e9

    def product_work(kind: str, point: tuple[int, ...]) -> float:
        count = probed.batch_count(point, sizes) if kind.startswith("batched") else 1
        taken = work((kind, point))
        if kind.startswith("batched") and (math.prod(point) >= SMALL_PRODUCT or not here):
            taken = max(taken - start, 0.2 * taken)
        numbers = count * probed.numbers_of(point)
        return max(taken - waiting(numbers), 0.4 * taken) / count

    def products(kind: str, *axes: tuple[int, ...]) -> Grid:
        def rate(point: tuple[int, ...]) -> float:
            held = _measured(found, kind, point, axes)
            return 2e-9 * math.prod(held) / product_work(kind, held)

        rated = {point: rate(point) for point in product(*axes)}
        most = max(rate for sizes, rate in rated.items() if min(sizes) >= 64)
        return Grid(axes, tuple(min(rate, most) for rate in rated.values()))

    def factors(kind: str, plain: str, *axes: tuple[int, ...]) -> Grid:
        ratios = {p: product_work(kind, p) / product_work(plain, p) for p in product(*axes)}
        return Grid(axes, tuple(min(10.0, max(_least(p), ratio)) for p, ratio in ratios.items()))

    turned = (probed.TURNED_ROWS, probed.TURNED_INNER, probed.TURNED_COLUMNS)
    batched_turned = (probed.BATCHED_TURNED,) * 3
    copies = tuple(
        count
        / max(
            work(("copy", (count, run))) - view,
            SHARE * found["copy", (count, run)],
        )
        / 1e9
        for count, run in product(sizes.copies, probed.RUNS)
    )
    fault = 1e-9 / passes.figures[-1]
    if here:
        fault = found["allocation", (probed.FAULTED,)] / probed.FAULTED
        fault -= found["allocation", (probed.RESIDENT,)] / probed.RESIDENT
    count, side = probed.BROADCAST
    row = work(("broadcast", ())) - 4e-9 * count * side * (side + 2) / passes.figures[0]
    small = [
        2e-9 * probed.small_count(sizes) * math.prod(sizes) / work(("small", sizes))
        for sizes in probed.SMALL
    ]
    return MachineProfile(
        name=name,
        fitted_on=machine,
        device=device,
        products=products("product", sizes.rows, sizes.inner, sizes.columns),
        left_turned=factors("left turned", "product", *turned),
        right_turned=factors("right turned", "product", *turned),
        batched=products("batched", *(probed.BATCHED,) * 3),
        batched_left_turned=factors("batched left turned", "batched", *batched_turned),
        batched_right_turned=factors("batched right turned", "batched", *batched_turned),
        small_products=statistics.geometric_mean(small),
        row=max(row / (count * side), 1e-10 if here else 1e-13),
        threads=torch.get_num_threads() if here else 1,
        passes=passes,
        reductions=Grid(
            (probed.SUMMED,), tuple(sizes.summed / work(("sum", (r,))) / 1e9 for r in probed.SUMMED)
        ),
        copies=Grid((sizes.copies, probed.RUNS), copies),
        gathers=_rows(found, "gather", call, sizes.picked),
        scatters=_rows(found, "scatter", call, sizes.picked),
        faults=1e-9 / max(fault, 1e-12),
        fresh=FRESH if here else ENDLESS,
        kept=KEPT if here else ENDLESS,
        **overheads,
    )


def _measured(
    found: Mapping[Key, float], kind: str, point: tuple[int, ...], axes: tuple[tuple[int, ...], ...]
) -> tuple[int, ...]:
    """The point of a grid itself, or one nearby that was not too large to be measured."""
    held = list(point)
    while (kind, tuple(held)) not in found:
        longest = held.index(max(held))
        axis = axes[longest]
        held[longest] = axis[axis.index(held[longest]) - 1]
    return tuple(held)


def _least(sizes: tuple[int, ...]) -> float:
    """The least factor of a turned operand: only narrow products can be the faster for it.

    Elsewhere a ratio below one is noise, which a choice among many programs would fall for.
    """
    rows, _, columns = sizes
    return 0.1 if min(rows, columns) < NARROW else 1.0


def _rows(found: Mapping[Key, float], kind: str, call: float, picked: int) -> Grid:
    """Billions of bytes a second of rows by number, by the bytes of a row."""
    taken = (max(found[kind, (row,)] - call, LEAST) for row in probed.PICKED)
    return Grid((probed.PICKED,), tuple(picked / one / 1e9 for one in taken))


def _overheads(found: Mapping[Key, float], here: bool) -> dict[str, float]:
    """The seconds of calls, by the name of the field.

    Chains of small calls find their code and data in the nearest caches; amid products they do not,
    and take longer, which is what programs are made of. Unless products run `here`, on the
    processor, calls have its caches to themselves.
    """

    def link(kind: str) -> float:
        """What each link of a chain takes."""
        longer = found[kind, (small.LONG,)] - found[kind, (small.SHORT,)]
        return longer / (small.LONG - small.SHORT)

    calls, views = small.CALLS, small.VIEWS
    call, view = link("linked") / calls, (link("viewed") - link("linked")) / views
    recording = (link("viewed recorded") - link("viewed")) / (calls + views)
    backward = link("linked step") - link("linked recorded")
    both = link("viewed step") - link("viewed recorded")
    gradient = link("weights") - link("fixed") - call
    member = link("stack")
    figures = {
        "call": call,
        "view_call": view,
        "batch_start": _batch_start(found, here),
        "recording": recording,
        "backward_call": backward / calls,
        "backward_view_call": (both - backward) / views,
        "parameter": found["reads", ()],
        "gradient": gradient,
        "member": member,
        "backward_member": link("stack step") - member - gradient,
        "forward_start": found["module", ()] - view,
        "backward_start": found["fixed", (small.SHORT,)] - small.SHORT * link("fixed") - gradient,
    }
    slower = 1.0
    if here:
        longer = (found["by turns", ()] - found["product alone", ()]) / found["calls alone", ()]
        slower = min(max(longer, 1.0), MOST_AMID)
    return {name: max(figure, LEAST) * slower for name, figure in figures.items()}


def _batch_start(found: Mapping[Key, float], here: bool) -> float:
    """What `bmm` takes more than `mm`; on a device all of its shortest kernel."""
    return found["two matrices", ()] - (found["product", (1, 16, 16)] if here else 0.0)


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
