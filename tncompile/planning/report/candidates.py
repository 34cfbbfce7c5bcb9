"""The scheduled trees that a plan was chosen from, and which of them nothing beats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.evaluation import ScheduledTree
from tncompile.planning.paths.optimizers import Progress
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.request import PlanRequest
from tncompile.planning.search_space import latest_search_space
from tncompile.planning.wording import plan_text
from tncompile.simulation.modes import Mode


@dataclass(frozen=True, slots=True)
class CandidatePlan:
    """A scheduled tree that was compared, and what it takes at the batch size that was asked for.

    `chosen` is what the module runs there, `on_front` what no other candidate beats in FLOPs, time
    and memory at once. Times are in seconds, on the machine profile. `option` is the tree and how
    it is lowered.
    """

    name: str
    flops: int
    seconds: float
    peak_bytes: int
    option: ScheduledTree = field(repr=False, compare=False)
    chosen: bool = False
    on_front: bool = False

    @property
    def price(self) -> tuple[int, float, int]:
        """What is compared."""
        return self.flops, self.seconds, self.peak_bytes


def compared_plans(
    network: TensorNetwork,
    planned: ContractionPlan,
    request: PlanRequest,
    mode: Mode,
    progress: Progress | None = None,
) -> tuple[CandidatePlan, ...]:
    """What a search compares at the middle size of a request, the fastest first.

    What the plan runs is among them, even where it comes from a lock file. Equal prices are one
    candidate.
    """
    space = latest_search_space(network, request, progress)
    size, evaluator = request.middle, space.evaluator
    variant = planned.variant(size, mode)
    figures = variant.cost.figures
    found: dict[tuple[int, float, int], CandidatePlan] = {}
    for option in space.options[mode, size]:
        evaluated = evaluator.evaluate(option, size, mode)
        chosen = (option.tree, option.schedule) == (variant.tree, variant.schedule)
        each = CandidatePlan(
            str(option), evaluated.flops, evaluated.seconds, evaluated.peak, option, chosen
        )
        if chosen or each.price not in found:
            found[each.price] = each
    if not any(each.chosen for each in found.values()) and variant.batch == size:
        name = plan_text(variant.found_by, variant.schedule)
        price = figures.flops or 0, figures.seconds or 0.0, figures.peak_bytes or 0
        option = ScheduledTree(variant.found_by, -1, variant.tree, variant.schedule)
        found[price] = CandidatePlan(name, *price, option, chosen=True)
    ordered = sorted(found.values(), key=lambda each: (each.seconds, each.flops, each.peak_bytes))
    return tuple(_with_front(ordered))


def fastest_of_each(candidates: Iterable[CandidatePlan]) -> list[CandidatePlan]:
    """The fastest schedule of each order, by ascending time."""
    found: dict[ContractionTree, CandidatePlan] = {}
    for each in sorted(candidates, key=lambda each: each.seconds):
        found.setdefault(each.option.tree, each)
    return list(found.values())


def _with_front(ordered: Iterable[CandidatePlan]) -> Iterator[CandidatePlan]:
    """Candidates, by ascending time, with word of which are on the front."""
    front: list[CandidatePlan] = []
    for each in ordered:
        beaten = any(
            all(a <= b for a, b in zip(other.price, each.price, strict=True)) for other in front
        )
        if not beaten:
            front.append(each)
        yield replace(each, on_front=not beaten)
