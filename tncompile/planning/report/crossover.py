"""Where along the batch size one program overtakes another, or the dense layer overtakes both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tncompile.lowering import TensorProgram
from tncompile.machine.profile import MachineProfile
from tncompile.network.model import TensorNetwork
from tncompile.planning.report.cost import Crossing
from tncompile.planning.tolerances import CLEARLY
from tncompile.simulation.dense_layer import dense_run
from tncompile.simulation.modes import Mode, trace_in

LARGEST_BATCH = 2**20
"""Crossings are looked for up to this batch size."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Predicted times of a module and its alternatives over the batch size, each run once.

    `runs` says what the module runs at a size.
    """

    network: TensorNetwork
    profile: MachineProfile
    mode: Mode
    runs: Callable[[int], TensorProgram]
    leading: str
    runtime: Mapping[str, int]
    known: dict[tuple[int, int], float]

    def seconds(self, program: TensorProgram, size: int) -> float:
        """The time of a program at a batch size."""
        if (id(program), size) not in self.known:
            traced = trace_in(self.network, program, self._sizes(size), self.profile, self.mode)
            self.known[id(program), size] = traced.total.seconds
        return self.known[id(program), size]

    def dense(self, size: int) -> float | None:
        """The time of the dense layer at a batch size; None where there is none."""
        training = self.mode == "training"
        run = dense_run(self.network, self._sizes(size), self.profile, training=training)
        return run.seconds if run else None

    def compare(self, other: TensorProgram | None) -> Callable[[int], bool]:
        """Whether another program, or the dense layer, is clearly faster than the module."""

        def faster(size: int) -> bool:
            theirs = self.dense(size) if other is None else self.seconds(other, size)
            return theirs is not None and CLEARLY * theirs < self.seconds(self.runs(size), size)

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
