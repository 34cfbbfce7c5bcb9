"""Ways to run a network, lowered and run on ghosts: what each takes by batch size and mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.request import leading_size
from tncompile.simulation.modes import Mode, trace_in
from tncompile.simulation.trace import Trace

NEAR = 1.05
"""Times within this factor count as equal, nobody predicts them better: in training the leaner one
wins, then what copies least, whose time is the surest, then the more accurate one."""


@dataclass(frozen=True, slots=True)
class ScheduledTree:
    """A contraction tree and how it is lowered; `number` says which of the trees it is."""

    names: tuple[str, ...]
    number: int
    tree: ContractionTree
    schedule: Schedule = STRAIGHT

    @property
    def key(self) -> tuple[int, Schedule]:
        """Equal for equal ways."""
        return self.number, self.schedule


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A way, and what it does at one batch size in one mode."""

    way: ScheduledTree
    seconds: float
    flops: int
    peak: int
    copied: int  # bytes


class Evaluator:
    """Lowers and traces ways, each once; run-time sizes but the leading one are fixed.

    `sizes` are the planned run-time sizes, which every program is lowered with: what a way makes
    does not depend on the batch size that it is assessed for.
    """

    def __init__(
        self, network: TensorNetwork, sizes: Mapping[str, int], profile: MachineProfile
    ) -> None:
        self.network = network
        self.sizes = sizes
        self.profile = profile
        self.leading = leading_size(sizes)
        self._programs: dict[tuple[int, Schedule], TensorProgram] = {}
        self._known: dict[tuple[int, Schedule, int, Mode], Evaluation] = {}
        self._operands: dict[int, tuple[int, int]] = {}

    def at(self, batch: int) -> dict[str, int]:
        """The run-time sizes with another leading one."""
        return dict(self.sizes) if self.leading is None else {**self.sizes, self.leading: batch}

    def program(self, way: ScheduledTree) -> TensorProgram:
        """The lowered program of a way."""
        if way.key not in self._programs:
            made = lower(self.network, way.tree, way.schedule, sizes=self.sizes)
            self._programs[way.key] = made
        return self._programs[way.key]

    def trace(self, way: ScheduledTree, batch: int, mode: Mode) -> Trace:
        """What the program of a way does at a batch size in a mode."""
        return trace_in(self.network, self.program(way), self.at(batch), self.profile, mode)

    def assess(self, way: ScheduledTree, batch: int, mode: Mode) -> Evaluation:
        """The same in a few numbers."""
        key = (*way.key, batch, mode)
        if key not in self._known:
            traced = self.trace(way, batch, mode)
            total = traced.total
            self._known[key] = Evaluation(
                way, total.seconds, total.flops, traced.peak, total.copied
            )
        return self._known[key]

    def cautious(self, one: Evaluation) -> float:
        """Seconds with all its copies priced once more, as transpositions.

        What a choice falls for are programs whose time is underestimated, and copies are what is
        least sure. By this price neighboring sizes come to share a way.
        """
        return one.seconds + self.profile.copy_seconds(one.copied, 4) if one.copied else one.seconds

    def roundings(self, way: ScheduledTree) -> tuple[int, int]:
        """How many products what depends on inputs goes through one after the other, and any value.

        Each rounds once: of plans that take equally long the one with fewer is more accurate.
        """
        if way.number not in self._operands:
            tree = way.tree
            depth = [0] * len(tree.operands)
            varying = [
                0 if self.network.tensors[operand.tensor].role == "input" or operand.lookups else -1
                for operand in tree.operands
            ]
            for step in tree.steps:
                depth.append(1 + max(depth[step.left], depth[step.right]))
                latest = max(varying[step.left], varying[step.right])
                varying.append(latest + 1 if latest >= 0 else 0 if step.lookups else -1)
            self._operands[way.number] = (varying[-1], depth[-1]) if depth else (-1, 0)
        return self._operands[way.number]

    def best(
        self, ways: Iterable[ScheduledTree], batch: int, mode: Mode, minimize: str
    ) -> Evaluation:
        """The best of some ways by what is minimized; `NEAR` says what counts as equally fast.

        Parts that hold the whole batch are left out where anything else is open.
        """
        given = tuple(ways)
        several = [way for way in given if self.leading is None or way.schedule.rows < batch]
        found = [self.assess(way, batch, mode) for way in several or given]
        match minimize:
            case "flops":
                return min(found, key=lambda one: (one.flops, one.seconds, one.peak))
            case "memory":
                return min(found, key=lambda one: (one.peak, one.seconds, one.flops))
        least = min(one.seconds for one in found)
        found = [one for one in found if one.seconds <= NEAR * least]
        if mode == "training":
            leanest = min(one.peak for one in found)
            found = [one for one in found if one.peak <= NEAR * leanest]
        fewest = min(one.copied for one in found)
        found = [one for one in found if one.copied <= NEAR * fewest]
        return min(found, key=lambda one: (self.roundings(one.way), one.seconds, one.flops))


def measure_of(assessed: Evaluation, minimize: str) -> float:
    """The number that is minimized."""
    match minimize:
        case "flops":
            return assessed.flops
        case "memory":
            return assessed.peak
        case _:
            return assessed.seconds


CLEARLY = 1.05
"""How much faster something has to be before that is said: nobody predicts times more exactly."""
