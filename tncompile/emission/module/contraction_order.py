"""The order of contraction that a program follows, in the words of the spec, and what it costs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from tncompile.emission.module.dispatch import Method
from tncompile.emission.text.identifiers import batch_name, window_lengths
from tncompile.emission.text.writer import compact, filled
from tncompile.network.model import DOTS, TensorNetwork
from tncompile.planning.wording import largest_rows
from tncompile.program.program import TensorProgram
from tncompile.program.queries import first_contraction, multiply_adds

Polynomial = Counter[tuple[str, ...]]
"""Factors by the run-time sizes that they belong to."""


def size_names(network: TensorNetwork) -> dict[str, str]:
    """What docstrings call run-time sizes, by index."""
    names = {index.name: index.name for index in network.indices} | {DOTS: batch_name(network)}
    for window in network.windows:
        length, result = window_lengths(window)
        names |= {window.input_leg: length, window.output_leg: result}
        names[window.padded_leg] = f"{length}_padded"
    return names


def write_order(method: Method, sizes: Mapping[str, str], room: int) -> list[str]:
    """A line a contraction of the program as planned; what the method does not do is done ahead.

    `sizes` are the names of run-time sizes by index.
    """
    program = method.program
    planned, rows = _rows(method.origin), _rows(program)
    if not planned:
        return []
    shown = largest_rows([cost.total() for _, cost in planned.values()])
    first = first_contraction(method.origin)
    count = max(planned) - first + 1
    head = f"{count} contractions" if count > 1 else "One contraction"
    head += f" in {len(planned)} steps" if len(planned) < count else ""
    if len(rows) < len(planned):
        head += f", {len(planned) - len(rows)} done ahead" if rows else ", done ahead"
    if rows:
        total = _text(sum((cost for _, cost in rows.values()), Polynomial()), sizes)
        head += f", {total} multiply-add{'s' * (total != '1')}"
    if program.loop is not None:
        head += f", {program.loop.rows} of {sizes[program.loop.index]} at a time"
        head += ", recomputed in backward" if program.loop.recompute else ""
    lines = filled(f"{head}{', the largest' if len(shown) < len(planned) else ''}:", room)
    texts: list[tuple[str, str, str]] = []
    for number in (list(planned)[k] for k in shown):
        factors, _, result = re.sub(r"\((\d+)\)", r"[\1]", planned[number][0]).partition(" -> ")
        cost = _text(rows[number][1], sizes) if number in rows else "ahead"
        texts.append((f"[{number - first + 1}] {factors}", cost, result))
    left, right = (min(max(len(text[k]) for text in texts), room // 2) for k in (0, 1))
    for factors, cost, result in texts:
        line = f"    {factors:<{left}}  {cost:>{right}}  -> {_legs(result)}"
        lines.append(line if len(line) <= room else f"{line[: room - 1]}…")
    return lines


def _legs(result: str) -> str:
    """The legs of a result, runs of a family shortened, and how many equal ones there are."""
    match = re.fullmatch(r"(.*?)( and \d+ equal ones)?", result)
    assert match is not None
    names = re.split(r", (?![^\[\]]*\])", match[1]) if match[1] else ["a number"]
    return ", ".join(compact(names)) + (match[2] or "")


def _rows(program: TensorProgram) -> dict[int, tuple[str, Polynomial]]:
    """The contractions that a program does, by number: what they compute, their multiply-adds."""
    rows: dict[int, tuple[str, Polynomial]] = {}
    loop = program.loop
    for step in program.steps:
        if step.contraction is None or not step.operation.is_contraction:
            continue
        work = multiply_adds(step.operation, program)
        names = (loop.index if loop and name == loop.part else name for name in work.names)
        _, cost = rows.setdefault(step.contraction, (step.note, Polynomial()))
        cost[tuple(names)] += work.factor
    return rows


def _text(cost: Polynomial, sizes: Mapping[str, str]) -> str:
    """`1,536 B + 4,096`, the terms with most sizes first; equal lengths have one name."""
    terms = Polynomial()
    for names, factor in sorted(cost.items(), key=lambda term: (-len(term[0]), term[0])):
        terms[tuple(sizes[name] for name in names)] += factor
    return " + ".join(" ".join([f"{factor:,}", *names]) for names, factor in terms.items())
