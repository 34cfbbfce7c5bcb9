"""Scheduled trees, lowered and simulated: what each takes by batch size and mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from tncompile.lowering import TensorProgram, lower
from tncompile.lowering.schedule import STRAIGHT, Schedule
from tncompile.machine.profile import MachineProfile
from tncompile.network.contraction import ContractionTree
from tncompile.network.model import TensorNetwork
from tncompile.planning.tolerances import LEANER, NEAR
from tncompile.planning.wording import plan_text
from tncompile.program.folding import remainder
from tncompile.simulation.modes import Mode, trace_in


@dataclass(frozen=True, slots=True)
class ScheduledTree:
    """A contraction tree and how it is lowered; `number` says which of the trees it is."""

    names: tuple[str, ...]
    number: int
    tree: ContractionTree
    schedule: Schedule = STRAIGHT

    def __str__(self) -> str:
        return plan_text(self.names, self.schedule)

    @property
    def key(self) -> tuple[int, Schedule]:
        """Equal for equal trees with equal schedules."""
        return self.number, self.schedule


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a scheduled tree takes at one batch size in one mode."""

    option: ScheduledTree
    seconds: float
    flops: int
    peak: int  # bytes
    copied: int  # bytes

    def minimized(self, minimize: str) -> float:
        """The number that is minimized."""
        return {"flops": self.flops, "memory": self.peak}.get(minimize, self.seconds)


class Evaluator:
    """Lowers and traces scheduled trees, each once; run-time sizes but the leading one are fixed.

    Programs are lowered with the planned `sizes`, whatever batch size they are evaluated at.
    """

    def __init__(
        self, network: TensorNetwork, sizes: Mapping[str, int], profile: MachineProfile
    ) -> None:
        self.network, self.sizes, self.profile = network, sizes, profile
        self.leading = network.leading
        self._programs: dict[tuple[int, Schedule], TensorProgram] = {}
        self._remainders: dict[tuple[int, Schedule], TensorProgram] = {}
        self._evaluations: dict[tuple[int, Schedule, int, Mode], Evaluation] = {}
        self._roundings: dict[int, tuple[int, int]] = {}
        self._sizes: dict[int, dict[str, int]] = {}

    def named(self, batch: int) -> dict[str, int]:
        """The run-time sizes with another leading one."""
        return dict(self.sizes) if self.leading is None else {**self.sizes, self.leading: batch}

    def at(self, batch: int) -> dict[str, int]:
        """The same by index."""
        if batch not in self._sizes:
            self._sizes[batch] = self.network.with_window_sizes(self.named(batch))
        return self._sizes[batch]

    def program(self, option: ScheduledTree) -> TensorProgram:
        """The lowered program of a scheduled tree."""
        if option.key not in self._programs:
            program = lower(self.network, option.tree, option.schedule, sizes=self.sizes)
            self._programs[option.key] = program
        return self._programs[option.key]

    def evaluate(self, option: ScheduledTree, batch: int, mode: Mode) -> Evaluation:
        """What a scheduled tree takes at a batch size in a mode."""
        key = (*option.key, batch, mode)
        if key not in self._evaluations:
            program, rest = self.program(option), None
            if mode == "folded":
                if option.key not in self._remainders:
                    self._remainders[option.key] = remainder(program)
                rest = self._remainders[option.key]
            trace = trace_in(self.network, program, self.at(batch), self.profile, mode, rest)
            total = trace.total
            spent = total.seconds, total.flops, trace.peak, total.copied
            self._evaluations[key] = Evaluation(option, *spent)
        return self._evaluations[key]

    def roundings(self, option: ScheduledTree) -> tuple[int, int]:
        """How many products in a row an input goes through at most, and any value does.

        Each rounds once: of equally fast programs the one with fewer is more accurate.
        """
        if option.number not in self._roundings:
            tree = option.tree
            depth = [0] * len(tree.operands)
            varying = [
                0 if self.network.tensors[operand.tensor].role == "input" or operand.lookups else -1
                for operand in tree.operands
            ]
            for step in tree.steps:
                depth.append(1 + max(depth[step.left], depth[step.right]))
                latest = max(varying[step.left], varying[step.right])
                varying.append(latest + 1 if latest >= 0 else 0 if step.lookups else -1)
            self._roundings[option.number] = (varying[-1], depth[-1]) if depth else (-1, 0)
        return self._roundings[option.number]

    def best(
        self, options: Iterable[ScheduledTree], batch: int, mode: Mode, minimize: str
    ) -> Evaluation:
        """The best scheduled tree by what is minimized; of times within `NEAR`, the leanest.

        Chunks that hold the whole batch are left out where anything else is open. In training peak
        memory decides between near times, but for loops that save little of it, then the bytes
        copied, then roundings.
        """
        options = tuple(options)
        small = [it for it in options if self.leading is None or it.schedule.chunk_rows < batch]
        evaluations = [self.evaluate(option, batch, mode) for option in small or options]
        match minimize:
            case "flops":
                return min(evaluations, key=lambda e: (e.flops, e.seconds, e.peak))
            case "memory":
                return min(evaluations, key=lambda e: (e.peak, e.seconds, e.flops))
        criteria = ["seconds", *(["peak"] if mode == "training" else []), "copied"]
        for criterion in criteria:
            price = attrgetter(criterion)
            least = min(map(price, evaluations))
            evaluations = [e for e in evaluations if price(e) <= NEAR * least]
            if criterion == "seconds" and mode == "training":
                evaluations = _without_needless_loops(evaluations)
        return min(evaluations, key=lambda e: (self.roundings(e.option), e.seconds, e.flops))


def _without_needless_loops(near: list[Evaluation]) -> list[Evaluation]:
    """Evaluations of near times but those of loops that save neither time nor much memory."""
    whole = [e for e in near if not e.option.schedule.chunk_rows]
    if not whole:
        return near
    seconds, peak = (min(getattr(e, name) for e in whole) for name in ("seconds", "peak"))
    return [
        e
        for e in near
        if not e.option.schedule.chunk_rows or e.seconds < seconds or e.peak <= LEANER * peak
    ]
