"""Where along the batch size one program overtakes another, or the dense layer overtakes both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tncompile.lowering import TensorProgram
from tncompile.network.model import TensorNetwork
from tncompile.planning.costing import Crossing, Mode
from tncompile.planning.dense import dense_run
from tncompile.planning.machine import MachineProfile
from tncompile.planning.tracing import trace

LARGEST_BATCH = 2**20
"""Crossings are looked for up to this batch size."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Predicted times of a plan and its alternatives over the batch size, each program run once.

    The forward part of a training step takes what a forward pass takes.
    """

    network: TensorNetwork
    profile: MachineProfile
    program: TensorProgram
    leading: str
    runtime: Mapping[str, int]
    known: dict[tuple[int, int], dict[Mode, float]]

    def seconds(self, program: TensorProgram, size: int, mode: Mode) -> float:
        """The time of a program at a batch size."""
        if (id(program), size) not in self.known:
            traced = trace(self.network, program, self._sizes(size), self.profile, training=True)
            forward = sum(work.seconds for work in traced.forward)
            both: dict[Mode, float] = {"inference": forward, "training": traced.total.seconds}
            self.known[id(program), size] = both
        return self.known[id(program), size][mode]

    def dense(self, size: int, mode: Mode) -> float | None:
        """The time of the dense layer at a batch size; None where there is none."""
        training = mode == "training"
        run = dense_run(self.network, self._sizes(size), self.profile, training=training)
        return run.seconds if run else None

    def compare(self, other: TensorProgram | None, mode: Mode) -> Callable[[int], bool]:
        """Whether another program, or the dense layer, is faster than the plan at a batch size."""

        def faster(size: int) -> bool:
            theirs = self.dense(size, mode) if other is None else self.seconds(other, size, mode)
            return theirs is not None and theirs < self.seconds(self.program, size, mode)

        return faster

    def _sizes(self, size: int) -> Mapping[str, int]:
        return {**self.runtime, self.leading: size}


def crossing(faster: Callable[[int], bool], here: int) -> Crossing:
    """The batch sizes around `here` at which something is faster, to the unit.

    >>> crossing(lambda size: size >= 100, 64), crossing(lambda size: size < 100, 64)
    (Crossing(faster_from=100, faster_up_to=None), Crossing(faster_from=1, faster_up_to=99))
    """
    above, below = _next_change(faster, here), _last_change(faster, here)
    if not faster(here):
        return Crossing(above, below)
    return Crossing(1 if below is None else below + 1, None if above is None else above - 1)


def _next_change(faster: Callable[[int], bool], here: int) -> int | None:
    """The least size above that differs from `here`, as far as doubling finds one."""
    now, low = faster(here), here
    while low < LARGEST_BATCH and faster(low * 2) == now:
        low *= 2
    if low >= LARGEST_BATCH:
        return None
    high = low * 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if faster(middle) == now else (low, middle)
    return high


def _last_change(faster: Callable[[int], bool], here: int) -> int | None:
    """The largest size below that differs from `here`, as far as halving finds one."""
    now, high = faster(here), here
    while high > 1 and faster(high // 2) == now:
        high //= 2
    if high <= 1:
        return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if faster(middle) == now else (middle, high)
    return low
