"""The last stage before PyTorch: the source text of a module, and what it declares."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Declared:
    """A tensor of the state dict; a buffer where it is frozen."""

    key: str
    shape: tuple[int, ...]
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class ClassSource:
    """The classes of one network as text, and what they need of the file that they stand in.

    header        comments that say what it was made from
    functions     those that its methods call
    classes       the module, its folded twin, and its parallel style if it is sharded
    family_depth  the most subscripts that a tensor has
    recomputes    whether a backward pass recomputes parts of the forward pass
    """

    name: str
    header: tuple[str, ...]
    functions: tuple[str, ...]
    classes: tuple[str, ...]
    parameters: tuple[Declared, ...]
    branching: bool
    family_depth: int
    recomputes: bool
    sharded: bool


@dataclass(frozen=True, slots=True)
class GeneratedModule:
    """A complete Python file that imports torch and the standard library only, and its class.

    Where it is `branching`, the batch size decides what runs, and the class takes the argument
    `batch_invariant` that forbids it.
    """

    source: str
    class_name: str
    parameters: tuple[Declared, ...]
    branching: bool = False

    @property
    def digest(self) -> str:
        """A hash of the source, the same everywhere: equal digests are equal modules."""
        return hashlib.sha256(self.source.encode()).hexdigest()

    def describe(self) -> str:
        """The source."""
        return self.source
