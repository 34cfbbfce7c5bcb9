"""The plan of a contraction: what is run, planned for which sizes, and on which machine profile.

(First shape, so that the rooms after planning can be built; the planning room owns this file: its
names `ContractionPlan.main`, `.machine`, `.variants`, `Variant.tree`, `.sizes` are in use elsewhere.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tncompile.network.contraction import ContractionTree


@dataclass(frozen=True)
class Variant:
    """One tree, and the run-time sizes that it is planned for."""

    batch: int
    sizes: Mapping[str, int]
    tree: ContractionTree
    multiply_adds: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ContractionPlan:
    """The variants of a plan; `main` is the one that the module runs."""

    target: str
    machine: str
    variants: tuple[Variant, ...]

    @property
    def main(self) -> Variant:
        """The variant in the middle of the planned batch sizes."""
        return self.variants[len(self.variants) // 2]

    def to_json(self) -> str:
        """The plan as JSON text."""
        return repr(self)

    def describe(self) -> str:
        """The plan as text."""
        return repr(self.main.tree.steps) + "\n"
