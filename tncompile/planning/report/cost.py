"""What a module costs at a batch size, beside its alternatives: the numbers and their table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Protocol

import tncompile.planning.wording as wording
from tncompile.notebook import Tabled
from tncompile.planning.plan import ContractionPlan, Variant
from tncompile.planning.report.candidates import CandidatePlan
from tncompile.planning.report.cost_table import cost_table
from tncompile.simulation.costs import CostStep, Figures
from tncompile.simulation.dense_layer import Kind
from tncompile.simulation.live_bytes import LiveBytes
from tncompile.simulation.modes import Mode


@dataclass(frozen=True, slots=True)
class Crossing:
    """The batch sizes at which an alternative is predicted to be faster than the plan.

    With both, and `faster_from` the smaller, those in between: it is faster at the planned size.
    """

    faster_from: int | None = None  # from this batch size on
    faster_up_to: int | None = None  # up to this one

    def __str__(self) -> str:
        """`from batch 411 on`."""
        first, last = self.faster_from, self.faster_up_to
        if last is None:
            return "at every batch size" if first == 1 else f"from batch {first:,} on"
        if first is None or first == 1:
            return f"up to batch {last:,}"
        if first <= last:
            return f"from batch {first:,} to {last:,}"
        return f"up to batch {last:,} and from batch {first:,} on"


class Costing(Protocol):
    """A plan at some run-time sizes, which can be asked for more."""

    @property
    def planned(self) -> ContractionPlan:
        """The plan."""

    @property
    def leading(self) -> str | None:
        """The run-time index that `batch` is the size of."""

    def at(self, batch: int | None, sizes: Mapping[str, int], mode: Mode) -> Cost:
        """The cost at other sizes; those that are not given stay."""

    def resized(self, index: str, size: int, among: Iterable[CandidatePlan], mode: Mode) -> Cost:
        """The cost with another size of an index."""

    def live_bytes(self, mode: Mode) -> LiveBytes:
        """The memory over time at these sizes."""


@dataclass(frozen=True, repr=False)
class Cost(Tabled):
    """What a module costs at some run-time sizes; it prints as a table, `to_dict()` has numbers.

    `chosen` says for every mode what runs, `mode` is the one that was asked for. `compared` are
    other orders of contraction, `crossed` the batch sizes at which they, or the dense layer, are
    faster: both by mode. `reasons` say why an alternative is missing. `dense_layer` is the layer of
    torch that is like the network: `nn.Linear`, `nn.Bilinear`, `nn.Embedding` or none.
    """

    name: str
    sizes: Mapping[str, int]
    machine: str
    mode: Mode
    chosen: Mapping[Mode, Variant]
    compared: Mapping[Mode, Mapping[str, Figures]] = field(default_factory=dict)
    crossed: Mapping[Mode, Mapping[str, Crossing]] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    dense_layer: Kind | None = None
    _costing: Costing | None = field(default=None, repr=False, compare=False)

    @property
    def inference(self) -> Figures:
        """The figures of a forward pass."""
        return self.chosen["inference"].cost.figures

    @property
    def training(self) -> Figures:
        """The figures of a training step."""
        return self.chosen["training"].cost.figures

    @property
    def folded(self) -> Figures:
        """The figures of a forward pass of the folded module."""
        return self.chosen["folded"].cost.figures

    @property
    def figures(self) -> Figures:
        """The figures of the mode that was asked for."""
        return self.chosen[self.mode].cost.figures

    @property
    def steps(self) -> tuple[CostStep, ...]:
        """The contraction in that mode."""
        return self.chosen[self.mode].cost.steps

    @property
    def found_by(self) -> tuple[str, ...]:
        """The searches that found the tree that runs in that mode."""
        return self.chosen[self.mode].found_by

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
        return self.chosen[self.mode].cost.flops

    @property
    def peak_bytes(self) -> int:
        """The most bytes alive at once in that mode."""
        return self.chosen[self.mode].cost.peak_bytes

    @property
    def seconds(self) -> float:
        """The predicted time of one run in that mode."""
        return self.chosen[self.mode].cost.seconds

    @property
    def leading(self) -> str | None:
        """The run-time size that `batch` is, by name: `...`, or the first `batch` axis."""
        return self._asked.leading

    @property
    def plan(self) -> ContractionPlan:
        """The plan that this is the cost of."""
        return self._asked.planned

    @property
    def live_bytes(self) -> LiveBytes:
        """The bytes alive over a run in that mode, step by step; the largest is `peak_bytes`.

        >>> memory = arch.cost(batch=64, search="fast").live_bytes
        >>> memory.inputs, [step.contraction for step in memory.steps]
        (8192, [0, 1, 1, 1])
        """
        return self._asked.live_bytes(self.mode)

    def of(self, mode: Mode) -> Cost:
        """The same numbers, asked for in another mode."""
        return replace(self, mode=mode)

    def at(self, batch: int | None = None, *, sizes: Mapping[str, int] | None = None) -> Cost:
        """The same plan at other sizes, without a search; those that are not given stay.

        Alternatives and crossings are those of sizes that were planned for: elsewhere there are
        none. Raises ValueError for sizes that the network has not, or below 1.

        >>> figures = arch.cost(batch=64, search="fast")
        >>> figures.at(batch=128).flops == 2 * figures.flops
        True
        """
        return self._asked.at(batch, sizes or {}, self.mode)

    def resized(self, index: str, size: int, among: Iterable[CandidatePlan] = ()) -> Cost:
        """The cost with another size of an index, without a search: the same order.

        With candidates of `arch.candidates()` to choose `among`, the fastest of them at that size
        runs in the mode that was asked for; a search may find a faster one. Raises ValueError for
        what is no index, and for indices whose sizes are bound to those of others.

        >>> arch.cost(batch=64, search="fast").resized("b[0]", 2).inference.parameters
        160
        """
        return self._asked.resized(index, size, among, self.mode)

    @property
    def _asked(self) -> Costing:
        if self._costing is None:
            raise ValueError(f"the cost of {self.name} was read from numbers: it has no plan")
        return self._costing

    def to_dict(self) -> dict[str, object]:
        """All numbers, ready for JSON.

        `steps`, `alternatives` and `crossings` are those of the mode that was asked for; `chosen`,
        `compared` and `crossed` hold every mode.
        """
        compared = {
            mode: {name: figures.to_dict() for name, figures in by_name.items()}
            for mode, by_name in self.compared.items()
        }
        crossed = {
            mode: {name: asdict(crossing) for name, crossing in by_name.items()}
            for mode, by_name in self.crossed.items()
        }
        return {
            "name": self.name,
            "sizes": dict(self.sizes),
            "machine": self.machine,
            "mode": self.mode,
            "found_by": list(self.found_by),
            "inference": self.inference.to_dict(),
            "folded": self.folded.to_dict(),
            "training": self.training.to_dict(),
            "steps": [step.to_dict() for step in self.steps],
            "alternatives": compared.get(self.mode, {}),
            "crossings": crossed.get(self.mode, {}),
            "chosen": {
                mode: {
                    "found_by": list(variant.found_by),
                    "strategy": wording.schedule_text(variant.schedule),
                    "steps": [step.to_dict() for step in variant.cost.steps],
                }
                for mode, variant in self.chosen.items()
            },
            "compared": compared,
            "crossed": crossed,
            "reasons": dict(self.reasons),
            "dense_layer": self.dense_layer,
        }

    def table(self, *, training: bool | None = None, width: int = wording.WIDTH) -> str:
        """The contraction step by step, totals and alternatives, as text of `width` columns.

        The contraction, its shares and the alternatives are those of the mode that was asked for,
        or, with `training` given, of a training step or a forward pass. The width is 100 at least.
        """
        mode = self.mode if training is None else "training" if training else "inference"
        return cost_table(self.of(mode), width)
