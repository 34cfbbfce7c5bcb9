"""The cost of a model from its plans: at any run-time sizes, equal parts once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tncompile.language.typing.model import ResolvedModel
from tncompile.machine.profile import MachineProfile
from tncompile.models.contracting import Orders
from tncompile.models.costs.networks import PlannedNetwork
from tncompile.models.costs.operations.job import foreign
from tncompile.models.costs.report import ModelCost
from tncompile.models.costs.running.runner import Runner, shape_at
from tncompile.models.costs.running.runs import Run
from tncompile.models.costs.running.walk import run_model
from tncompile.models.costs.tree import WIDTHS, Tree, stored_bytes
from tncompile.models.graph.hoisting import find_splits
from tncompile.models.reach import Sizes
from tncompile.models.sizes import cost_sizes
from tncompile.network.model import DOTS
from tncompile.planning.request import DEFAULT_BATCH, whole


@dataclass(slots=True)
class Costing:
    """A model with its plans on a machine; what was run once is remembered."""

    model: ResolvedModel
    profile: MachineProfile
    networks: Mapping[int, PlannedNetwork]
    orders: Orders
    _runners: dict[bool, Runner] = field(init=False)
    _counts: dict[int, int] = field(default_factory=dict, init=False)
    _stored: int = field(init=False)

    def __post_init__(self) -> None:
        self._stored = stored_bytes(self.model)
        splits = find_splits(self.model)
        self._runners = {
            training: Runner(self.profile, self.networks, self.orders, splits, training, run_model)
            for training in (False, True)
        }

    def cost(self, batch: int | None, sizes: Mapping[str, int], training: bool) -> ModelCost:
        """The cost at these sizes. Raises what `cost_sizes` does."""
        rows = DEFAULT_BATCH if batch is None else whole("a batch size", batch)
        if rows < 1:
            raise ValueError(f"a batch size must be positive, it is {rows}")
        complete = cost_sizes(self.model, sizes)
        inference, step = (self._run(mode, rows, complete) for mode in (False, True))
        tree = Tree(self.networks, self.profile, training, self._counts)
        root = tree.root(self.model, inference, step)
        resident = _input_bytes(self.model, rows, complete) + self._stored
        results = sum(each.width * math.prod(each.shape) for each in step.results)
        gradient = results if step.backward.seconds else 0
        peak = max(step.peak, step.saved + results + gradient + step.backward_peak)
        root = replace(
            root,
            inference=replace(root.inference, peak_bytes=resident + inference.peak),
            training=replace(root.training, peak_bytes=resident + peak),
        )
        has_dots = any(source.shape.dots for source in self.model.inputs)
        return ModelCost(
            self.model.target,
            ({DOTS: rows} if has_dots else {}) | complete,
            self.profile.name,
            "training" if training else "inference",
            root,
            tuple(sorted(inference.uncounted)),
            self.cost,
        )

    def _run(self, training: bool, rows: int, sizes: Mapping[str, int]) -> Run:
        operands = [
            foreign(
                shape_at(source.shape, rows, sizes),
                WIDTHS[source.kind],
            )
            for source in self.model.inputs
        ]
        needs = [False] * len(operands)
        named: Sizes = tuple(sorted(sizes.items()))
        return self._runners[training].model(self.model, operands, needs, rows, named, whole=True)


def _input_bytes(model: ResolvedModel, rows: int, sizes: Mapping[str, int]) -> int:
    """The bytes of the arguments of `forward`."""
    return sum(
        WIDTHS[source.kind] * math.prod(shape_at(source.shape, rows, sizes))
        for source in model.inputs
    )
