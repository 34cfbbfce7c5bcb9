"""The plan of a contraction: what runs in which mode at which batch size; JSON in and out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import ContractionTree
from tncompile.notebook import as_html
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
from tncompile.planning.wording import (
    WIDTH,
    bytes_text,
    columns_text,
    largest_rows,
    plan_text,
    schedule_text,
    seconds_text,
    shortened,
)
from tncompile.simulation.costs import ModeCost
from tncompile.simulation.modes import MODES, Mode

VERSION = 3
"""Of the JSON; a file of another version is refused."""


@dataclass(frozen=True, repr=False)
class Variant:
    """A tree and how it is lowered, for one mode and a range of batch sizes.

    up_to     largest size of the leading run-time index that it runs at; None: no limit
    batches   sizes of the range that were planned for
    batch     the one of them that `cost` and `sizes` (all run-time sizes by name) are of
    found_by  names of the searches that found the tree
    reason    why it is chosen there, in a few words
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
        return f"Variant({self.mode}{end}: {plan_text(self.found_by, self.schedule)})"


@dataclass(frozen=True, repr=False)
class Alternative:
    """A tree that the plan is compared with at one batch size in one mode."""

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
    training      whether training steps were planned, too
    batch         the size that counts where one has to be chosen
    sizes         the run-time sizes that its programs are lowered with
    variants      by mode, then by ascending `up_to`
    whole         runs at every size where code must not branch on it (compiled, exported)
    tuned         the machine that times were measured on (`tncompile tune`), if they were
    alternatives  the extremes that the plan is compared with
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
        return _table(self)

    def _repr_html_(self) -> str:
        return as_html(repr(self))

    @property
    def mode(self) -> Mode:
        """The mode that decides where one has to be chosen."""
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
        variants = tuple(variant for variant in self.variants if variant.mode == mode)
        return variants if variants or mode == "inference" else self.of("inference")

    def variant(self, batch: int, mode: Mode | None = None) -> Variant:
        """What runs at a batch size in a mode, the plan's own unless given."""
        variants = self.of(mode or self.mode)
        return next((v for v in variants if v.up_to is None or batch <= v.up_to), variants[-1])

    def with_batch(self, batch: int) -> ContractionPlan:
        """The same plan with another `batch`."""
        return replace(self, batch=batch)

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON stores it; trees and schedules are stored once, by number."""
        trees: dict[ContractionTree, int] = {}
        schedules: dict[Schedule, int] = {}

        def numbers(variant: Variant | Alternative) -> dict[str, int]:
            return {
                "tree": trees.setdefault(variant.tree, len(trees)),
                "strategy": schedules.setdefault(variant.schedule, len(schedules)),
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
                **numbers(variant),
                "cost": variant.cost.to_dict(),
            }

        variants = [stored(variant) for variant in self.variants]
        whole = stored(self.whole)
        alternatives = [
            {"name": other.name, "mode": other.mode, "batch": other.batch, **numbers(other)}
            for other in self.alternatives
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
        """What `--emit=plan` prints: every variant, a line a contraction."""
        return _description(self)


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


# ── text ────────────────────────────────────────────────────────────────────────────────────────


def _description(plan: ContractionPlan) -> str:
    """Every variant with its reason and its contractions, the `SHOWN` largest of many."""
    lines = [
        f"plan of {plan.target}",
        f"least {plan.minimize}, {plan.decided_by}, search {plan.search}",
    ]
    for variant, sizes in _with_sizes(plan):
        at = f", batch {sizes}" if sizes else ""
        lines += ["", f"{variant.mode}{at}: {_all_names(variant)}"]
        planned = ", ".join(f"{name} = {size}" for name, size in variant.sizes.items())
        lines += [f"  planned for {planned}"] if planned else []
        lines += textwrap.wrap(variant.reason, WIDTH, initial_indent="  ", subsequent_indent="    ")
        steps = variant.cost.steps
        shown = largest_rows([step.multiply_adds for step in steps])
        for step in (steps[k] for k in shown):
            count = f"   × {step.count}" if step.count > 1 else ""
            lines.append(
                f"  {step.result} = {step.contraction} -> {', '.join(step.indices) or 'a scalar'}"
                f"   {step.multiply_adds:,} multiply-adds{count}"
            )
        hidden = len(steps) - len(shown)
        lines += [f"  and {hidden} smaller ones"] if hidden else []
    lines += ["", f"without branches on the batch size: {_all_names(plan.whole)}"]
    return "\n".join(lines) + "\n"


def _table(plan: ContractionPlan) -> str:
    """A line a variant: where it runs, what it is, what it takes at a size of its range."""
    rows = []
    for variant, sizes in _with_sizes(plan):
        at = f" at {variant.batch:,}" if plan.sizes else ""
        rows.append(
            (
                variant.mode if variant is plan.of(variant.mode)[0] else "",
                sizes or "any",
                plan_text(variant.found_by, variant.schedule),
                f"{seconds_text(variant.cost.seconds)}{at}",
                bytes_text(variant.cost.peak_bytes),
            )
        )
    head = ("mode", "batch", "contraction", "predicted time", "peak memory")
    planned = f"planned for a batch of {plan.batch:,}, " if plan.sizes else ""
    by = f"{planned}least {plan.minimize}, {plan.decided_by}, search {plan.search}"
    table = columns_text(head, rows, WIDTH, 3)
    return f"plan of {shortened(plan.target)}\n{textwrap.fill(by, WIDTH)}\n\n{table}"


def _with_sizes(plan: ContractionPlan) -> Iterator[tuple[Variant, str]]:
    """Every variant and its range of batch sizes: `9 to 100`, or nothing for all sizes."""
    for mode in MODES if plan.training else MODES[1:]:
        first = None
        for variant in plan.of(mode):
            last = variant.up_to
            if first is None:
                yield variant, "" if last is None else f"up to {last:,}"
            else:
                yield variant, f"from {first:,}" if last is None else f"{first:,} to {last:,}"
            first = None if last is None else last + 1


def _all_names(variant: Variant) -> str:
    schedule = schedule_text(variant.schedule)
    return "; ".join([", ".join(variant.found_by), *([schedule] if schedule else [])])
