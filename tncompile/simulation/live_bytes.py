"""The memory of a run over time: the bytes alive while each step of a program runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from tncompile.lowering import TensorProgram
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.program.operation import results
from tncompile.simulation.costs import row_numbers
from tncompile.simulation.modes import Mode, trace_in


@dataclass(frozen=True, slots=True)
class LiveStep:
    """The bytes alive while a step runs, at the most, beside those of inputs and parameters.

    result       the name of what it makes in the tensor program
    contraction  the contraction that it serves, counted from 0 as the steps of `Cost`; or None
    backward     whether it is that of the backward pass: its gradients
    waiting      bytes that were there when it began: intermediates, what autograd saves, gradients
    written      bytes that it adds at the most: its result, copies of its operands, buffers
    """

    result: str
    contraction: int | None
    backward: bool
    waiting: int
    written: int


@dataclass(frozen=True, slots=True)
class LiveBytes:
    """The bytes alive over a run, step by step in the order of the program; loops count once.

    Inputs and parameters are alive all the time. Steps that make nothing new are left out. The
    largest sum is `peak`, the figure `peak_bytes` of the mode.
    """

    inputs: int
    parameters: int
    steps: tuple[LiveStep, ...]

    @property
    def resident(self) -> int:
        """The bytes of inputs and parameters."""
        return self.inputs + self.parameters

    @property
    def series(self) -> tuple[int, ...]:
        """All bytes alive, at the most, while each step runs."""
        return tuple(self.resident + step.waiting + step.written for step in self.steps)

    @property
    def peak(self) -> int:
        """The most bytes alive at once."""
        return max(self.series, default=self.resident)

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON."""
        steps = [asdict(step) for step in self.steps]
        return {"inputs": self.inputs, "parameters": self.parameters, "steps": steps}


def live_bytes(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> LiveBytes:
    """The memory of a lowered tree over time, in a mode, at these run-time sizes."""
    traced = trace_in(network, program, sizes, profile, mode)
    rows = units(network, tree, batch_equal_steps=schedule.batch_equal_steps)
    numbers = row_numbers(rows, program)
    steps: list[LiveStep] = []
    for backward, works in ((False, traced.forward), (True, traced.backward)):
        order = range(len(works))
        for k in reversed(order) if backward else order:
            work = works[k]
            if work.peak > max(work.before, traced.resident):
                name = results(program.steps[k].operation)[0]
                waiting = max(0, work.before - traced.resident)
                written = work.peak - traced.resident - waiting
                steps.append(LiveStep(name, numbers[k], backward, waiting, written))
    return LiveBytes(traced.resident - traced.parameters, traced.parameters, tuple(steps))
