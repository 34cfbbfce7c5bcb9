"""The plan of a contraction: trees by batch size with their costs; JSON in and out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tncompile.network.contraction import ContractionTree
from tncompile.planning.costing import Cost
from tncompile.planning.stored import (
    NotStoredError,
    cost_from_dict,
    tree_from_dict,
    tree_to_dict,
)

VERSION = 1
"""Of the JSON; a file of another version is refused."""


@dataclass(frozen=True)
class Variant:
    """One tree, the batch sizes that it is the best for, and what it costs at `batch`.

    `sizes` are the planned run-time sizes by index name, `found_by` the ways that found the tree.
    """

    batches: tuple[int, ...]
    batch: int
    sizes: Mapping[str, int]
    tree: ContractionTree
    found_by: tuple[str, ...]
    cost: Cost

    def over(self, batches: tuple[int, ...]) -> Variant:
        """The same variant for more batch sizes."""
        return replace(self, batches=batches)


@dataclass(frozen=True)
class ContractionPlan:
    """How a network is contracted, and what that was decided by.

    `machine` names the profile that predicted the times; `batch` is the size that the module is
    planned for.
    """

    target: str
    machine: str
    minimize: str
    training: bool
    search: str
    variants: tuple[Variant, ...]
    batch: int

    @property
    def main(self) -> Variant:
        """The variant that the module runs."""
        return self.variant(self.batch)

    def variant(self, batch: int) -> Variant:
        """The variant for a batch size: planned for it, or for the nearest smaller one."""
        suited = [variant for variant in self.variants if variant.batches[0] <= batch]
        return suited[-1] if suited else self.variants[0]

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON holds it."""
        return {
            "version": VERSION,
            "target": self.target,
            "machine": self.machine,
            "minimize": self.minimize,
            "training": self.training,
            "search": self.search,
            "batch": self.batch,
            "variants": [
                {
                    "batches": list(variant.batches),
                    "batch": variant.batch,
                    "sizes": dict(variant.sizes),
                    "found_by": list(variant.found_by),
                    "tree": tree_to_dict(variant.tree),
                    "cost": variant.cost.to_dict(),
                }
                for variant in self.variants
            ],
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
        except (KeyError, TypeError, IndexError, AttributeError) as problem:
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


def _read(stored: object) -> ContractionPlan:
    if not isinstance(stored, dict) or stored.get("version") != VERSION:
        raise NotStoredError(f"version {VERSION} is expected")
    variants = tuple(
        Variant(
            batches=tuple(int(size) for size in one["batches"]),
            batch=int(one["batch"]),
            sizes={str(name): int(size) for name, size in one["sizes"].items()},
            tree=tree_from_dict(one["tree"]),
            found_by=tuple(str(name) for name in one["found_by"]),
            cost=cost_from_dict(one["cost"]),
        )
        for one in stored["variants"]
    )
    if not variants or not all(variant.batches for variant in variants):
        raise NotStoredError("it has no variant")
    return ContractionPlan(
        target=str(stored["target"]),
        machine=str(stored["machine"]),
        minimize=str(stored["minimize"]),
        training=bool(stored["training"]),
        search=str(stored["search"]),
        variants=variants,
        batch=int(stored["batch"]),
    )
