"""What a module runs, by mode and batch size: the programs of a plan's variants."""

from __future__ import annotations

from dataclasses import dataclass

from tncompile.program.program import TensorProgram


@dataclass(frozen=True, slots=True)
class Branch:
    """A program and the batch sizes that it is for.

    `up_to` is the largest size, counted as the product of the leading axes `...` (or the size of
    the first run-time index); None for all larger ones. `reason` says in a few words why it is the
    choice there (`sweep forward, chunks of 16: predicted 1.9 ms at B = 64`).
    """

    program: TensorProgram
    up_to: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Repeats:
    """Batches of ids in which equal ones are contracted once, in eager mode.

    `training` says in which of the two modes, `above` and `up_to` (None: all larger) which sizes:
    there the ids are sorted, and where at most the part `share` of them differ, the network is
    contracted for these alone and its rows are looked up. `reason` says what that is worth.
    """

    training: bool
    above: int
    up_to: int | None
    share: float
    reason: str


@dataclass(frozen=True, slots=True)
class Branches:
    """Every program of a module; branches by ascending `up_to`, the last one without.

    whole      straight-line, for any batch size: under `torch.compile`, in exports, and everywhere
               in a module that is batch invariant
    training   with gradients enabled
    inference  without
    folded     without, in the module that `fold()` makes, whose values that depend on parameters
               alone are buffers
    repeats    where ids that are equal are contracted once before either of the two in the middle

    Equal programs of several branches are one object.
    """

    whole: TensorProgram
    training: tuple[Branch, ...]
    inference: tuple[Branch, ...]
    folded: tuple[Branch, ...]
    repeats: tuple[Repeats, ...] = ()

    @staticmethod
    def single(program: TensorProgram, reason: str = "") -> Branches:
        """One program in every mode at every size."""
        branch = (Branch(program, None, reason),)
        return Branches(program, branch, branch, branch)
