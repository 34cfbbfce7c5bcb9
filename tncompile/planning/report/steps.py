"""What a program costs in a mode, contraction by contraction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tncompile.lowering import TensorProgram
from tncompile.lowering.schedule import Schedule
from tncompile.lowering.stacking.grouping import EqualStepGroup, made_by, units
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.costs import CostStep, Figures, ModeCost, figures
from tncompile.simulation.dense_layer import dense_run, dense_twin
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.modes import Mode, trace_in
from tncompile.simulation.trace import Trace


def mode_cost(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    mode: Mode,
) -> ModeCost:
    """What a lowered tree costs in a mode at these run-time sizes."""
    traced = trace_in(network, program, sizes, profile, mode)
    spent = [work.seconds for work in traced.forward]
    if mode == "training":
        spent = [one + two.seconds for one, two in zip(spent, traced.backward, strict=True)]
    return ModeCost(
        figures_of(network, traced, sizes, profile, mode),
        cost_steps(network, tree, schedule, program, sizes, traced.forward, spent),
    )


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
    held = None if isinstance(twin, str) else twin
    return figures(network, held, run, traced, training=training)


def cost_steps(
    network: TensorNetwork,
    tree: ContractionTree,
    schedule: Schedule,
    program: TensorProgram,
    sizes: Mapping[str, int],
    forward: Sequence[OpCost],
    spent: Sequence[float],
) -> tuple[CostStep, ...]:
    """The rows of the cost table: one a contraction, or a batch of equal ones.

    `forward` is the work of every step of the program in a forward pass, `spent` its seconds in the
    mode that is counted.
    """
    rows = units(network, tree, grouped=schedule.grouped)
    works, seconds = [OpCost() for _ in rows], [0.0 for _ in rows]
    for place, work, took in zip(row_numbers(rows, program), forward, spent, strict=True):
        if place is not None:
            works[place].add(work)
            seconds[place] += took
    labels = [network.tensors[operand.tensor].name for operand in tree.operands]
    labels += [""] * len(tree.steps)
    for k, row in enumerate(rows):
        for _, _, step in row.members:
            labels[step.result] = f"t{k + 1}"
    made = made_by(rows, program)
    length = {index.name: index.size or sizes[index.name] for index in network.indices}
    whole = sum(spent) or 1.0
    return tuple(
        CostStep(
            result=f"t{k + 1}",
            left=_label(row, 0, labels),
            right=_label(row, 1, labels),
            indices=row.members[0][2].legs,
            multiply_adds=works[k].multiply_adds,
            bytes=4
            * sum(step.result in made for _, _, step in row.members)
            * math.prod(length[x] for x in row.members[0][2].legs),
            share=seconds[k] / whole,
            count=len(row.members),
            looked_up=bool(row.members[0][2].lookups),
        )
        for k, row in enumerate(rows)
    )


def row_numbers(rows: Sequence[EqualStepGroup], program: TensorProgram) -> list[int | None]:
    """Which row of the cost table each step of a program serves; None for none of them."""
    row_of = {step.result: k for k, row in enumerate(rows) for _, _, step in row.members}
    served = [step.contraction for step in program.steps]
    return [None if one is None else row_of.get(one) for one in served]


def _label(row: EqualStepGroup, side: int, labels: list[str]) -> str:
    """`G[1]`, `t3`, or the first and the last of a batch."""
    sides = [left if side == 0 else right for left, right, _ in row.members]
    names = list(dict.fromkeys(labels[number] for number in sides))
    return names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
