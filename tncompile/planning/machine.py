"""Machine profiles: how long products, copies and calls take, to compare programs by time."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MachineProfile:
    """Rates of one machine. `gemm` pairs the smallest side of a product with operations a second.

    Between two sides the rate is interpolated along the logarithm of the side.
    """

    name: str
    gemm: tuple[tuple[int, float], ...]  # (smallest of m, n, k; floating-point operations / s)
    bandwidth: float  # bytes / s that elementwise passes read and write together
    copy_bandwidth: float  # bytes / s of a copy between layouts
    gather_bandwidth: float  # bytes / s of rows picked one by one, and of their gradients
    cache: int  # bytes below which nothing waits for memory
    cached_bandwidth: float  # bytes / s of passes that stay in the cache
    call: float  # s a forward operation takes on top of its work
    view_call: float  # s an operation takes that touches no element
    backward_call: float  # s a backward operation takes on top of its work
    backward_view_call: float  # s a backward operation takes that touches no element
    matrix: float  # s each matrix of a batched product adds

    def gemm_rate(self, side: int) -> float:
        """Operations a second of a product whose smallest side is `side`."""
        points = self.gemm
        if side <= points[0][0]:
            return points[0][1]
        for (low, slow), (high, fast) in pairwise(points):
            if side <= high:
                share = math.log(side / low) / math.log(high / low)
                return float(slow * (fast / slow) ** share)
        return points[-1][1]

    def pass_seconds(self, count: float) -> float:
        """Seconds to stream this many bytes."""
        return count / (self.cached_bandwidth if count <= self.cache else self.bandwidth)


BUILTIN = MachineProfile(
    name="builtin-2core",
    gemm=(
        (1, 8e9),
        (2, 25e9),
        (4, 60e9),
        (8, 118e9),
        (12, 180e9),
        (16, 250e9),
        (64, 310e9),
        (1024, 363e9),
    ),
    bandwidth=25e9,
    copy_bandwidth=11e9,
    gather_bandwidth=6e9,
    cache=2 * 2**20,
    cached_bandwidth=80e9,
    call=5e-6,
    view_call=2e-6,
    backward_call=10e-6,
    backward_view_call=4e-6,
    matrix=0.15e-6,
)
"""Two cores at 363 GFLOP/s in float32 (2048³); it decides unless another profile is asked for."""


def write_profile(profile: MachineProfile, path: str | os.PathLike[str]) -> None:
    """Store a profile as JSON."""
    text = json.dumps({"version": 1, "profile": asdict(profile)}, indent=2)
    Path(path).write_text(text + "\n", encoding="utf-8")


def read_profile(path: str | os.PathLike[str]) -> MachineProfile:
    """A profile from JSON; ValueError where the file holds none."""
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
        if stored["version"] != 1:
            raise ValueError(f"version {stored['version']} is not known here")
        given = dict(stored["profile"])
        given["gemm"] = tuple((int(side), float(rate)) for side, rate in given["gemm"])
        profile = MachineProfile(**given)
        _verify(profile)
    except (KeyError, TypeError, ValueError) as problem:
        raise ValueError(f"{path} is no machine profile: {problem}") from problem
    return profile


def _verify(profile: MachineProfile) -> None:
    if not profile.gemm or list(profile.gemm) != sorted(profile.gemm):
        raise ValueError("`gemm` must list sides in ascending order")
    rates = [rate for _, rate in profile.gemm]
    for field in fields(profile):
        value = getattr(profile, field.name)
        if isinstance(value, int | float):
            rates.append(float(value))
    if not all(math.isfinite(rate) and rate > 0 for rate in rates):
        raise ValueError("every figure must be positive")
