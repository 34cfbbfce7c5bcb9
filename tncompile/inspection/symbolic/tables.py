"""The polynomials of a network as text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.symbolic.polynomial import Polynomial

if TYPE_CHECKING:
    from tncompile.inspection.symbolic.cost import SymbolicCost
    from tncompile.inspection.symbolic.model_cost import SymbolicModel
    from tncompile.inspection.symbolic.sized import Quantity

LETTERS = 40
"""Letters that are listed."""

_EQUALS = "\u2007=\u2007"
"""An equals sign at which no line breaks."""


def cost_table(cost: SymbolicCost, width: int) -> str:
    """The totals, the contraction step by step, the letters, and what they hold for."""
    totals = {
        "parameters": cost.parameters,
        "multiply-adds": cost.multiply_adds,
        "FLOPs": cost.flops,
    }
    parts = [_title(cost), *_totals(totals, cost.reasons, width), _steps(cost, width)]
    parts.append(_letters(totals.values(), width))
    words = "the order of contraction of the plan"
    parts.append(_holds(cost.fixed, words, width))
    return "\n\n".join(part for part in parts if part) + "\n"


def model_table(model: SymbolicModel, width: int) -> str:
    """The parameters of a model, then each of its networks in letters of its own."""
    parts = [wording.shortened(model.name, width)]
    parts += _totals({"parameters": model.parameters}, model.reasons, width)
    parts += [_letters([model.parameters], width), _holds(model.fixed, "the same parts", width)]
    reason = model.reasons["multiply_adds"]
    words = f"Multiply-adds of the model as a whole: no polynomial; {reason}."
    if model.networks:
        words += " Its networks, each in its own parameters and for the rows that reach it:"
    parts.append(_filled(words, width))
    parts += [each.table(width).rstrip("\n") for each in model.networks.values()]
    return "\n\n".join(part for part in parts if part) + "\n"


def _title(cost: SymbolicCost) -> str:
    plan = f"plan: {cost.plan}"
    return f"{wording.shortened(cost.name)}\n{wording.MODE_TEXT[cost.mode]}\n{plan}"


def _totals(
    totals: Mapping[str, Polynomial | None], reasons: Mapping[str, str], width: int
) -> list[str]:
    texts: list[str] = []
    for label, polynomial in totals.items():
        if polynomial is None:
            reason = reasons[label.lower().replace("-", "_")]
            texts.append(_filled(f"{label}: no polynomial; {reason}.", width))
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


def _letters(polynomials: Iterable[Polynomial | None], width: int) -> str:
    """What the letters stand for: parameters in one paragraph, others a line each."""
    letters: dict[str, Quantity] = {}
    for each in polynomials:
        if each is not None:
            used = {name for term in each.terms for name in term.powers}
            letters |= {k: q for k, q in each.quantities.items() if k in used}
    parameters = [
        f"{name} = {letter.value:,}"
        for name, letter in letters.items()
        if letter.kind == "parameter"
    ]
    if (more := len(parameters) - LETTERS) > 0:
        parameters = [*parameters[:LETTERS], f"… and {more:,} more"]
    lines = [_filled(f"with {', '.join(parameters)}", width)] if parameters else []
    others = [letter for letter in letters.values() if letter.kind != "parameter"]
    for letter in others[:LETTERS]:
        what = f": {letter.what}" if letter.what != letter.name else ""
        lines.append(wording.shortened(f"     {letter.name} = {letter.value:,}{what}", width))
    if (more := len(others) - LETTERS) > 0:
        lines.append(f"     … and {more:,} more")
    return "\n".join(lines)


def _holds(fixed: Sequence[str], same: str, width: int) -> str:
    """For which values of the others the polynomials hold."""
    listed = ", ".join(fixed[:LETTERS])
    if (more := len(fixed) - LETTERS) > 0:
        listed += f", … and {more:,} more"
    words = f"For {listed}{', and ' if listed else ''}{same}: with others the polynomials differ."
    return _filled(words, width)


def _filled(text: str, width: int, indent: str = "") -> str:
    """Text in lines of this width, which do not end at the sign of an equation."""
    filled = textwrap.fill(
        text.replace(" = ", _EQUALS),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled.replace(_EQUALS, " = ")
