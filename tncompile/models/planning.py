"""The plan of a model: of its networks, and of the order in which values are contracted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tncompile.language.typing.model import ResolvedModel
from tncompile.models.contracting import Calls, Order, Orders, SumOfProducts, best_order
from tncompile.models.reach import Reach, contracted, reached
from tncompile.models.sizes import given_sizes, usual_sizes
from tncompile.planning.paths.problem import Path
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.request import DEFAULT_BATCH, PlanOptions, check_choices, whole


@dataclass(frozen=True)
class ModelPlan:
    """The plan of every network of a model, by how it is called in it, each for its rows.

    orders  in which the operands of every `network { … }` of values are multiplied
    """

    plans: Mapping[str, ContractionPlan]
    orders: Orders

    def describe(self) -> str:
        """The plans one after another, as each is described by itself; then the orders."""
        texts = [f"{name}\n\n{plan.describe().rstrip()}" for name, plan in self.plans.items()]
        for name, orders in self.orders.items():
            lines = [
                f"{products}{', ahead of all steps' * ahead}\n  {order.describe()}"
                for (products, ahead), order in orders.items()
                if len(products.legs) > 2
            ]
            if lines:
                texts.append("\n\n".join([name, *lines]))
        return "\n\n".join(texts) + "\n" if texts else "no networks to plan\n"


def requests(
    model: ResolvedModel, names: Iterable[str], options: PlanOptions
) -> dict[str, PlanOptions]:
    """What the plan of each network is asked for: rows and run-time sizes as they reach it.

    `names` are those of the networks, in the order of `networks_of`. Raises TypeError or ValueError
    for a batch or a size that is none.
    """
    batches, sizes = _asked(model, options)
    reaches = [reached(model, rows, sizes) for rows in batches]
    asked: dict[str, PlanOptions] = {}
    for k, name in enumerate(names):
        asked[name] = _request([each[k] for each in reaches], options)
    return asked


def _asked(model: ResolvedModel, options: PlanOptions) -> tuple[list[int], dict[str, int]]:
    """The products of `...`, as they are asked for, and all run-time sizes."""
    choices: dict[str, Any] = {**options}
    batch, written = choices.pop("batch", None), choices.pop("sizes", None)
    check_choices(**choices)  # a model without networks plans nothing, but a typo is one
    if not isinstance(written, Mapping | None):
        raise TypeError(f"sizes are a mapping of names to ints, not {written!r}")
    batches = [DEFAULT_BATCH] if batch is None else _batches(batch)
    return batches, usual_sizes(model, given_sizes(model, written or {}))


def _request(reaches: list[Reach], options: PlanOptions) -> PlanOptions:
    inner: PlanOptions = {**options}
    batches = sorted({rows for reach in reaches for rows in reach.batches})
    inner["batch"] = batches or [DEFAULT_BATCH]
    inner["sizes"] = reaches[-1].sizes
    return inner


def _batches(batch: object) -> list[int]:
    sizes = list(batch) if isinstance(batch, Iterable) and not isinstance(batch, str) else [batch]
    numbers = [whole("a batch size", size) for size in sizes]
    if not numbers:
        raise ValueError("a plan needs at least one batch size")
    if min(numbers) < 1:
        raise ValueError(f"a batch size must be positive, it is {min(numbers)}")
    return numbers


def plan_model(
    model: ResolvedModel,
    names: Iterable[str],
    plan: Callable[[str, PlanOptions], ContractionPlan],
    options: PlanOptions,
) -> ModelPlan:
    """The plan of each network, made by `plan` from its name and what is asked for.

    Raises what `requests` does.
    """
    asked = requests(model, names, options)
    plans = {name: plan(name, inner) for name, inner in asked.items()}
    return ModelPlan(plans, _orders(model, options))


def _orders(model: ResolvedModel, options: PlanOptions) -> Orders:
    """The orders of contraction for the middle one of the batches; in a step, for one entry."""
    batches, sizes = _asked(model, options)
    rows = sorted(batches)[len(batches) // 2]
    along = {size.name: 1 for size in model.sizes if size.causal}
    in_all = contracted(model, rows, sizes)
    in_step = contracted(model, rows, sizes | along) if along else in_all

    def best(products: SumOfProducts, calls: Calls) -> Path:
        return best_order(products, calls, options.get("minimize", "time"))

    return {
        name: {
            place: Order(best(place[0], calls), best(place[0], in_step[name][place]))
            for place, calls in found.items()
        }
        for name, found in in_all.items()
    }
