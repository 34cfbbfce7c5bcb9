"""What a lowered tree costs in a mode: totals, and the contraction step by step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from tncompile.lowering import TensorProgram
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import EqualStepGroup, made_by, units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.program.operation import results
from tncompile.simulation.dense_layer import dense_parameters, dense_run, dense_twin
from tncompile.simulation.modes import Mode, trace_in
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
    largest_intermediate  elements of the largest intermediate tensor
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
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CostStep:
    """One contraction of the plan, or `count` equal ones that run as one batched product.

    `bytes` is the size of the result, all members together. Members of equal value are computed and
    counted once, and a contraction whose value exists already has no bytes. `share` is its part of
    the predicted time of the mode, preparing its operands included. A step that the folded module
    has computed ahead has no share and no multiply-adds. Where the result is a table, `looked_up`,
    `indices` are those of the rows that ids select.
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
        """`G[0] · t1`, with what is done with the result, or that an equal one is reused."""
        reused = "" if self.bytes else ", reused"
        return f"{self.left} · {self.right}{', looked up' if self.looked_up else ''}{reused}"

    def to_dict(self) -> dict[str, object]:
        """The step as JSON stores it."""
        return asdict(self) | {"indices": list(self.indices)}


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
        """The cost as JSON stores it."""
        steps = [step.to_dict() for step in self.steps]
        return {"figures": self.figures.to_dict(), "steps": steps}


def mode_cost(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> ModeCost:
    """What a lowered tree costs in a mode at these run-time sizes.

    A step has the multiply-adds of a forward pass, and its share of the seconds of the mode.
    """
    traced = trace_in(network, program, sizes, profile, mode)
    spent = [work.seconds for work in traced.forward]
    for k, work in enumerate(traced.backward):  # of a training step
        spent[k] += work.seconds
    rows = units(network, tree, batch_equal_steps=schedule.batch_equal_steps)
    multiply_adds, seconds = [0] * len(rows), [0.0] * len(rows)
    for step, number in enumerate(row_numbers(rows, program)):
        if number is not None:
            multiply_adds[number] += traced.forward[step].multiply_adds
            seconds[number] += spent[step]
    labels = [network.tensors[operand.tensor].name for operand in tree.operands]
    labels += [""] * len(tree.steps)
    for k, row in enumerate(rows):
        for _, _, contraction in row.members:
            labels[contraction.result] = f"t{k + 1}"
    producers = made_by(rows, program)
    wide = {
        step.contraction for step in program.steps
        if step.operation.is_contraction and program.values[results(step.operation)[0]].complex
    }  # fmt: skip
    length = {index.name: index.size or sizes[index.name] for index in network.indices}
    total = sum(spent) or 1.0
    steps = tuple(
        CostStep(
            result=f"t{k + 1}",
            left=_label(labels[left] for left, _, _ in row.members),
            right=_label(labels[right] for _, right, _ in row.members),
            indices=row.members[0][2].legs,
            multiply_adds=multiply_adds[k],
            bytes=(8 if row.members[0][2].result in wide else 4)
            * sum(step.result in producers for _, _, step in row.members)
            * math.prod(length[leg] for leg in row.members[0][2].legs),
            share=seconds[k] / total,
            count=len(row.members),
            looked_up=bool(row.members[0][2].lookups),
        )
        for k, row in enumerate(rows)
    )
    return ModeCost(figures_of(network, traced, sizes, profile, mode), steps)


def figures_of(
    network: TensorNetwork,
    traced: Trace,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> Figures:
    """The totals of a trace in its mode, and the dense map's beside them."""
    training = mode == "training"
    run = dense_run(network, sizes, profile, training=training)
    twin = dense_twin(network, sizes)
    total, parameters, dense = traced.total, network.parameter_count, dense_parameters(network)
    return Figures(
        multiply_adds=_finite(total.multiply_adds),
        flops=_finite(total.flops),
        peak_bytes=_finite(traced.peak),
        moved_bytes=_finite(total.moved),
        copied_bytes=_finite(total.copied),
        largest_intermediate=_finite(total.largest),
        intensity=_ratio(total.flops, total.moved),
        seconds=_finite(total.seconds),
        parameters=parameters,
        dense_parameters=_finite(dense),
        dense_flops=None if isinstance(twin, str) else _finite(twin.flops(training=training)),
        dense_seconds=run.seconds if run else None,
        dense_peak_bytes=run.peak_bytes if run else None,
        compression=_ratio(dense, parameters),
    )


def _finite(value: Number) -> Number | None:
    """The value, or None where no float could hold it, as tools read JSON into floats."""
    try:
        return value if math.isfinite(value) else None
    except OverflowError:
        return None


def _ratio(above: int, below: int) -> float | None:
    """A quotient; None where it has no finite value."""
    try:
        return above / below if below else None
    except OverflowError:
        return None


def row_numbers(rows: Sequence[EqualStepGroup], program: TensorProgram) -> list[int | None]:
    """Which row of the cost table each step of a program serves; None for none of them."""
    row_of = {step.result: k for k, row in enumerate(rows) for _, _, step in row.members}
    served = [step.contraction for step in program.steps]
    return [None if number is None else row_of.get(number) for number in served]


def _label(labels: Iterable[str]) -> str:
    """`G[1]`, `t3`, or the first and the last of a batch."""
    names = list(dict.fromkeys(labels))
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
