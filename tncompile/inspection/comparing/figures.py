"""Figures of two architectures side by side: what they store, what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import tncompile.planning.wording as wording
from tncompile.models.costs.tree import stored_tensors
from tncompile.planning.report.cost import Cost
from tncompile.simulation.modes import Mode

if TYPE_CHECKING:
    from tncompile.language.typing.model import Resolved
    from tncompile.models.costs.report import ModelCost

Unit = Literal["count", "bytes", "seconds", "times"]

SHOWN_MODES: tuple[Mode, ...] = ("inference", "folded", "training")


@dataclass(frozen=True, slots=True)
class ComparedFigure:
    """A figure of both: in elements or operations, bytes or seconds, or how many times.

    mode    what it is a figure of; None for what is stored
    before  of the first; None where it has none, or it is too large for a float
    after   of the second
    """

    name: str
    mode: Mode | None
    unit: Unit
    before: int | float | None
    after: int | float | None

    @property
    def ratio(self) -> float | None:
        """after / before; None where one of them is missing, or before is 0."""
        if self.before is None or self.after is None or not self.before:
            return None
        try:
            return self.after / self.before
        except OverflowError:
            return None

    def to_dict(self) -> dict[str, object]:
        """The figure, ready for JSON."""
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True, slots=True)
class ComparedPlan:
    """What runs in a mode: the name of the plan and how many contractions it has.

    Of a model it is the product that takes the longest. `same` says that both run the same
    contractions in the same way.
    """

    mode: Mode
    before: str | None
    after: str | None
    same: bool

    def to_dict(self) -> dict[str, object]:
        """The plans, ready for JSON."""
        return asdict(self)


def stored_figures(first: Resolved, second: Resolved) -> Iterator[ComparedFigure]:
    """What the modules store: numbers, those that are trained, bytes in float32."""
    one, other = (list(stored_tensors(each)) for each in (first, second))
    whole = [sum(tensor.entries for tensor in each) for each in (one, other)]
    frozen = [sum(t.entries for t in each if t.frozen) for each in (one, other)]
    yield ComparedFigure("parameters", None, "count", *whole)
    trained = [total - part for total, part in zip(whole, frozen, strict=True)]
    yield ComparedFigure("trainable", None, "count", *trained)
    yield ComparedFigure("frozen", None, "count", *frozen)
    sizes = [sum(tensor.bytes for tensor in each) for each in (one, other)]
    yield ComparedFigure("bytes of parameters", None, "bytes", *sizes)


def dense_figures(
    first: Cost | ModelCost | None, second: Cost | ModelCost | None
) -> Iterator[ComparedFigure]:
    """The dense maps that networks stand for."""
    figures = [each.inference if isinstance(each, Cost) else None for each in (first, second)]
    if figures == [None, None]:
        return
    dense = [None if each is None else each.dense_parameters for each in figures]
    yield ComparedFigure("parameters of the dense map", None, "count", *dense)
    shares = [None if each is None else each.compression for each in figures]
    yield ComparedFigure("compression", None, "times", *shares)


COSTS: tuple[tuple[str, str, Unit], ...] = (
    ("multiply-adds", "multiply_adds", "count"),
    ("FLOPs", "flops", "count"),
    ("predicted time", "seconds", "seconds"),
    ("peak memory", "peak_bytes", "bytes"),
)


def cost_figures(first: Cost | ModelCost, second: Cost | ModelCost) -> Iterator[ComparedFigure]:
    """The totals of every mode that one of them has."""
    for mode in SHOWN_MODES:
        both: list[Any] = [getattr(each, mode, None) for each in (first, second)]
        if both == [None, None]:  # models are not folded as a whole
            continue
        for name, field, unit in COSTS:
            yield ComparedFigure(name, mode, unit, *(getattr(each, field, None) for each in both))


def compared_plans(first: Cost | ModelCost, second: Cost | ModelCost) -> Iterator[ComparedPlan]:
    """What each runs, mode by mode; nothing of a network and a model."""
    if isinstance(first, Cost) != isinstance(second, Cost):
        return
    for mode in SHOWN_MODES:
        before, after = _plan(first, mode), _plan(second, mode)
        if before is None and after is None:
            continue
        yield ComparedPlan(mode, before, after, _runs(first, mode) == _runs(second, mode))


def _plan(cost: Cost | ModelCost, mode: Mode) -> str | None:
    if not isinstance(cost, Cost):
        largest = cost.root.contraction if mode == "inference" else None
        return largest and f"{largest} takes the longest"
    variant = cost.chosen[mode]
    count = len(variant.cost.steps)
    steps = f"{count:,} contraction{'' if count == 1 else 's'}"
    return f"{wording.plan_text(variant.found_by, variant.schedule)}, {steps}"


def _runs(cost: Cost | ModelCost, mode: Mode) -> object:
    """The contractions of a mode by what they join and keep, and how they are run."""
    if not isinstance(cost, Cost):
        return cost.root.contraction
    variant = cost.chosen[mode]
    steps = [(step.result, step.left, step.right, step.indices) for step in variant.cost.steps]
    return variant.schedule, steps


def unit_text(figure: ComparedFigure, value: int | float | None) -> str:
    """A figure in its unit."""
    if value is None:
        return "—"
    match figure.unit:
        case "bytes":
            return wording.bytes_text(int(value))
        case "seconds":
            return wording.seconds_text(value)
        case "times":
            return wording.ratio_text(value)
        case _:
            return wording.count_text(int(value))
