"""The polynomials of a network as text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.symbolic.polynomial import Polynomial

if TYPE_CHECKING:
    from tncompile.inspection.symbolic.cost import SymbolicCost

LETTERS = 40
"""Letters that are listed."""


def cost_table(cost: SymbolicCost, width: int) -> str:
    """The totals, the contraction step by step, the letters, and what they hold for."""
    parts = [_title(cost), *_totals(cost, width), _steps(cost, width), _letters(cost, width)]
    parts.append(_holds(cost, width))
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(cost: SymbolicCost) -> str:
    plan = f"plan: {cost.plan}"
    return f"{wording.shortened(cost.name)}\n{wording.MODE_TEXT[cost.mode]}\n{plan}"


def _totals(cost: SymbolicCost, width: int) -> list[str]:
    rows: tuple[tuple[str, str, Polynomial | None], ...] = (
        ("parameters", "parameters", cost.parameters),
        ("multiply-adds", "multiply_adds", cost.multiply_adds),
        ("FLOPs", "flops", cost.flops),
    )
    texts: list[str] = []
    for label, name, polynomial in rows:
        if polynomial is None:
            texts.append(_filled(f"{label}: no polynomial; {cost.reasons[name]}.", width))
        else:
            text = _filled(str(polynomial), width, indent="  ")
            texts.append(f"{label} = {polynomial.value:,}\n{text}")
    return texts


def _steps(cost: SymbolicCost, width: int) -> str:
    if not cost.steps:
        return ""
    shown = wording.largest_rows([step.multiply_adds.value for step in cost.steps])
    rows = [
        (
            step.result,
            f"{step.count} × {step.contraction}" if step.count > 1 else step.contraction,
            step.multiply_adds.text(3),
        )
        for step in (cost.steps[k] for k in shown)
    ]
    if hidden := len(cost.steps) - len(shown):
        rows.append(("…", f"{hidden:,} more", ""))
    return wording.columns_text(("step", "contraction", "multiply-adds"), rows, width, 3)


def _letters(cost: SymbolicCost, width: int) -> str:
    """What the letters are and stand for: parameters in one paragraph, others a line each."""
    used = {
        name
        for each in (cost.parameters, cost.multiply_adds, cost.flops)
        if each is not None
        for term in each.terms
        for name in term.powers
    }
    parameters = [
        f"{name} = {letter.value:,}"
        for name, letter in cost.quantities.items()
        if name in used and letter.kind == "parameter"
    ]
    if more := len(parameters) - LETTERS:
        parameters = parameters[:LETTERS] + ([f"… and {more:,} more"] if more > 0 else [])
    lines = [_filled(f"with {', '.join(parameters)}", width)] if parameters else []
    others = [
        letter
        for name, letter in cost.quantities.items()
        if name in used and letter.kind != "parameter"
    ]
    for letter in others[:LETTERS]:
        what = f": {letter.what}" if letter.what != letter.name else ""
        lines.append(wording.shortened(f"     {letter.name} = {letter.value:,}{what}", width))
    if len(others) > LETTERS:
        lines.append(f"     … and {len(others) - LETTERS:,} more")
    return "\n".join(lines)


def _holds(cost: SymbolicCost, width: int) -> str:
    """For which values of the others the polynomials hold."""
    if not cost.fixed:
        return _filled("The order of contraction is that of the plan.", width)
    listed = ", ".join(cost.fixed[:LETTERS])
    if (more := len(cost.fixed) - LETTERS) > 0:
        listed += f", … and {more:,} more"
    words = f"For {listed}, and the order of contraction of the plan: with others the polynomials"
    return _filled(f"{words} are other ones.", width)


def _filled(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
