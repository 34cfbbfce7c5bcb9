"""Where the time of a module goes: the steps of its program, timed one by one on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.lowering import TensorProgram
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.report.steps import mode_cost, row_numbers
from tncompile.program.interpreter import time_steps
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.modes import Mode, trace_in

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class ProfiledStep:
    """One contraction, or what belongs to none (`label` says what): measured and counted.

    flops     floating-point operations of its products, forward and backward
    moved     bytes that its operations read and write
    copied    bytes written only to change a layout
    """

    result: str
    label: str
    forward: float  # seconds
    backward: float
    flops: int
    moved: int
    copied: int

    @property
    def seconds(self) -> float:
        """Forward and backward together."""
        return self.forward + self.backward


def profile_steps(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    program: TensorProgram,
    weights: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> tuple[ProfiledStep, ...]:
    """The rows of the cost table, timed; last comes what serves none of them, if anything does."""
    training = mode == "training"
    _, spent = time_steps(
        network, program, weights, inputs, sizes, training=training, device=profile.device
    )
    traced = trace_in(network, program, sizes, profile, mode)
    costs = [OpCost() for _ in program.steps]
    for number, cost in enumerate(costs):
        cost.add(traced.forward[number])
        if training:
            cost.add(traced.backward[number])
    labels = [
        (row.result, f"{f'{row.count} × ' if row.count > 1 else ''}{row.contraction}")
        for row in mode_cost(network, tree, schedule, program, sizes, profile, mode).steps
    ]
    labels.append(("", "inputs, weights and output made ready"))
    rows = row_numbers(units(network, tree, grouped=schedule.grouped), program)
    steps = []
    for number, (result, label) in enumerate(labels):
        row = number if number < len(labels) - 1 else None
        ours = [k for k, other in enumerate(rows) if other == row]
        steps.append(
            ProfiledStep(
                result,
                label,
                sum(spent[k].forward for k in ours),
                sum(spent[k].backward for k in ours),
                sum(costs[k].flops for k in ours),
                sum(costs[k].moved for k in ours),
                sum(costs[k].copied for k in ours),
            )
        )
    return tuple(steps if steps[-1].seconds else steps[:-1])
