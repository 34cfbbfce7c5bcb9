"""The end of assembly: which steps are kept, what stands before the loop, and when values die."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tncompile.program.operations import Chunk, ConcatChunks, Operation, results, sources
from tncompile.program.program import Loop, Step, TensorProgram, Value

Noted = tuple[Operation, int | None, str]
"""An operation, the contraction it belongs to, and what it computes."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A run-time index of which `rows` entries are done at a time; see `Loop` for `recompute`."""

    index: str
    rows: int
    recompute: bool = False

    @property
    def name(self) -> str:
        """What the size of one part is called; no index has such a name."""
        return f"{self.index}'"


def finished(
    steps: Sequence[Noted],
    values: Mapping[str, Value],
    runtime: tuple[str, ...],
    parts: Parts | None,
    result: str,
    log: str | None,
) -> TensorProgram:
    """The program of these operations: unread ones left out, the loop in one piece, drops known."""
    returned = {result} | ({log} if log is not None else set())
    kept = _needed(steps, returned)
    loop = None
    start, stop = 0, len(kept)
    if parts is not None:
        kept, start, stop = _around_loop(kept, values, parts)
        loop = Loop(parts.index, parts.name, parts.rows, start, stop, parts.recompute)
    inside = {name for held in kept[start:stop] for name in results(held[0])}
    last: dict[str, int] = {}
    for k, (operation, _, _) in enumerate(kept):
        # What was made before the loop is read in every turn, so it dies with the loop.
        for name in sources(operation):
            last[name] = k if name in inside or not start <= k < stop else stop - 1
    dying: dict[int, list[str]] = {}
    for name, k in last.items():
        dying.setdefault(k, []).append(name)
    made: list[Step] = []
    for k, (operation, contraction, note) in enumerate(kept):
        unread = [name for name in results(operation) if name not in last]
        drops = (name for name in (*dying.get(k, ()), *unread) if name not in returned)
        made.append(Step(operation, contraction, tuple(drops), note))
    held_values = {name: values[name] for step in made for name in results(step.operation)}
    return TensorProgram(held_values, tuple(made), result, log, runtime, loop)


def _needed(steps: Sequence[Noted], returned: set[str]) -> list[Noted]:
    """The operations that something reads, in order."""
    needed = set(returned)
    kept: list[Noted] = []
    for noted in reversed(steps):
        if needed.intersection(results(noted[0])):
            needed.update(sources(noted[0]))
            kept.append(noted)
    return kept[::-1]


def _around_loop(
    steps: list[Noted], values: Mapping[str, Value], parts: Parts
) -> tuple[list[Noted], int, int]:
    """The steps with all that no part enters moved before the loop; where it starts and stops.

    What is repeated along the part is no less part of the loop than what comes from inputs.
    """
    inside: set[str] = set()
    before: list[Noted] = []
    cutting: list[Noted] = []
    turning: list[Noted] = []
    after: list[Noted] = []
    for noted in steps:
        operation = noted[0]
        made = results(operation)
        if turning and isinstance(turning[-1][0], ConcatChunks):
            after.append(noted)
        elif isinstance(operation, Chunk):
            cutting.append(noted)
            inside.update(made)
        elif inside.intersection(sources(operation)) or any(
            parts.name in length.names for name in made for length in values[name].shape
        ):
            turning.append(noted)
            inside.update(made)
        else:
            before.append(noted)
    start = len(before)
    stop = start + len(cutting) + len(turning)
    return before + cutting + turning + after, start, stop
