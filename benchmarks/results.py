"""Measured numbers, and the JSON file that keeps them."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.contract import Kind, Mode


@dataclass(frozen=True)
class Measurement:
    """One contender in one case; times are seconds a call, sizes are bytes."""

    workload: str
    title: str
    batch: int
    mode: Mode
    contender: str
    kind: Kind
    folded: bool
    seconds: float
    lower: float
    upper: float
    samples: int
    flops: int
    gemm_rate: float
    peak_bytes: int | None = None
    error_float32: float | None = None
    error_bfloat16: float | None = None
    bare_seconds: float | None = None
    compiled: bool = False
    tuned: bool = False
    others: float = 0.0
    """Cores that other processes used while this was timed."""

    @property
    def case(self) -> tuple[str, int, Mode]:
        """Which case it belongs to."""
        return self.workload, self.batch, self.mode


@dataclass(frozen=True)
class Omission:
    """Somebody who could not run, and why."""

    workload: str
    contender: str
    reason: str


@dataclass(frozen=True)
class ToolSpeed:
    """Seconds from text to source for a network of so many tensors; cotengra's search alone."""

    network: str
    tensors: int
    load: float
    plan: float
    emit: float
    cotengra: float | None


@dataclass(frozen=True)
class Order:
    """One plan of a network, forward and forward with backward, in seconds."""

    workload: str
    batch: int
    plan: str
    forward: float
    training: float


@dataclass(frozen=True)
class Results:
    """All that was measured."""

    machine: Mapping[str, str] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    omissions: tuple[Omission, ...] = ()
    tool: tuple[ToolSpeed, ...] = ()
    orders: tuple[Order, ...] = ()

    def merged(self, later: Results) -> Results:
        """These results with those of a later run in place of what it measured again."""
        again = {m.case for m in later.measurements}
        kept = tuple(m for m in self.measurements if m.case not in again)
        measurements = (*kept, *later.measurements)
        ran = {(m.workload, m.contender) for m in measurements}
        omissions = dict.fromkeys((*self.omissions, *later.omissions))
        return Results(
            later.machine or self.machine,
            measurements,
            tuple(o for o in omissions if (o.workload, o.contender) not in ran),
            later.tool or self.tool,
            later.orders or self.orders,
        )

    def in_order(self, names: Sequence[str]) -> Results:
        """These results with the workloads in the order of their names."""
        place = {name: k for k, name in enumerate(names)}
        return replace(
            self,
            measurements=tuple(
                sorted(
                    self.measurements,
                    key=lambda m: (place.get(m.workload, len(place)), m.batch, m.mode.value),
                )
            ),
        )


def machine() -> dict[str, str]:
    """What the numbers were taken on."""
    return {
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, {os.cpu_count()} cores" if names else platform.machine()


def read(path: Path) -> Results:
    """The results of earlier runs; none where there is no file."""
    if not path.exists():
        return Results()
    held = json.loads(path.read_text(encoding="utf-8"))
    return Results(
        held["machine"],
        tuple(_measurement(each) for each in held["measurements"]),
        tuple(Omission(**each) for each in held["omissions"]),
        tuple(ToolSpeed(**each) for each in held["tool"]),
        tuple(Order(**each) for each in held["orders"]),
    )


def _measurement(held: Mapping[str, Any]) -> Measurement:
    known = {f.name for f in fields(Measurement)}
    made = Measurement(**{name: value for name, value in held.items() if name in known})
    return replace(made, mode=Mode(made.mode), kind=Kind(made.kind))


def write(results: Results, path: Path) -> None:
    """Results as JSON, one entry a line."""
    parts = [f'"machine": {json.dumps(dict(results.machine))}']
    for name in ("measurements", "omissions", "tool", "orders"):
        entries: Iterable[Any] = getattr(results, name)
        lines = ",\n".join(json.dumps(asdict(entry)) for entry in entries)
        parts.append(f'"{name}": [\n{lines}\n]')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
