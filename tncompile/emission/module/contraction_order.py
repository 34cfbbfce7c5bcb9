"""The order of contraction that a program follows, in the words of the spec, and what it costs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.emission.text.writer import compact, filled
from tncompile.planning.wording import largest_rows
from tncompile.program.program import TensorProgram
from tncompile.program.queries import first_contraction, multiply_adds

Polynomial = dict[tuple[str, ...], int]
"""Factors by the run-time sizes that they belong to."""


@dataclass
class _Row:
    """One contraction: what is multiplied, what is kept, its multiply-adds."""

    note: str
    cost: Polynomial = field(default_factory=dict)


def write_order(
    program: TensorProgram, origin: TensorProgram, sizes: Mapping[str, str], room: int
) -> list[str]:
    """A line a contraction of `origin`; what `program` does not do is done ahead.

    `sizes` are the names of run-time sizes by index.
    """
    rows = _rows(origin)
    if not rows:
        return []
    kept = _rows(program)
    total: Polynomial = {}
    for row in kept.values():
        _add(total, row.cost)
    shown = largest_rows([sum(row.cost.values()) for row in rows.values()])
    first = first_contraction(origin)
    count = max(rows) - first + 1
    head = f"{count} contractions" if count > 1 else "One contraction"
    head += f" in {len(rows)} steps" if len(rows) < count else ""
    if len(kept) < len(rows):
        head += f", {len(rows) - len(kept)} done ahead" if kept else ", done ahead"
    if total:
        head += f", {_text(total, sizes)} multiply-add{'s' * (total != {(): 1})}"
    if program.loop is not None:
        head += f", {program.loop.rows} of {sizes[program.loop.index]} at a time"
        head += ", recomputed in backward" if program.loop.recompute else ""
    lines = filled(f"{head}{', the largest' if len(shown) < len(rows) else ''}:", room)
    texts = [
        (
            f"[{number - first + 1}] {_numbered(row.note)}",
            _text(kept[number].cost, sizes) if number in kept else "ahead",
        )
        for number, row in rows.items()
    ]
    texts = [texts[k] for k in shown]
    widths = [min(max(len(text[k]) for text in texts), room // 2) for k in (0, 1)]
    for text, cost in texts:
        what, _, result = text.partition(" -> ")
        line = (
            f"    {what:<{min(widths[0], _widest(texts))}}  {cost:>{widths[1]}}  -> {_legs(result)}"
        )
        lines.append(line if len(line) <= room else f"{line[: room - 1]}…")
    return lines


def _legs(result: str) -> str:
    """The legs of a result, runs of a family shortened, and how many equal ones there are."""
    match = re.fullmatch(r"(.*?)( and \d+ equal ones)?", result)
    assert match is not None
    names = re.split(r", (?![^\[\]]*\])", match[1]) if match[1] else ["a number"]
    return ", ".join(compact(names)) + (match[2] or "")


def _widest(texts: list[tuple[str, str]]) -> int:
    return max(len(text.partition(" -> ")[0]) for text, _ in texts)


def _rows(program: TensorProgram) -> dict[int, _Row]:
    """The contractions that a program does, by number."""
    found: dict[int, _Row] = {}
    loop = program.loop
    for step in program.steps:
        if step.contraction is None or not step.operation.is_contraction:
            continue
        work = multiply_adds(step.operation, program)
        names = tuple(
            loop.index if loop is not None and name == loop.part else name for name in work.names
        )
        row = found.setdefault(step.contraction, _Row(step.note))
        _add(row.cost, {names: work.factor})
    return found


def _add(total: Polynomial, more: Polynomial) -> None:
    for names, factor in more.items():
        total[names] = total.get(names, 0) + factor


def _text(cost: Polynomial, sizes: Mapping[str, str]) -> str:
    """`1,536 B + 4,096`, the terms with most sizes first."""
    terms = sorted(cost.items(), key=lambda term: (-len(term[0]), term[0]))
    return " + ".join(" ".join([f"{k:,}", *(sizes[name] for name in names)]) for names, k in terms)


def _numbered(note: str) -> str:
    """A note, results of other contractions in brackets as comments give them."""
    return re.sub(r"\((\d+)\)", r"[\1]", note)
