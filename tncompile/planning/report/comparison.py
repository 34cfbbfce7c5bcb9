"""The cost of a plan at a batch size: what the module runs in each mode, and its alternatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import BUILTIN, MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.features import DENSE_LIMIT
from tncompile.network.model import TensorNetwork
from tncompile.planning.paths.candidates import MATERIALIZE, STRAIGHT
from tncompile.planning.paths.lookup_tables import LARGEST_TABLE
from tncompile.planning.plan import Alternative, ContractionPlan, Variant
from tncompile.planning.report.cost import Chosen, Cost, Crossing
from tncompile.planning.report.crossover import Clock, crossing
from tncompile.planning.request import leading_size, runtime_sizes
from tncompile.planning.wording import count_text, schedule_text
from tncompile.simulation.costs import Figures, figures_of, mode_cost
from tncompile.simulation.dense_layer import dense_parameters, dense_run, dense_twin
from tncompile.simulation.modes import MODES, Mode, trace_in

DENSE = "dense layer"
"""The dense map as one layer of torch, which every contraction competes with."""

CROSSING_TENSORS = 100
"""Crossings are looked for in networks of at most this many tensors: it takes some forty traces."""


def cost(
    network: TensorNetwork,
    planned: ContractionPlan,
    *,
    batch: int,
    sizes: Mapping[str, int] | None = None,
    profile: MachineProfile = BUILTIN,
    mode: Mode | None = None,
) -> Cost:
    """What the module of a plan costs at a batch size, in every mode.

    `mode` is the one that is shown, by default the plan's own. Alternatives are compared at the
    sizes that the plan was requested for.
    """
    runtime = runtime_sizes(network, batch, sizes or {})
    leading = leading_size(runtime)
    batch = planned.batch if leading is None else runtime[leading]
    return _Comparison(network, planned, batch, runtime, profile).cost(mode or planned.mode)


class _Comparison:
    """A plan at some run-time sizes; every program is lowered once."""

    def __init__(
        self,
        network: TensorNetwork,
        planned: ContractionPlan,
        batch: int,
        runtime: Mapping[str, int],
        profile: MachineProfile,
    ) -> None:
        self.network, self.planned, self.batch = network, planned, batch
        self.runtime, self.profile = runtime, profile
        self._programs: dict[tuple[ContractionTree, Schedule], TensorProgram] = {}

    def cost(self, mode: Mode) -> Cost:
        """Everything, to be shown in a mode."""
        alternatives = {each: self._alternatives(each) for each in MODES}
        alternatives = {each: others for each, others in alternatives.items() if others}
        twin = dense_twin(self.network, self.runtime)
        return Cost(
            name=self.network.target,
            sizes=dict(self.runtime),
            machine=self.profile.name,
            mode=mode,
            chosen={each: self._chosen(each) for each in MODES},
            compared={
                each: {other.name: self._figures(other, each) for other in others}
                for each, others in alternatives.items()
            },
            crossed={each: self._crossings(each, others) for each, others in alternatives.items()},
            reasons=dict(self._reasons(alternatives)),
            dense_layer=None if isinstance(twin, str) else twin.kind,
        )

    def _chosen(self, mode: Mode) -> Chosen:
        """What runs in a mode, and what it costs."""
        variant = self.planned.variant(self.batch, mode)
        cost = variant.cost
        same = variant.mode == mode and dict(variant.sizes) == dict(self.runtime)
        if not same or self.profile.name != self.planned.machine:
            program = self._program(variant)
            cost = mode_cost(
                self.network,
                variant.tree,
                variant.schedule,
                program,
                self.runtime,
                self.profile,
                mode,
            )
        return Chosen(variant.found_by, schedule_text(variant.schedule), cost)

    def _program(self, variant: Variant | Alternative) -> TensorProgram:
        key = variant.tree, variant.schedule
        if key not in self._programs:
            self._programs[key] = lower(self.network, *key, sizes=self.planned.sizes)
        return self._programs[key]

    def _alternatives(self, mode: Mode) -> tuple[Alternative, ...]:
        """The alternatives of the plan at this size, if it was requested for it."""
        return tuple(
            other
            for other in self.planned.alternatives
            if (other.mode, other.batch) == (mode, self.batch)
        )

    def _figures(self, other: Alternative, mode: Mode) -> Figures:
        traced = trace_in(self.network, self._program(other), self.runtime, self.profile, mode)
        return figures_of(self.network, traced, self.runtime, self.profile, mode)

    def _crossings(self, mode: Mode, others: tuple[Alternative, ...]) -> dict[str, Crossing]:
        """Where along the batch size each alternative overtakes what the module runs there."""
        leading = leading_size(self.runtime)
        small = len(self.network.tensors) <= CROSSING_TENSORS and self.planned.search != "fast"
        if leading is None or not small:
            return {}

        def runs(size: int) -> TensorProgram:
            return self._program(self.planned.variant(size, mode))

        clock = Clock(self.network, self.profile, mode, runs, leading, self.runtime, {})
        here = self.runtime[leading]
        crossings: dict[str, Crossing] = {}
        known: dict[int, Crossing] = {}
        for other in others:
            program = self._program(other)
            if id(program) not in known:
                known[id(program)] = crossing(clock.compare(program), here)
            crossings[other.name] = known[id(program)]
        if clock.dense(here) is not None:
            crossings[DENSE] = crossing(clock.compare(None), here)
        return {name: at for name, at in crossings.items() if at != Crossing()}

    def _reasons(
        self, alternatives: Mapping[Mode, tuple[Alternative, ...]]
    ) -> Iterable[tuple[str, str]]:
        """Why the dense weight or the dense layer is not compared."""
        inputs = self.network.inputs
        numbers = dense_parameters(self.network)
        large = f"a dense weight of {count_text(numbers)} numbers is more than {DENSE_LIMIT:,}"
        of_ids = [input_.integer for input_ in inputs]
        everywhere = all(
            any(other.name == MATERIALIZE for other in others) for others in alternatives.values()
        )
        if alternatives and inputs and not all(of_ids) and not everywhere:
            if any(of_ids):
                reason = f"no one table of up to {LARGEST_TABLE:,} numbers holds all parameters"
            elif numbers > DENSE_LIMIT:
                reason = large
            elif len(self.network.tensors) > STRAIGHT:
                reason = f"not tried with {len(self.network.tensors):,} tensors"
            else:
                reason = "an intermediate is too large"
            yield MATERIALIZE, reason
        twin = dense_twin(self.network, self.runtime)
        if isinstance(twin, str):
            yield DENSE, twin
        elif twin.weight > DENSE_LIMIT:
            yield DENSE, large
        elif dense_run(self.network, self.runtime, self.profile, training=False) is None:
            yield DENSE, f"an intermediate has more than {DENSE_LIMIT:,} numbers"
