"""The plan of a contraction: what runs in which mode at which batch size; JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tncompile.lowering.schedule import MatmulLayout, Schedule
from tncompile.network.contraction import ContractionTree, verify_tree
from tncompile.network.model import TensorNetwork
from tncompile.notebook import as_html
from tncompile.planning.costs import ModeCost
from tncompile.planning.report.wording import way_text
from tncompile.simulation.modes import MODES, Mode

VERSION = 3
"""Of the JSON; a file of another version is refused."""


@dataclass(frozen=True, repr=False)
class Variant:
    """A tree and how it is lowered, for one mode and a range of batch sizes.

    up_to     the largest size of the leading run-time index that it is for; None for all larger
    batches   the sizes of the range that were planned for
    batch     the one of them that `cost` and `sizes` (all run-time sizes by name) are of
    found_by  the ways that found the tree
    reason    why it is the choice there, in a few words
    """

    mode: Mode
    up_to: int | None
    batches: tuple[int, ...]
    batch: int
    sizes: Mapping[str, int]
    tree: ContractionTree
    schedule: Schedule
    found_by: tuple[str, ...]
    cost: ModeCost
    reason: str

    def __repr__(self) -> str:
        end = "" if self.up_to is None else f" up to {self.up_to:,}"
        return f"Variant({self.mode}{end}: {way_text(self.found_by, self.schedule)})"


@dataclass(frozen=True, repr=False)
class Alternative:
    """Another way that the plan is compared with, by name, at a batch size in a mode."""

    name: str
    mode: Mode
    batch: int
    tree: ContractionTree
    schedule: Schedule

    def __repr__(self) -> str:
        return f"Alternative({self.name}, {self.mode} at {self.batch:,})"


@dataclass(frozen=True, repr=False)
class ContractionPlan:
    """How a network is contracted, and what that was decided by; it prints as a table.

    machine       the profile that predicted the times
    minimize      `time`, `flops` or `memory`
    training      whether it was planned for training, too
    batch         the size that the module is planned for before all others
    sizes         the run-time sizes that its programs are lowered with
    variants      by mode, in each by ascending `up_to`
    whole         what runs where no branch may depend on a size: everything at once
    tuned         the machine that times were measured on, where they were (`tncompile tune`)
    alternatives  what else there was
    notes         why the plan that a lock file stores was not used
    """

    target: str
    machine: str
    minimize: str
    training: bool
    search: str
    batch: int
    sizes: Mapping[str, int]
    variants: tuple[Variant, ...]
    whole: Variant
    tuned: str | None = None
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        from tncompile.planning.report.table import plan_table

        return plan_table(self)

    def _repr_html_(self) -> str:
        return as_html(repr(self))

    @property
    def mode(self) -> Mode:
        """The mode that the plan is for before all others."""
        return "training" if self.training else "inference"

    @property
    def main(self) -> Variant:
        """What the module runs at the batch size that it is planned for."""
        return self.variant(self.batch)

    @property
    def decided_by(self) -> str:
        """What the times come from, in words."""
        return f"measured on {self.tuned}" if self.tuned else f"machine profile {self.machine}"

    def of(self, mode: Mode) -> tuple[Variant, ...]:
        """The variants of a mode, by ascending size; inference's where it was not planned for."""
        found = tuple(variant for variant in self.variants if variant.mode == mode)
        return found or tuple(variant for variant in self.variants if variant.mode == "inference")

    def variant(self, batch: int, mode: Mode | None = None) -> Variant:
        """What runs at a batch size in a mode, the plan's own unless given."""
        held = self.of(mode or self.mode)
        return next((one for one in held if one.up_to is None or batch <= one.up_to), held[-1])

    def with_batch(self, batch: int) -> ContractionPlan:
        """The same plan, for another batch size before all others."""
        return replace(self, batch=batch)

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON stores it; trees and schedules are stored once, by number."""
        from pydantic_core import to_jsonable_python  # light commands load no pydantic

        trees: dict[ContractionTree, int] = {}
        schedules: dict[Schedule, int] = {}

        def numbered(part: Variant | Alternative) -> dict[str, object]:
            return {
                **_fields(part),
                "tree": trees.setdefault(part.tree, len(trees)),
                "schedule": schedules.setdefault(part.schedule, len(schedules)),
            }

        stored = {
            "version": VERSION,
            **_fields(self),
            "variants": [numbered(variant) for variant in self.variants],
            "whole": numbered(self.whole),
            "alternatives": [numbered(alternative) for alternative in self.alternatives],
            "trees": list(trees),
            "schedules": list(schedules),
        }
        del stored["notes"]
        plain: dict[str, object] = to_jsonable_python(stored)
        return plain

    def to_json(self) -> str:
        """The plan as JSON text; equal plans give equal text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_dict(stored: object) -> ContractionPlan:
        """The plan that `to_dict` stored; ValueError where it holds none."""
        try:
            return _read(stored)
        except (ValueError, IndexError) as problem:
            raise ValueError(f"not a contraction plan: {problem}") from None

    @staticmethod
    def from_json(written: str) -> ContractionPlan:
        """The plan that `to_json` wrote; ValueError where the text holds none."""
        try:
            stored = json.loads(written)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"not a contraction plan: {problem}") from None
        return ContractionPlan.from_dict(stored)

    def describe(self) -> str:
        """The contraction, a line a step, for every variant."""
        from tncompile.planning.report.table import plan_text

        return plan_text(self)


def verify_plan(network: TensorNetwork, plan: ContractionPlan) -> Iterator[str]:
    """Why the plan is none of the network; nothing where it is.

    A plan without a complaint can be lowered, and computes what the network says.
    """
    runtime = {index.name for index in network.indices if index.size is None}
    sizes = [plan.sizes, *(held.sizes for held in (*plan.variants, plan.whole))]
    if any(held.keys() != runtime for held in sizes):
        yield "its run-time sizes are not those of the network"
        return
    seen: set[tuple[ContractionTree, Schedule]] = set()
    ways = [(held.tree, held.schedule) for held in (*plan.variants, plan.whole)]
    for tree, schedule in (*ways, *((held.tree, held.schedule) for held in plan.alternatives)):
        if (tree, schedule) not in seen:
            seen.add((tree, schedule))
            damage = next(verify_tree(network, tree), None)
            yield from _verify_strategy(tree, schedule) if damage is None else (damage,)
    if plan.whole.schedule.rows:
        yield "what is to run at every size runs in parts"


def _verify_strategy(tree: ContractionTree, schedule: Schedule) -> Iterator[str]:
    """Why the products of a strategy are not those of a tree, which is one of the network."""
    made = [step.result for step in tree.steps]
    if not set(schedule.settled) <= set(made) or _repeats(schedule.settled):
        yield "gradients are settled of what it does not make"
    if schedule.forms is None:
        return
    if len(schedule.forms) != len(tree.steps):
        yield f"it has {len(schedule.forms)} products for {len(tree.steps)} contractions"
        return
    legs = [frozenset(operand.legs) for operand in tree.operands]
    for step, form in zip(tree.steps, schedule.forms, strict=True):
        left, right = legs[step.left], legs[step.right]
        kept = frozenset(step.product(left, right))
        legs.append(frozenset(step.legs))
        if form is not None and not _fits(form, left, right, kept):
            yield f"the product that makes number {step.result} has other indices than its operands"


def _fits(
    form: MatmulLayout, left: frozenset[str], right: frozenset[str], kept: frozenset[str]
) -> bool:
    """Whether a form is a product of two operands: each index in the one group it belongs to.

    What only one operand carries and nothing keeps is summed before; of the batch an operand
    carries all indices, or none, and is repeated.
    """
    first, second = (right, left) if form.swapped else (left, right)
    batch, both = frozenset(form.batch), first & second
    return (
        not _repeats(form.result + form.summed)
        and frozenset(form.result) == kept
        and frozenset(form.summed) == both - kept
        and batch >= both & kept
        and all(not batch & side or batch <= side for side in (first, second))
        and first >= frozenset(form.rows)
        and second >= frozenset(form.columns)
    )


def _repeats(held: tuple[object, ...]) -> bool:
    return len(set(held)) < len(held)


def _fields(part: object) -> dict[str, object]:
    """The fields of a dataclass by name."""
    return {field.name: getattr(part, field.name) for field in fields(part)}  # type: ignore[arg-type]


def _read(stored: object) -> ContractionPlan:
    """The plan that a JSON value stores. Raises ValueError or IndexError where it is none."""
    from tncompile.planning.serialization import (  # light commands load no pydantic
        StoredAlternative,
        StoredPlan,
        StoredVariant,
        read,
    )

    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        raise ValueError(f"version {VERSION} is expected")
    plan = read(StoredPlan, stored)

    def values(part: StoredVariant | StoredAlternative) -> dict[str, Any]:
        lists = {"tree": plan.trees[part.tree], "schedule": plan.schedules[part.schedule]}
        return {**dict(part), **lists}

    variants = tuple(Variant(**values(variant)) for variant in plan.variants)
    for mode in MODES if plan.training else MODES[1:]:
        ends = [variant.up_to for variant in variants if variant.mode == mode]
        bounds = [end for end in ends if end is not None]
        if not ends or ends[-1] is not None or len(bounds) != len(ends) - 1:
            raise ValueError(f"its variants for {mode} do not cover every size")
        if bounds != sorted(set(bounds)):
            raise ValueError(f"its variants for {mode} are not in order")
    parts: dict[str, Any] = {
        **dict(plan),
        "variants": variants,
        "whole": Variant(**values(plan.whole)),
        "alternatives": tuple(Alternative(**values(other)) for other in plan.alternatives),
    }
    del parts["trees"], parts["schedules"]
    return ContractionPlan(**parts)
