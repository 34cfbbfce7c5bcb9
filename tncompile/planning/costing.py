"""What a lowered program costs: totals, the contraction step by step, and the alternatives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar

from tncompile.lowering.batching import Unit, units
from tncompile.lowering.program import TensorProgram
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.dense import DenseMap, Run
from tncompile.planning.device import Work
from tncompile.planning.tracing import Trace

Number = TypeVar("Number", int, float)

Mode = Literal["inference", "training"]
"""What is counted: a forward pass, or a training step."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of a forward pass, or of a training step (forward and backward).

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
    dense_flops           its operations on the same inputs; 0 for ids, which are looked up
    dense_seconds         predicted for it as one layer of torch
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

    `bytes` is the size of the result, all members together; `share` its part of the predicted time
    of a forward pass, `training_share` of a training step, preparing its operands included.
    """

    result: str
    left: str
    right: str
    indices: tuple[str, ...]
    multiply_adds: int
    bytes: int
    share: float
    training_share: float
    count: int = 1

    def to_dict(self) -> dict[str, object]:
        """The step as JSON holds it."""
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "indices": list(self.indices)
        }


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


@dataclass(frozen=True)
class Cost:
    """What a plan costs at some run-time sizes; `str()` is the table, `to_dict()` the numbers.

    `compared` are other orders of contraction, `crossed` the batch sizes at which they, or the
    dense layer, are faster: both by mode. `reasons` say of what is missing there why it is.
    """

    name: str
    sizes: Mapping[str, int]
    machine: str
    mode: Mode  # what the plan was chosen for
    found_by: tuple[str, ...]
    inference: Figures
    training: Figures
    steps: tuple[CostStep, ...]
    compared: Mapping[Mode, Mapping[str, Figures]] = field(default_factory=dict)
    crossed: Mapping[Mode, Mapping[str, Crossing]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def figures(self) -> Figures:
        """The figures of the mode that the plan was chosen for."""
        return self.training if self.mode == "training" else self.inference

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
        return self.figures.flops or 0

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once in that mode."""
        return self.figures.peak_bytes or 0

    @property
    def seconds(self) -> float:
        """The predicted time of one run in that mode."""
        return self.figures.seconds or 0.0

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON.

        `alternatives` and `crossings` are those of the mode that the plan was chosen for, by name;
        `compared` and `crossed` hold both modes.
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
            "training": self.training.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "alternatives": compared.get(self.mode, {}),
            "crossings": crossed.get(self.mode, {}),
            "compared": compared,
            "crossed": crossed,
            "reasons": dict(self.reasons),
        }

    def table(self, *, training: bool = False, width: int = 100) -> str:
        """The contraction step by step, totals and alternatives, as text of `width` columns.

        Shares, alternatives and crossings are those of a forward pass, with `training` those of a
        training step. The width is 100 at least.
        """
        from tncompile.planning.table import cost_table

        return cost_table(self, "training" if training else "inference", width)

    def __str__(self) -> str:
        return self.table()


def figures(
    network: TensorNetwork, dense: DenseMap, run: Run | None, trace: Trace, *, training: bool
) -> Figures:
    """The totals of a trace; `run` is the dense map in the same mode."""
    total = trace.total
    parameters = network.parameter_count
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
        dense_parameters=finite(dense.parameters),
        dense_flops=finite(dense.flops * (2 if training else 1)),
        dense_seconds=run.seconds if run else None,
        dense_peak_bytes=run.peak_bytes if run else None,
        compression=ratio(dense.parameters, parameters),
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


def cost_steps(
    network: TensorNetwork,
    tree: ContractionTree,
    program: TensorProgram,
    sizes: Mapping[str, int],
    inference: Trace,
    training: Trace,
) -> tuple[CostStep, ...]:
    """The rows of the cost table: one a contraction, or a batch of equal ones."""
    rows = units(network, tree)
    row_of = {step.result: k for k, row in enumerate(rows) for _, _, step in row.members}
    forward = [Work() for _ in rows]
    both = [Work() for _ in rows]
    for number, served in enumerate(program.steps):
        place = row_of.get(served.contraction) if served.contraction is not None else None
        if place is not None:
            forward[place].add(inference.forward[number])
            both[place].add(training.forward[number])
            both[place].add(training.backward[number])
    labels = [network.tensors[operand.tensor].name for operand in tree.operands]
    labels += [""] * len(tree.steps)
    for k, row in enumerate(rows):
        for _, _, step in row.members:
            labels[step.result] = f"t{k + 1}"
    length = {index.name: index.size or sizes[index.name] for index in network.indices}
    whole, all_of_it = inference.total.seconds or 1.0, training.total.seconds or 1.0
    return tuple(
        CostStep(
            result=f"t{k + 1}",
            left=_label(row, 0, labels),
            right=_label(row, 1, labels),
            indices=row.members[0][2].legs,
            multiply_adds=forward[k].multiply_adds,
            bytes=4 * len(row.members) * math.prod(length[x] for x in row.members[0][2].legs),
            share=forward[k].seconds / whole,
            training_share=both[k].seconds / all_of_it,
            count=len(row.members),
        )
        for k, row in enumerate(rows)
    )


def _label(row: Unit, side: int, labels: list[str]) -> str:
    """`G[1]`, `t3`, or the first and the last of a batch."""
    sides = [left if side == 0 else right for left, right, _ in row.members]
    names = list(dict.fromkeys(labels[number] for number in sides))
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
