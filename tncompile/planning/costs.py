"""What a lowered program costs: totals, the contraction step by step, and the alternatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

from tncompile.network.model import TensorNetwork
from tncompile.notebook import as_html
from tncompile.simulation.dense_layer import Kind, Run, Twin, dense_parameters
from tncompile.simulation.modes import Mode
from tncompile.simulation.trace import Trace

Number = TypeVar("Number", int, float)


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of a forward pass (of the module or its folded twin), or of a training step.

    multiply_adds         products formed in contractions
    flops                 floating-point operations: two a multiply-add, one an addition
    peak_bytes            the most alive at once: inputs, parameters, gradients, saved and temporary
    moved_bytes           read and written by all operations together
    copied_bytes          written only to change a layout, copies inside matmul included
    largest_intermediate  numbers in the largest tensor that is made
    intensity             flops a moved byte
    seconds               predicted on the machine profile
    parameters            stored numbers of the network
    dense_parameters      those of the equivalent dense map
    dense_flops           those of the layer of torch that is like it, on the same inputs; 0 for
                          ids, which are looked up
    dense_seconds         predicted for that layer
    dense_peak_bytes      the most alive at once in that layer
    compression           dense_parameters / parameters

    A figure that is unknown, or too large for a float, is None.
    """

    multiply_adds: int | None
    flops: int | None
    peak_bytes: int | None
    moved_bytes: int | None
    copied_bytes: int | None
    largest_intermediate: int | None
    intensity: float | None
    seconds: float | None
    parameters: int
    dense_parameters: int | None
    dense_flops: int | None
    dense_seconds: float | None
    dense_peak_bytes: int | None
    compression: float | None

    def to_dict(self) -> dict[str, int | float | None]:
        """The figures by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class CostStep:
    """One contraction of the plan, or `count` equal ones that run as one batched product.

    `bytes` is the size of the result, all members together. Of members that are equal in value one
    is made and counted, and a contraction whose value is there already has no bytes. `share` is its
    part of the predicted time of the mode that is counted, preparing its operands included. A step
    of the folded module that was done once and for all has no share and no multiply-adds. Where the
    result is a table, `looked_up`, ids have picked the rows that are left of it.
    """

    result: str
    left: str
    right: str
    indices: tuple[str, ...]
    multiply_adds: int
    bytes: int
    share: float
    count: int = 1
    looked_up: bool = False

    @property
    def contraction(self) -> str:
        """`G[0] · t1`, with what is done with the result; or that an equal one is there."""
        done = "" if self.bytes else ", made before"
        return f"{self.left} · {self.right}{', looked up' if self.looked_up else ''}{done}"

    def to_dict(self) -> dict[str, object]:
        """The step as JSON holds it."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "indices": list(self.indices)
        }


@dataclass(frozen=True, slots=True)
class ModeCost:
    """What one variant of a plan costs in its mode: totals, and the contraction step by step."""

    figures: Figures
    steps: tuple[CostStep, ...]

    @property
    def flops(self) -> int:
        """The operations of one run."""
        return self.figures.flops or 0

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once."""
        return self.figures.peak_bytes or 0

    @property
    def seconds(self) -> float:
        """The predicted time of one run."""
        return self.figures.seconds or 0.0

    def to_dict(self) -> dict[str, object]:
        """The cost as JSON holds it."""
        steps = [step.to_dict() for step in self.steps]
        return {"figures": self.figures.to_dict(), "steps": steps}


@dataclass(frozen=True, slots=True)
class Crossing:
    """The batch sizes at which an alternative is predicted to be faster than the plan.

    With both, and `faster_from` the smaller, those in between: it is faster at the planned size.
    """

    faster_from: int | None = None  # from this batch size on
    faster_up_to: int | None = None  # up to this one

    def to_dict(self) -> dict[str, int | None]:
        """The crossing as JSON holds it."""
        return {"faster_from": self.faster_from, "faster_up_to": self.faster_up_to}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the module runs in one mode at the size that is asked for, and what it costs."""

    found_by: tuple[str, ...]
    schedule: str  # how the tree is run, in words: `16 rows at a time`; empty: all at once
    cost: ModeCost

    def to_dict(self) -> dict[str, object]:
        """The choice as JSON holds it."""
        return {
            "found_by": list(self.found_by),
            "strategy": self.schedule,
            "steps": [step.to_dict() for step in self.cost.steps],
        }


@dataclass(frozen=True, repr=False)
class Cost:
    """What a module costs at some run-time sizes; it prints as a table, `to_dict()` has numbers.

    `chosen` says for every mode what runs, `mode` is the one that was asked for. `compared` are
    other orders of contraction, `crossed` the batch sizes at which they, or the dense layer, are
    faster: both by mode. `reasons` say of what is missing there why it is. `dense_layer` is the
    layer of torch that is like the network: `nn.Linear`, `nn.Bilinear`, `nn.Embedding` or none.
    """

    name: str
    sizes: Mapping[str, int]
    machine: str
    mode: Mode
    chosen: Mapping[Mode, Chosen]
    compared: Mapping[Mode, Mapping[str, Figures]] = field(default_factory=dict)
    crossed: Mapping[Mode, Mapping[str, Crossing]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    dense_layer: Kind | None = None

    @property
    def inference(self) -> Figures:
        """The figures of a forward pass."""
        return self.chosen["inference"].cost.figures

    @property
    def training(self) -> Figures:
        """The figures of a training step."""
        return self.chosen["training"].cost.figures

    @property
    def folded(self) -> Figures:
        """The figures of a forward pass of the folded module."""
        return self.chosen["folded"].cost.figures

    @property
    def figures(self) -> Figures:
        """The figures of the mode that was asked for."""
        return self.chosen[self.mode].cost.figures

    @property
    def steps(self) -> tuple[CostStep, ...]:
        """The contraction in that mode."""
        return self.chosen[self.mode].cost.steps

    @property
    def found_by(self) -> tuple[str, ...]:
        """The ways that found what runs in that mode."""
        return self.chosen[self.mode].found_by

    @property
    def alternatives(self) -> Mapping[str, Figures]:
        """The other orders of contraction in that mode."""
        return self.compared.get(self.mode, {})

    @property
    def crossings(self) -> Mapping[str, Crossing]:
        """The batch sizes at which something else is faster in that mode."""
        return self.crossed.get(self.mode, {})

    @property
    def flops(self) -> int:
        """The operations of one run in that mode."""
        return self.chosen[self.mode].cost.flops

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once in that mode."""
        return self.chosen[self.mode].cost.peak_bytes

    @property
    def seconds(self) -> float:
        """The predicted time of one run in that mode."""
        return self.chosen[self.mode].cost.seconds

    def of(self, mode: Mode) -> Cost:
        """The same numbers, asked for in another mode."""
        return replace(self, mode=mode)

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON.

        `steps`, `alternatives` and `crossings` are those of the mode that was asked for; `chosen`,
        `compared` and `crossed` hold every mode.
        """
        compared = {
            mode: {name: figures.to_dict() for name, figures in held.items()}
            for mode, held in self.compared.items()
        }
        crossed = {
            mode: {name: crossing.to_dict() for name, crossing in held.items()}
            for mode, held in self.crossed.items()
        }
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "machine": self.machine,
            "mode": self.mode,
            "found_by": list(self.found_by),
            "inference": self.inference.to_dict(),
            "folded": self.folded.to_dict(),
            "training": self.training.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "alternatives": compared.get(self.mode, {}),
            "crossings": crossed.get(self.mode, {}),
            "chosen": {mode: held.to_dict() for mode, held in self.chosen.items()},
            "compared": compared,
            "crossed": crossed,
            "reasons": dict(self.reasons),
            "dense_layer": self.dense_layer,
        }

    def table(self, *, training: bool | None = None, width: int = 100) -> str:
        """The contraction step by step, totals and alternatives, as text of `width` columns.

        The contraction, its shares and the alternatives are those of the mode that was asked for,
        or, with `training` given, of a training step or a forward pass. The width is 100 at least.
        """
        from tncompile.planning.report.table import cost_table

        mode = self.mode if training is None else "training" if training else "inference"
        return cost_table(self, mode, width)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return self.table().rstrip("\n")

    def _repr_html_(self) -> str:
        return as_html(repr(self))


def figures(
    network: TensorNetwork, twin: Twin | None, run: Run | None, trace: Trace, *, training: bool
) -> Figures:
    """The totals of a trace; `twin` is the dense layer, `run` that in the same mode."""
    total = trace.total
    parameters, dense = network.parameter_count, dense_parameters(network)
    return Figures(
        multiply_adds=finite(total.multiply_adds),
        flops=finite(total.flops),
        peak_bytes=finite(trace.peak),
        moved_bytes=finite(total.moved),
        copied_bytes=finite(total.copied),
        largest_intermediate=finite(total.largest),
        intensity=ratio(total.flops, total.moved),
        seconds=finite(total.seconds),
        parameters=parameters,
        dense_parameters=finite(dense),
        dense_flops=finite(twin.flops(training=training)) if twin else None,
        dense_seconds=run.seconds if run else None,
        dense_peak_bytes=run.peak_bytes if run else None,
        compression=ratio(dense, parameters),
    )


def finite(value: Number) -> Number | None:
    """The value, or None where no float could hold it, as tools read JSON into floats."""
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def ratio(above: int, below: int) -> float | None:
    """A quotient; None where it has no finite value."""
    try:
        return above / below if below else None
    except OverflowError:
        return None
