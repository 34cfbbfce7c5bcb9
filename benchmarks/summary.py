"""What the measurements say, case by case: module, best peer, best by hand, dense layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from benchmarks.contract import Kind, Mode
from benchmarks.results import Measurement, Results

LARGE_FLOPS = 1e9
"""Workloads above this are held against the rate of a large matrix product."""


@dataclass(frozen=True)
class Ratio:
    """How many times faster the second is than the first, between its quartiles."""

    median: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Case:
    """A workload at a batch size in a mode. Nothing here is run under torch.compile."""

    title: str
    workload: str
    batch: int
    mode: Mode
    module: Measurement
    folded: Measurement | None
    tuned: Measurement | None
    peer: Measurement | None
    hand: Measurement | None
    dense: Measurement | None
    everybody: tuple[Measurement, ...]

    @property
    def ours(self) -> Measurement:
        """The faster of the module and its folded twin, tuned where that was measured."""
        return self.tuned or self.predicted

    @property
    def predicted(self) -> Measurement:
        """The faster of the module and its folded twin, both planned by prediction."""
        return min((m for m in (self.module, self.folded) if m), key=lambda m: m.seconds)

    @property
    def large(self) -> bool:
        """Whether the plan has so many FLOPs that the rate of a matrix product is the measure."""
        return self.ours.flops > LARGE_FLOPS


def ratio(other: Measurement, ours: Measurement) -> Ratio:
    """How many times faster ours is."""
    return Ratio(other.seconds / ours.seconds, other.lower / ours.upper, other.upper / ours.lower)


def share(measurement: Measurement) -> float:
    """The FLOP rate of its matrix products as a share of a large product's."""
    return measurement.flops / measurement.seconds / measurement.gemm_rate


def cases(results: Results) -> list[Case]:
    """All cases in which the module ran, in the order in which they were measured."""
    grouped: dict[tuple[str, int, Mode], list[Measurement]] = {}
    for measurement in results.measurements:
        grouped.setdefault(measurement.case, []).append(measurement)
    made = []
    for (workload, batch, mode), held in grouped.items():
        eager = [m for m in held if not m.compiled]
        ours = [m for m in eager if m.kind is Kind.OURS]
        module = fastest(m for m in ours if not m.folded and not m.tuned)
        if module is None:
            continue
        made.append(
            Case(
                module.title,
                workload,
                batch,
                mode,
                module,
                fastest(m for m in ours if m.folded and not m.tuned),
                fastest(m for m in ours if m.tuned),
                fastest(m for m in eager if m.kind is Kind.PEER),
                fastest(m for m in eager if m.kind is Kind.HAND),
                fastest(m for m in eager if m.kind is Kind.DENSE),
                tuple(held),
            )
        )
    return made


def fastest(measurements: Iterable[Measurement]) -> Measurement | None:
    """The one with the least median, None of none."""
    return min(measurements, key=lambda m: m.seconds, default=None)


def geometric_mean(values: Sequence[float]) -> float:
    """The geometric mean; NaN of nothing."""
    if not values:
        return math.nan
    return math.exp(sum(map(math.log, values)) / len(values))


def speedups(
    held: Sequence[Case],
    other: Callable[[Case], Measurement | None],
    ours: Callable[[Case], Measurement] = lambda case: case.ours,
) -> list[float]:
    """How many times faster we are than somebody, in every case where there is such a one."""
    pairs = ((other(case), ours(case)) for case in held)
    return [ratio(found, own).median for found, own in pairs if found is not None]
