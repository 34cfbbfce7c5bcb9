"""The plan of a contraction: what runs in which mode at which batch size; JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tncompile.lowering.strategy import Strategy
from tncompile.network.contraction import ContractionTree, verify_tree
from tncompile.network.model import TensorNetwork
from tncompile.notebook import as_html
from tncompile.planning.costing import MODES, Mode, ModeCost
from tncompile.planning.stored import (
    NotStoredError,
    as_mode,
    integers,
    mode_cost_from_dict,
    named_integers,
    strategy_from_dict,
    strategy_to_dict,
    strings,
    tree_from_dict,
    tree_to_dict,
)
from tncompile.planning.wording import way_text

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
    strategy: Strategy
    found_by: tuple[str, ...]
    cost: ModeCost
    reason: str

    def __repr__(self) -> str:
        end = "" if self.up_to is None else f" up to {self.up_to:,}"
        return f"Variant({self.mode}{end}: {way_text(self.found_by, self.strategy)})"


@dataclass(frozen=True, repr=False)
class Alternative:
    """Another way that the plan is compared with, by name, at a batch size in a mode."""

    name: str
    mode: Mode
    batch: int
    tree: ContractionTree
    strategy: Strategy

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

    def __repr__(self) -> str:
        from tncompile.planning.table import plan_table

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
        strategies: dict[Strategy, int] = {}

        def way(held: Variant | Alternative) -> dict[str, int]:
            return {
                "tree": trees.setdefault(held.tree, len(trees)),
                "strategy": strategies.setdefault(held.strategy, len(strategies)),
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
            "strategies": [strategy_to_dict(strategy) for strategy in strategies],
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
    def from_json(text: str) -> ContractionPlan:
        """The plan that `to_json` wrote; ValueError where the text holds none."""
        try:
            stored = json.loads(text)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"not a contraction plan: {problem}") from None
        return ContractionPlan.from_dict(stored)

    def describe(self) -> str:
        """The contraction, a line a step, for every variant."""
        from tncompile.planning.table import plan_text

        return plan_text(self)


def verify_plan(network: TensorNetwork, plan: ContractionPlan) -> Iterator[str]:
    """Why the plan is none of the network; nothing where it is."""
    runtime = {index.name for index in network.indices if index.size is None}
    if set(plan.sizes) != runtime:
        yield "its run-time sizes are not those of the network"
        return
    seen: set[tuple[ContractionTree, Strategy]] = set()
    ways = [(held.tree, held.strategy) for held in (*plan.variants, plan.whole)]
    for tree, strategy in (*ways, *((held.tree, held.strategy) for held in plan.alternatives)):
        if (tree, strategy) not in seen:
            seen.add((tree, strategy))
            yield from verify_tree(network, tree)
            yield from _verify_forms(tree, strategy)
    if plan.whole.strategy.rows:
        yield "what is to run at every size runs in parts"


def _verify_forms(tree: ContractionTree, strategy: Strategy) -> Iterator[str]:
    """Why the products of a strategy are not those of a tree."""
    if strategy.forms is None:
        return
    if len(strategy.forms) != len(tree.steps):
        yield f"it has {len(strategy.forms)} products for {len(tree.steps)} contractions"
        return
    legs = [set(operand.legs) for operand in tree.operands]
    for step, form in zip(tree.steps, strategy.forms, strict=True):
        first, second = legs[step.left], legs[step.right]
        kept = set(step.product(first, second))
        legs.append(set(step.legs))
        if form is None:
            continue
        if form.swapped:
            first, second = second, first
        fits = (
            len(set(form.result)) == len(form.result)
            and set(form.result) == kept
            and set(form.rows) <= first
            and set(form.columns) <= second
            and set(form.summed) <= (first | second) - kept
        )
        if not fits:
            yield f"the product that makes number {step.result} has other indices than its operands"


def _read(stored: object) -> ContractionPlan:
    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        raise NotStoredError(f"version {VERSION} is expected")
    trees = [tree_from_dict(one) for one in stored["trees"]]
    strategies = [strategy_from_dict(one) for one in stored["strategies"]]

    def variant(one: Mapping[str, object]) -> Variant:
        return _variant(one, trees, strategies)

    variants = tuple(variant(one) for one in stored["variants"])
    training = bool(stored["training"])
    for mode in MODES if training else MODES[1:]:
        ends = [one.up_to for one in variants if one.mode == mode]
        bounds = [end for end in ends if end is not None]
        if not ends or ends[-1] is not None or len(bounds) != len(ends) - 1:
            raise NotStoredError(f"its variants for {mode} do not cover every size")
        if bounds != sorted(set(bounds)) or any(bound < 0 for bound in bounds):
            raise NotStoredError(f"its variants for {mode} are not in order")
    return ContractionPlan(
        target=str(stored["target"]),
        machine=str(stored["machine"]),
        minimize=str(stored["minimize"]),
        training=training,
        search=str(stored["search"]),
        batch=int(stored["batch"]),
        sizes=named_integers(stored["sizes"]),
        variants=variants,
        whole=variant(stored["whole"]),
        tuned=None if stored["tuned"] is None else str(stored["tuned"]),
        alternatives=tuple(
            Alternative(
                str(one["name"]),
                as_mode(one["mode"]),
                int(one["batch"]),
                trees[one["tree"]],
                strategies[one["strategy"]],
            )
            for one in stored["alternatives"]
        ),
    )


def _variant(
    stored: Mapping[str, object], trees: list[ContractionTree], strategies: list[Strategy]
) -> Variant:
    up_to, batches = stored["up_to"], integers(stored["batches"])
    tree, strategy = integers([stored["tree"], stored["strategy"]])
    return Variant(
        mode=as_mode(stored["mode"]),
        up_to=None if up_to is None else integers([up_to])[0],
        batches=batches,
        batch=integers([stored["batch"]])[0],
        sizes=named_integers(stored["sizes"]),
        tree=trees[tree],
        strategy=strategies[strategy],
        found_by=strings(stored["found_by"]),
        cost=mode_cost_from_dict(stored["cost"]),
        reason=str(stored["reason"]),
    )
