"""Intervals by the bootstrap: samples drawn anew with replacement, the same ones for both models.

Percentile intervals (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993), from 5 to
95 %. Statistics are functions of sums over samples, so that a resampling is a product of counts and
a table. Samples are put in the order of their values first: what is drawn does not depend on the
order in which data came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

RESAMPLINGS = 1000

FEWEST = 200
"""Resamplings where there are so many samples that all would take long."""

MOST_DRAWN = 10**8
"""Numbers that are drawn in all, about a second's work."""

AT_ONCE = 2**22
"""Numbers that are drawn at a time."""

LOW, HIGH = 0.05, 0.95

Interval = tuple[float, float]


def resampled_sums(table: torch.Tensor, seed: int) -> torch.Tensor:
    """Sums over samples drawn with replacement: (samples, columns) to (draws, columns)."""
    count = len(table)
    return torch.cat([each.to(table) @ table for each in _counts(count, draws(count), seed)])


def draws(count: int) -> int:
    """How many resamplings of so many samples are made."""
    return max(FEWEST, min(RESAMPLINGS, MOST_DRAWN // max(1, count)))


def _counts(count: int, total: int, seed: int) -> Iterator[torch.Tensor]:
    """How often each sample is drawn, some draws at a time."""
    generator = torch.Generator().manual_seed(seed)
    step = max(1, AT_ONCE // count)
    for start in range(0, total, step):
        rows = min(step, total - start)
        drawn = torch.randint(count, (rows, count), generator=generator)
        drawn += torch.arange(rows).unsqueeze(1) * count
        yield torch.bincount(drawn.flatten(), minlength=rows * count).view(rows, count)


def ordered(table: torch.Tensor) -> torch.Tensor:
    """Rows in the order of their values, the first column first: sums are those of any order."""
    order = torch.arange(len(table))
    for column in reversed(range(table.shape[1])):
        order = order[torch.argsort(table[order, column], stable=True)]
    return table[order]


def interval(values: torch.Tensor) -> Interval | None:
    """Where the middle nine tenths of resampled values lie; None where some are no numbers."""
    if len(values) < 2 or not bool(torch.isfinite(values).all()):
        return None
    low, high = torch.quantile(values.double(), torch.tensor([LOW, HIGH], dtype=torch.float64))
    return float(low), float(high)


def resampled(
    items: tuple[torch.Tensor, torch.Tensor],
    statistic: Callable[[torch.Tensor], float],
    seed: int,
) -> torch.Tensor:
    """A statistic's ratio, second over first, of items drawn for both: one number a resampling."""
    generator = torch.Generator().manual_seed(seed)
    count = len(items[0])
    found = []
    for _ in range(draws(count)):
        drawn = torch.randint(count, (count,), generator=generator)
        before, after = (statistic(each[drawn]) for each in items)
        found.append(after / before if before else float("nan"))
    return torch.tensor(found, dtype=torch.float64)
