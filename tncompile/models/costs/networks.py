"""What the networks of a model cost: their plans at the rows that reach them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import MachineProfile
from tncompile.models.costs.running.runs import Contraction, Outline, Run
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.request import runtime_sizes
from tncompile.program.queries import takes_number
from tncompile.simulation.dense_layer import dense_parameters, dense_run, dense_twin
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.tensors import Shape, contiguous_strides
from tncompile.simulation.trace import trace


@dataclass(frozen=True, slots=True)
class DenseLayer:
    """The layer of torch that a network is like, on the same inputs; seconds may be unknown."""

    kind: str
    parameters: int
    flops: int
    seconds: float | None


@dataclass(frozen=True)
class PlannedNetwork:
    """A network and its plan; each of its programs is lowered once."""

    network: TensorNetwork
    plan: ContractionPlan
    programs: dict[tuple[ContractionTree, Schedule], TensorProgram] = field(default_factory=dict)

    def run(
        self,
        rows: int,
        sizes: Mapping[str, int],
        profile: MachineProfile,
        inputs: tuple[str, ...],
        shapes: tuple[Shape, ...],
        width: int,
        *,
        training: bool,
        through: bool,
        frozen: bool,
        numbers: frozenset[str] = frozenset(),
    ) -> Run:
        """One run on inputs of so many rows; `through` says that they want gradients.

        The inputs `numbers` are given as such: what they pick is a slice.
        """
        network = self.network
        named = network.with_window_sizes(runtime_sizes(network, rows, sizes))
        leading = network.leading
        variant = self.plan.variant(
            named[leading] if leading is not None else rows,
            "training" if training else "inference",
        )
        if frozen:
            parameters = tuple(
                each.model_copy(update={"frozen": True}) for each in network.parameters
            )
            network = network.model_copy(update={"parameters": parameters})
        key = variant.tree, variant.schedule
        if key not in self.programs:
            self.programs[key] = lower(self.network, *key, sizes=self.plan.sizes)
        program = self.programs[key]
        traced = trace(
            network,
            program,
            named,
            profile,
            training=training,
            through=through,
            numbers=[name for name in numbers if takes_number(program, name)],
        )
        forward, backward = OpCost(), OpCost()
        for total, costs in ((forward, traced.forward), (backward, traced.backward)):
            for each in costs:
                total.add(each)
            total.flops = 2 * total.multiply_adds
        starts = profile.backward_start if traced.backward else 0.0
        forward.spend(traced.overhead - starts)
        made = sum(width * math.prod(shape) for shape in shapes)
        trained = sum(
            math.prod(each.shape) * 4 * (1 + each.complex)
            for each in network.parameters
            if training and not each.frozen
        )
        steps = [step for step in variant.cost.steps if step.share]
        largest = max(steps, key=lambda step: step.share, default=None)
        contraction = None
        if largest is not None:
            contraction = Contraction(largest.contraction, largest.share * forward.seconds)
        return Run(
            forward,
            backward,
            traced.forward_peak - traced.resident,
            max(0, traced.peak - traced.resident - traced.held) if training else 0,
            tuple(Outline(shape, contiguous_strides(shape), width) for shape in shapes),
            max(0, traced.held - made) if training else 0,
            tuple(k for k, name in enumerate(inputs) if name in traced.saved_inputs),
            (),
            tuple(training and through and not network.input[name].integer for name in inputs),
            trained,
            largest=contraction,
            called=(rows, sizes),
        )

    def dense(
        self, rows: int, sizes: Mapping[str, int], profile: MachineProfile, training: bool
    ) -> DenseLayer | None:
        """The dense twin, where torch has one."""
        named = self.network.with_window_sizes(runtime_sizes(self.network, rows, sizes))
        twin = dense_twin(self.network, named)
        if isinstance(twin, str):
            return None
        run = dense_run(self.network, named, profile, training=training)
        return DenseLayer(
            twin.kind,
            dense_parameters(self.network),
            twin.flops(training=training),
            run.seconds if run else None,
        )
