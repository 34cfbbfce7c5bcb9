"""The end of lowering: which steps are needed, and what stands before and after the loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tncompile.program.operations import Chunk, ConcatChunks, results, sources
from tncompile.program.program import Loop, Step, TensorProgram, Value
from tncompile.program.rewriting import finished, straightened
from tncompile.program.verifying import checked


@dataclass(frozen=True, slots=True)
class Parts:
    """A run-time index of which `rows` entries are done at a time; see `Loop` for `recompute`."""

    index: str
    rows: int
    recompute: bool = False

    @property
    def name(self) -> str:
        """The name of the size of one part, which no index has."""
        return f"{self.index}'"


def build_program(
    steps: Sequence[Step],
    values: Mapping[str, Value],
    runtime: tuple[str, ...],
    parts: Parts | None,
    returns: tuple[str, ...],
) -> TensorProgram:
    """The program of these steps: unread ones left out, the loop in one piece, drops known.

    A loop of which no step reads an input of several parts is undone.
    """
    needed = _needed(steps, returns)
    loop = None
    if parts is not None:
        before, chunks, body, after = _around_loop(needed, values, parts)
        needed = before + chunks + body + after
        start, stop = len(before), len(needed) - len(after)
        loop = Loop(parts.index, parts.name, parts.rows, start, stop, parts.recompute)
    program = TensorProgram(values, tuple(needed), returns, runtime, loop)
    if loop is not None and not chunks:
        return checked(straightened(program))
    return checked(finished(program, needed))


def _needed(steps: Sequence[Step], returns: tuple[str, ...]) -> list[Step]:
    """The steps whose results are returned, or read by a later one of them."""
    read = set(returns)
    needed: list[Step] = []
    for step in reversed(steps):
        if read.intersection(results(step.operation)):
            read.update(sources(step.operation))
            needed.append(step)
    return needed[::-1]


def _around_loop(
    steps: list[Step], values: Mapping[str, Value], parts: Parts
) -> tuple[list[Step], list[Step], list[Step], list[Step]]:
    """The steps before the loop, its chunks, its other steps, and those after it.

    Each step that depends on no part comes before the loop. One that is repeated along the part
    belongs to it as much as one that reads an input.
    """
    inside: set[str] = set()
    before: list[Step] = []
    chunks: list[Step] = []
    body: list[Step] = []
    after: list[Step] = []
    for step in steps:
        targets = results(step.operation)
        if body and isinstance(body[-1].operation, ConcatChunks):
            after.append(step)
        elif isinstance(step.operation, Chunk):
            chunks.append(step)
            inside.update(targets)
        elif inside.intersection(sources(step.operation)) or any(
            parts.name in length.names for name in targets for length in values[name].shape
        ):
            body.append(step)
            inside.update(targets)
        else:
            before.append(step)
    return before, chunks, body, after
