"""The plan of a contraction: what runs in which mode at which batch size; JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tncompile.lowering.schedule import MatmulLayout, Schedule
from tncompile.network.contraction import ContractionTree, verify_tree
from tncompile.network.model import TensorNetwork
from tncompile.notebook import as_html
from tncompile.planning.costs import ModeCost
from tncompile.planning.report.wording import way_text
from tncompile.planning.serialization import (
    NotStoredError,
    as_mode,
    integers,
    mode_cost_from_dict,
    sizes_from_dict,
    strategy_from_dict,
    strategy_to_dict,
    strings,
    text,
    tree_from_dict,
    tree_to_dict,
    truth,
    whole,
)
from tncompile.simulation.modes import MODES, Mode

VERSION = 2
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
        """The plan as JSON holds it; trees and strategies are stored once and named by number."""
        trees: dict[ContractionTree, int] = {}
        schedules: dict[Schedule, int] = {}

        def way(held: Variant | Alternative) -> dict[str, int]:
            return {
                "tree": trees.setdefault(held.tree, len(trees)),
                "strategy": schedules.setdefault(held.schedule, len(schedules)),
            }

        def stored(variant: Variant) -> dict[str, object]:
            return {
                "mode": variant.mode,
                "up_to": variant.up_to,
                "batches": list(variant.batches),
                "batch": variant.batch,
                "sizes": dict(variant.sizes),
                "found_by": list(variant.found_by),
                "reason": variant.reason,
                **way(variant),
                "cost": variant.cost.to_dict(),
            }

        variants = [stored(variant) for variant in self.variants]
        whole = stored(self.whole)
        alternatives = [
            {"name": one.name, "mode": one.mode, "batch": one.batch, **way(one)}
            for one in self.alternatives
        ]
        return {
            "version": VERSION,
            "target": self.target,
            "machine": self.machine,
            "tuned": self.tuned,
            "minimize": self.minimize,
            "training": self.training,
            "search": self.search,
            "batch": self.batch,
            "sizes": dict(self.sizes),
            "variants": variants,
            "whole": whole,
            "alternatives": alternatives,
            "trees": [tree_to_dict(tree) for tree in trees],
            "strategies": [strategy_to_dict(schedule) for schedule in schedules],
        }

    def to_json(self) -> str:
        """The plan as JSON text; equal plans give equal text."""
        return json.dumps(self.to_dict(), indent=1, ensure_ascii=False) + "\n"

    @staticmethod
    def from_dict(stored: object) -> ContractionPlan:
        """The plan that `to_dict` stored; ValueError where it holds none."""
        try:
            return _read(stored)
        except NotStoredError as problem:
            raise ValueError(f"not a contraction plan: {problem}") from None
        except (KeyError, TypeError, IndexError, AttributeError, ValueError) as problem:
            raise ValueError(f"not a contraction plan: {problem!r}") from None

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


def _read(stored: object) -> ContractionPlan:
    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        raise NotStoredError(f"version {VERSION} is expected")
    trees = [tree_from_dict(one) for one in stored["trees"]]
    schedules = [strategy_from_dict(one) for one in stored["strategies"]]

    def variant(one: Mapping[str, object]) -> Variant:
        return _variant(one, trees, schedules)

    variants = tuple(variant(one) for one in stored["variants"])
    training = truth(stored["training"])
    for mode in MODES if training else MODES[1:]:
        ends = [one.up_to for one in variants if one.mode == mode]
        bounds = [end for end in ends if end is not None]
        if not ends or ends[-1] is not None or len(bounds) != len(ends) - 1:
            raise NotStoredError(f"its variants for {mode} do not cover every size")
        if bounds != sorted(set(bounds)):
            raise NotStoredError(f"its variants for {mode} are not in order")
    return ContractionPlan(
        target=text(stored["target"]),
        machine=text(stored["machine"]),
        minimize=text(stored["minimize"]),
        training=training,
        search=text(stored["search"]),
        batch=whole(stored["batch"], 1),
        sizes=sizes_from_dict(stored["sizes"]),
        variants=variants,
        whole=variant(stored["whole"]),
        tuned=None if stored["tuned"] is None else text(stored["tuned"]),
        alternatives=tuple(
            Alternative(
                text(one["name"]),
                as_mode(one["mode"]),
                whole(one["batch"], 1),
                trees[whole(one["tree"])],
                schedules[whole(one["strategy"])],
            )
            for one in stored["alternatives"]
        ),
    )


def _variant(
    stored: Mapping[str, object], trees: list[ContractionTree], schedules: list[Schedule]
) -> Variant:
    up_to, batches = stored["up_to"], integers(stored["batches"], 1)
    found_by = strings(stored["found_by"])
    if not batches or not found_by:
        raise NotStoredError("a variant was planned for no batch size, or found by nothing")
    return Variant(
        mode=as_mode(stored["mode"]),
        up_to=None if up_to is None else whole(up_to),
        batches=batches,
        batch=whole(stored["batch"], 1),
        sizes=sizes_from_dict(stored["sizes"]),
        tree=trees[whole(stored["tree"])],
        schedule=schedules[whole(stored["strategy"])],
        found_by=found_by,
        cost=mode_cost_from_dict(stored["cost"]),
        reason=text(stored["reason"]),
    )
