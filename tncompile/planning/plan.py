"""The plan of a contraction: what runs in which mode at which batch size; JSON in and out."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import tncompile.planning.wording as wording
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import ContractionTree
from tncompile.notebook import as_html
from tncompile.program.variants import Repeats
from tncompile.simulation.costs import ModeCost
from tncompile.simulation.modes import MODES, Mode

VERSION = 3  # of the JSON; a file of another version is refused


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
        return f"Variant({self.mode}{end}: {wording.plan_text(self.found_by, self.schedule)})"


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
    repeats       the batches of ids in which equal ones are contracted once
    tuned         the machine that times were measured on (`tncompile tune`), if they were
    alternatives  the extremes that the plan is compared with
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
    repeats: tuple[Repeats, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __repr__(self) -> str:
        """A line a variant: where it runs, what it is, what it takes at a size of its range."""
        at = " at {:,}" if self.sizes else ""
        rows = [
            (
                variant.mode if variant is self.of(variant.mode)[0] else "",
                sizes or "any",
                wording.plan_text(variant.found_by, variant.schedule),
                wording.seconds_text(variant.cost.seconds) + at.format(variant.batch),
                wording.bytes_text(variant.cost.peak_bytes),
            )
            for variant, sizes in _with_sizes(self)
        ]
        head = ("mode", "batch", "contraction", "predicted time", "peak memory")
        planned = f"planned for a batch of {self.batch:,}, " if self.sizes else ""
        by = f"{planned}least {self.minimize}, {self.decided_by}, search {self.search}"
        title = f"plan of {wording.shortened(self.target)}\n{textwrap.fill(by, wording.WIDTH)}"
        return f"{title}\n\n{wording.columns_text(head, rows, wording.WIDTH, 3)}"

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
        from pydantic_core import to_jsonable_python  # light commands load no pydantic

        trees: dict[ContractionTree, int] = {}
        schedules: dict[Schedule, int] = {}

        def numbered(part: Variant | Alternative) -> dict[str, object]:
            return {
                **vars(part),
                "tree": trees.setdefault(part.tree, len(trees)),
                "schedule": schedules.setdefault(part.schedule, len(schedules)),
            }

        stored = {
            "version": VERSION,
            **vars(self),
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
            return _read(json.loads(written))
        except (ValueError, IndexError, RecursionError) as problem:
            raise ValueError(f"not a contraction plan: {problem}") from None

    def describe(self) -> str:
        """What `--emit=plan` prints: every variant, a line a contraction."""
        lines = [
            f"plan of {self.target}",
            f"least {self.minimize}, {self.decided_by}, search {self.search}",
        ]
        for variant, sizes in _with_sizes(self):
            at = f", batch {sizes}" if sizes else ""
            lines += ["", f"{variant.mode}{at}: {_all_names(variant)}"]
            planned = ", ".join(f"{name} = {size}" for name, size in variant.sizes.items())
            lines += [f"  planned for {planned}"] if planned else []
            lines += textwrap.wrap(f"  {variant.reason}", wording.WIDTH, subsequent_indent="    ")
            steps = variant.cost.steps
            shown = wording.largest_rows([step.multiply_adds for step in steps])
            for step in (steps[k] for k in shown):
                result = ", ".join(step.indices) or "a scalar"
                count = f"   × {step.count}" if step.count > 1 else ""
                work = f"{step.multiply_adds:,} multiply-adds{count}"
                lines.append(f"  {step.result} = {step.contraction} -> {result}   {work}")
            hidden = len(steps) - len(shown)
            lines += [f"  and {hidden} smaller ones"] if hidden else []
        for each in self.repeats:
            lines += ["", *textwrap.wrap(each.reason, wording.WIDTH, subsequent_indent="  ")]
        lines += ["", f"without branches on the batch size: {_all_names(self.whole)}"]
        return "\n".join(lines) + "\n"


def _read(stored: object) -> ContractionPlan:
    """The plan that a JSON value stores. Raises ValueError or IndexError where it is none."""
    from tncompile.planning.serialization import StoredPlan, read  # light commands need no pydantic

    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        raise ValueError(f"version {VERSION} is expected")
    plan = read(StoredPlan, stored)

    def values(part: Any) -> dict[str, Any]:
        lists = {"tree": plan.trees[part.tree], "schedule": plan.schedules[part.schedule]}
        return {**dict(part), **lists}

    variants = tuple(Variant(**values(variant)) for variant in plan.variants)
    for mode in MODES if plan.training else MODES[1:]:
        ends = [variant.up_to for variant in variants if variant.mode == mode]
        bounds = [end for end in ends if end is not None]
        if ends[-1:] != [None] or len(bounds) != len(ends) - 1:
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


def _with_sizes(plan: ContractionPlan) -> Iterator[tuple[Variant, str]]:
    """Every variant and its range of batch sizes: `9 to 100`, or nothing for all sizes."""
    for mode in MODES if plan.training else MODES[1:]:
        first = 0
        for variant in plan.of(mode):
            last = variant.up_to
            if not first:
                yield variant, "" if last is None else f"up to {last:,}"
            else:
                yield variant, f"from {first:,}" if last is None else f"{first:,} to {last:,}"
            first = (last or 0) + 1


def _all_names(variant: Variant) -> str:
    names = ", ".join(variant.found_by)
    return "; ".join(filter(None, (names, wording.schedule_text(variant.schedule))))
