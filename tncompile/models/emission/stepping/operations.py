"""What a step does beside the operations of `forward`: it looks at what came before, and keeps it.

Where a model has `...`, all tensors of the state begin with these axes, also those of values that
lack them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from tncompile.language.typing.operations import CallPart, Operation, Scan
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Value


@dataclass(frozen=True, slots=True, eq=False)
class Past(Operation):
    """An operation that looks at what came before and keeps what comes next."""


@dataclass(frozen=True, slots=True, eq=False)
class Joined(Past):
    """The entries along `axis` behind those before; the last `keep` of them are kept, or all."""

    axis: int = field(kw_only=True)
    keep: int | None = field(default=None, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Summed(Past):
    """Running sums along `axis` that go on from those before."""

    axis: int = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Begun(Past):
    """Where a `scan` goes on: its last state, at first the operand."""


@dataclass(frozen=True, slots=True, eq=False)
class StepScan(Scan):
    """A `scan` along the causal size, whose last state is kept."""


@dataclass(frozen=True, slots=True, eq=False)
class StepCall(CallPart):
    """A call of the step of a model, of a recurrent layer, or of a network with a causal window."""


@dataclass(frozen=True, slots=True, eq=False)
class WindowCall(StepCall):
    """A call of a network on entries before as well, of whose results the last are taken: `count`.

    `axes` are where operands are still to be joined with the last `keep` entries before, `results`
    where the results have the causal size.
    """

    keep: int = field(kw_only=True)
    axes: Mapping[Value, int] = field(kw_only=True)
    results: tuple[int, ...] = field(kw_only=True)
    count: Size = field(kw_only=True)


Stepping = TypeVar("Stepping", bound=Operation)


def stepping(
    kind: type[Stepping], operation: Operation, operands: tuple[Value, ...], **more: Any
) -> Stepping:
    """An operation of `forward` as one of a step, on other operands."""
    same = {each.name: getattr(operation, each.name) for each in fields(operation)}
    return kind(**{**same, "operands": operands, **more})
