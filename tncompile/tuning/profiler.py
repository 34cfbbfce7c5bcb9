"""Where the time of a module goes: the steps of its program, timed one by one on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tncompile.lowering import TensorProgram
from tncompile.lowering.stacking.grouping import units
from tncompile.machine.profile import MachineProfile
from tncompile.network.model import TensorNetwork
from tncompile.planning import Variant
from tncompile.simulation.costs import mode_cost, row_numbers
from tncompile.simulation.modes import Mode, trace_in
from tncompile.tuning.step_timer import time_steps

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
    variant: Variant,
    program: TensorProgram,
    weights: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> tuple[ProfiledStep, ...]:
    """The rows of the cost table, timed; last comes what serves none of them, if anything does."""
    training = mode == "training"
    tree, schedule = variant.tree, variant.schedule
    _, spent = time_steps(
        network, program, weights, inputs, sizes, training=training, device=profile.device
    )
    traced = trace_in(network, program, sizes, profile, mode)
    labels: dict[int | None, tuple[str, str]] = {}
    costs = mode_cost(network, tree, schedule, program, sizes, profile, mode)
    for number, row in enumerate(costs.steps):
        count = f"{row.count} × " if row.count > 1 else ""
        labels[number] = row.result, f"{count}{row.contraction}"
    labels[None] = "", "preparing inputs, weights and output"
    rows = row_numbers(units(network, tree, batch_equal_steps=schedule.batch_equal_steps), program)
    steps = []
    for wanted, (result, label) in labels.items():
        ours = [k for k, number in enumerate(rows) if number == wanted]
        work = [traced.forward[k] for k in ours]
        work += [traced.backward[k] for k in ours if training]
        steps.append(
            ProfiledStep(
                result,
                label,
                sum(spent[k].forward for k in ours),
                sum(spent[k].backward for k in ours),
                sum(each.flops for each in work),
                sum(each.moved for each in work),
                sum(each.copied for each in work),
            )
        )
    return tuple(steps if steps[-1].seconds else steps[:-1])
