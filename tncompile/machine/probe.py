"""One thing that calibration times, and the operands of products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Key = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Probe:
    """What is measured, at which sizes; `calls` of it in one go of what `make` gives.

    Of `usual` probes the time that they take on average counts, of others nearly the shortest.
    """

    name: str
    sizes: tuple[int, ...]
    make: Callable[[], Callable[[], object]]
    calls: int = 1
    gradients: bool = False
    usual: bool = False

    @property
    def key(self) -> Key:
        """By which the measured seconds are found."""
        return self.name, self.sizes


def matrix(rows: int, columns: int, turned: bool, count: int = 0) -> Tensor:
    """A matrix, or `count` matrices, row-major or column-major."""
    batch = (count,) if count else ()
    if turned:
        return torch.full((*batch, columns, rows), 0.5).transpose(-1, -2)
    return torch.full((*batch, rows, columns), 0.5)
