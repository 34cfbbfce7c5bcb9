"""The cost of a plan at a batch size: what the module runs in each mode, and its alternatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import Schedule
from tncompile.machine.profile import BUILTIN, MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.editing import resize
from tncompile.network.features import DENSE_LIMIT
from tncompile.network.model import TensorNetwork
from tncompile.network.verifying import verify_network
from tncompile.planning.paths.candidates import MATERIALIZE, STRAIGHT
from tncompile.planning.paths.lookup_tables import LARGEST_TABLE
from tncompile.planning.plan import Alternative, ContractionPlan, Variant
from tncompile.planning.report.candidates import CandidatePlan
from tncompile.planning.report.cost import Cost, Crossing
from tncompile.planning.request import runtime_sizes, whole
from tncompile.planning.tolerances import CLEARLY
from tncompile.planning.wording import count_text
from tncompile.simulation.costs import Figures, figures_of, mode_cost
from tncompile.simulation.dense_layer import dense_parameters, dense_run, dense_twin
from tncompile.simulation.live_bytes import LiveBytes, live_bytes
from tncompile.simulation.modes import MODES, Mode, trace_in

DENSE = "dense layer"  # the dense map as one layer of torch, which every contraction competes with
CROSSING_TENSORS = 100  # of larger networks no crossings: each takes some forty traces
LARGEST_BATCH = 2**20  # crossings are looked for up to this batch size


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
    named = runtime_sizes(network, batch, sizes or {})
    runtime = network.with_window_sizes(named)
    leading = network.leading
    batch = planned.batch if leading is None else runtime[leading]
    return _Comparison(network, planned, batch, named, runtime, profile).cost(mode or planned.mode)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """A plan at some run-time sizes; every program is lowered once."""

    network: TensorNetwork
    planned: ContractionPlan
    batch: int
    named: Mapping[str, int]
    runtime: Mapping[str, int]
    profile: MachineProfile
    as_planned: bool = True  # whether it is the network that the variants have the costs of
    programs: dict[tuple[ContractionTree, Schedule], TensorProgram] = field(default_factory=dict)

    @property
    def leading(self) -> str | None:
        """The run-time index that `batch` is the size of."""
        return self.network.leading

    def at(self, batch: int | None, sizes: Mapping[str, int], mode: Mode) -> Cost:
        """The same plan at other sizes; those that are not given stay."""
        leading = self.network.leading
        rows = self.batch if batch is None else whole("a batch size", batch)
        if not isinstance(sizes, Mapping):
            raise TypeError(f"sizes are a mapping of names to ints, not {sizes!r}")
        given = {name: whole(f"the size of `{name}`", size) for name, size in sizes.items()}
        others = {name: size for name, size in self.named.items() if name != leading}
        named = runtime_sizes(self.network, rows, {**others, **given})
        runtime = self.network.with_window_sizes(named)
        rows = self.batch if leading is None else runtime[leading]
        return replace(self, batch=rows, named=named, runtime=runtime).cost(mode)

    def resized(self, index: str, size: int, among: Iterable[CandidatePlan], mode: Mode) -> Cost:
        """The cost with another size of an index, of the fastest of some orders."""
        size = whole(f"the size of `{index}`", size)
        network = resize(self.network, index, size)
        if wrong := next(verify_network(network), None):
            raise ValueError(f"`{index}` alone cannot have another size: {wrong}")
        if self.network.index[index].size == 1:
            raise ValueError(f"`{index}` has size 1: the plan does not know it")
        planned = replace(self.planned, alternatives=())
        other = replace(self, network=network, planned=planned, programs={}, as_planned=False)
        options = tuple(among)
        fastest = tuple(
            other._fastest(self._orders(each, index, size, options if each == mode else ()))
            for each in MODES
        )
        return replace(other, planned=replace(planned, variants=fastest)).cost(mode)

    def _orders(
        self, mode: Mode, index: str, size: int, among: Iterable[CandidatePlan]
    ) -> list[Variant]:
        """What runs in a mode here, then the other orders to choose from, each once."""
        now = replace(self.planned.variant(self.batch, mode), mode=mode, up_to=None)
        known = {(now.tree, now.schedule): now.found_by}
        for each in among:
            option = each.option
            known.setdefault((option.tree, option.schedule), option.names)
        if size == 1:  # no operand has the leg then
            known = {(t.without(index), s.without(index)): names for (t, s), names in known.items()}
        return [
            replace(now, tree=tree, schedule=schedule, found_by=names)
            for (tree, schedule), names in known.items()
        ]

    def _fastest(self, variants: list[Variant]) -> Variant:
        """The variant of least predicted time here; the first one where none is clearly faster."""
        if len(variants) == 1:
            return variants[0]
        times = [
            trace_in(
                self.network, self._program(each), self.runtime, self.profile, each.mode
            ).total.seconds
            for each in variants
        ]
        least = min(times)
        return variants[0 if times[0] <= CLEARLY * least else times.index(least)]

    def live_bytes(self, mode: Mode) -> LiveBytes:
        """The memory over time, in a mode."""
        variant = self.planned.variant(self.batch, mode)
        how = variant.tree, variant.schedule, self._program(variant)
        return live_bytes(self.network, *how, self.runtime, self.profile, mode)

    def cost(self, mode: Mode) -> Cost:
        """Everything, to be shown in a mode."""
        others: dict[Mode, list[Alternative]] = {}
        for other in self.planned.alternatives:  # of this size, if the plan was requested for it
            if other.batch == self.batch:
                others.setdefault(other.mode, []).append(other)
        others = {each: others[each] for each in MODES if each in others}
        twin = dense_twin(self.network, self.runtime)
        return Cost(
            name=self.network.target,
            sizes=dict(self.named),
            machine=self.profile.name,
            mode=mode,
            chosen={each: self._chosen(each) for each in MODES},
            compared={
                each: {other.name: self._figures(other) for other in of_mode}
                for each, of_mode in others.items()
            },
            crossed={each: self._crossings(each, of_mode) for each, of_mode in others.items()},
            reasons=dict(self._reasons(others)),
            dense_layer=None if isinstance(twin, str) else twin.kind,
            _costing=self,
        )

    def _chosen(self, mode: Mode) -> Variant:
        """What runs in a mode, and what it costs here."""
        variant, sizes, profile = self.planned.variant(self.batch, mode), self.runtime, self.profile
        same = self.as_planned and variant.mode == mode and dict(variant.sizes) == dict(self.named)
        if same and profile.name == self.planned.machine:
            return variant
        how = variant.tree, variant.schedule, self._program(variant)
        return replace(variant, cost=mode_cost(self.network, *how, sizes, profile, mode))

    def _program(self, variant: Variant | Alternative) -> TensorProgram:
        key = variant.tree, variant.schedule
        if key not in self.programs:
            self.programs[key] = lower(self.network, *key, sizes=self.planned.sizes)
        return self.programs[key]

    def _figures(self, other: Alternative) -> Figures:
        here = self.runtime, self.profile, other.mode
        traced = trace_in(self.network, self._program(other), *here)
        return figures_of(self.network, traced, *here)

    def _crossings(self, mode: Mode, others: Iterable[Alternative]) -> dict[str, Crossing]:
        """Where along the batch size each alternative overtakes what the module runs there."""
        leading = self.network.leading
        many = len(self.network.tensors) > CROSSING_TENSORS
        if leading is None or many or self.planned.search == "fast":
            return {}
        known: dict[tuple[int, int], float] = {}

        def seconds(program: TensorProgram | None, size: int) -> float:
            """The time of a program, or of the dense layer: endless where there is none."""
            sizes = {**self.runtime, leading: size}
            if (id(program), size) in known:
                return known[id(program), size]
            if program is None:
                run = dense_run(self.network, sizes, self.profile, training=mode == "training")
                time = run.seconds if run else math.inf
            else:
                traced = trace_in(self.network, program, sizes, self.profile, mode)
                time = traced.total.seconds
            return known.setdefault((id(program), size), time)

        def faster(program: TensorProgram | None, size: int) -> bool:
            module = self._program(self.planned.variant(size, mode))
            return CLEARLY * seconds(program, size) < seconds(module, size)

        here = self.runtime[leading]
        programs = {other.name: self._program(other) for other in others}
        dense = {DENSE: None} if seconds(None, here) < math.inf else {}
        crossings = {
            name: crossing(partial(faster, program), here)
            for name, program in {**programs, **dense}.items()
        }
        return {name: at for name, at in crossings.items() if at != Crossing()}

    def _reasons(self, alternatives: Mapping[Mode, list[Alternative]]) -> Iterable[tuple[str, str]]:
        """Why the dense weight or the dense layer is not compared."""
        inputs = self.network.inputs
        numbers = dense_parameters(self.network)
        large = f"a dense weight of {count_text(numbers)} numbers is more than {DENSE_LIMIT:,}"
        of_ids = [input_.integer for input_ in inputs]
        everywhere = all(
            MATERIALIZE in [other.name for other in others] for others in alternatives.values()
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


def crossing(faster: Callable[[int], bool], here: int) -> Crossing:
    """The batch sizes around `here` at which something is faster, to the unit.

    >>> crossing(lambda size: size >= 100, 64), crossing(lambda size: size < 100, 64)
    (Crossing(faster_from=100, faster_up_to=None), Crossing(faster_from=1, faster_up_to=99))
    """
    doubled = [here << k for k in range(1, 22) if here << (k - 1) < LARGEST_BATCH]
    halved = [here >> k for k in range(1, here.bit_length())]
    above, below = _change(faster, here, doubled), _change(faster, here, halved)
    if not faster(here):
        return Crossing(above, below)
    return Crossing(1 if below is None else below + 1, None if above is None else above - 1)


def _change(faster: Callable[[int], bool], here: int, sizes: Iterable[int]) -> int | None:
    """The size nearest to `here` that differs from it, as far as one of `sizes` does."""
    now, like = faster(here), here
    for differing in sizes:
        if faster(differing) != now:
            break
        like = differing
    else:
        return None
    while abs(differing - like) > 1:
        middle = (like + differing) // 2
        like, differing = (middle, differing) if faster(middle) == now else (like, middle)
    return differing
