"""Readings of probes to a machine profile."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from itertools import product

import torch

from tncompile.machine import call_probes as small
from tncompile.machine import probes as probed
from tncompile.machine.grid import Grid
from tncompile.machine.probe import Key
from tncompile.machine.profile import CPU, ENDLESS, SMALL_PRODUCT, MachineProfile

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
