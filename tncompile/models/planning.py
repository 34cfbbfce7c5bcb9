"""Plans of the networks of a model, each for the rows that reach it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tncompile.language.typing.model import ResolvedModel
from tncompile.models.reach import Reach, reached, usual_sizes
from tncompile.planning.plan import ContractionPlan
from tncompile.planning.request import DEFAULT_BATCH, PlanOptions, check_choices, whole


@dataclass(frozen=True)
class ModelPlan:
    """The plan of every network of a model, by how it is called in it."""

    plans: Mapping[str, ContractionPlan]

    def describe(self) -> str:
        """The plans one after another, as each is described by itself."""
        texts = [f"{name}\n\n{plan.describe().rstrip()}" for name, plan in self.plans.items()]
        return "\n\n".join(texts) + "\n" if texts else "no networks to plan\n"


def requests(
    model: ResolvedModel, names: Iterable[str], options: PlanOptions
) -> dict[str, PlanOptions]:
    """What the plan of each network is asked for: rows and run-time sizes as they reach it.

    `names` are those of the networks, in the order of `networks_of`. Raises TypeError or ValueError
    for a batch or a size that is none.
    """
    choices: dict[str, Any] = {**options}
    batch, written = choices.pop("batch", None), choices.pop("sizes", None)
    check_choices(**choices)  # a model without networks plans nothing, but a typo is one
    if not isinstance(written, Mapping | None):
        raise TypeError(f"sizes are a mapping of names to ints, not {written!r}")
    batches = [DEFAULT_BATCH] if batch is None else _batches(batch)
    given = dict(written or {})
    known = {size.name for size in model.sizes}
    for name, size in given.items():
        if name not in known:
            listed = ", ".join(f"`{each}`" for each in sorted(known)) or "none"
            raise ValueError(f"`{name}` is no run-time size of {model.target} (it has {listed})")
        if whole(f"the size of `{name}`", size) < 1:
            raise ValueError(f"the size of `{name}` must be positive, it is {size}")
    sizes = usual_sizes(model, given)
    reaches = [reached(model, rows, sizes) for rows in batches]
    asked: dict[str, PlanOptions] = {}
    for k, name in enumerate(names):
        asked[name] = _request([each[k] for each in reaches], options)
    return asked


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
    """The plan of each network, made by `plan` from its name and what is asked for."""
    asked = requests(model, names, options)
    return ModelPlan({name: plan(name, inner) for name, inner in asked.items()})
