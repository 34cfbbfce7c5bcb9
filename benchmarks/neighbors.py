"""Other processes on this machine: with them, every barrier between threads waits for a turn.

Where a core is taken, a product that takes 0.2 ms may take 20. So rounds wait for a quiet machine,
and say how much of it others had meanwhile. Linux only; elsewhere nobody is seen.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
QUIET = 0.25
"""Cores that others may use."""
PATIENCE = 300.0
"""Seconds to wait for them in one run of the benchmarks."""


@dataclass(frozen=True)
class Moment:
    """Seconds so far: on the wall, of all processors, of this process."""

    wall: float
    busy: float
    own: float


def now() -> Moment:
    """The state of the counters."""
    return Moment(time.perf_counter(), _busy(), time.process_time())


def others(since: Moment) -> float:
    """Cores that other processes used since a moment, on average; 0 where nobody can tell."""
    held = now()
    wall = max(held.wall - since.wall, 1e-3)
    return max(0.0, (held.busy - since.busy - (held.own - since.own)) / wall)


class Patience:
    """The seconds that a run waits for other processes, all its cases together."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self.left = seconds

    def wait(self, window: float = 0.5) -> None:
        """Return once others use less than `QUIET` cores, or when patience is at its end."""
        told = False
        while self.left > 0:
            since = now()
            time.sleep(window)
            if others(since) < QUIET:
                return
            self.left -= window
            if not told:
                print("  waiting for other processes", file=sys.stderr, flush=True)
                told = True


def _busy() -> float:
    """Seconds in which processors worked, summed up since the machine started."""
    try:
        numbers = STAT.read_text(encoding="utf-8").splitlines()[0].split()[1:]
    except (OSError, IndexError):
        return 0.0
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, numbers[:8])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
