"""A difference as text: what both are, what differs, figures beside each other."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import tncompile.planning.wording as wording
from tncompile.inspection.comparing.changes import Change
from tncompile.inspection.comparing.figures import ComparedFigure, unit_text
from tncompile.inspection.comparing.names import together

if TYPE_CHECKING:
    from tncompile.inspection.comparing.difference import Difference

MOST_ROWS = 60
"""Rows of a table of changes."""

WIDEST_NAME = 44
"""Columns of what a row is about."""

TRAINED = ("trainable", "frozen")
"""Figures that say nothing new where nothing is frozen."""

Row = tuple[str, str, str]


def table_of(difference: Difference, width: int) -> str:
    """The whole text; one sentence where nothing differs."""
    rows = list(_rows((*difference.arguments, *difference.changes), 0))
    if difference.equal:
        parts = [_no_difference(difference), _changes(rows, width)]
        return "\n\n".join(filter(None, parts)) + "\n"
    parts = [
        _title(difference, width),
        _changes(rows, width),
        _stored_and_costs(difference, width),
        _plans(difference, width),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _no_difference(difference: Difference) -> str:
    if difference.uncosted:
        words = "No difference: the structure and the parameters are the same. "
        return f"{words}{_uncosted(difference)}"
    return "No difference: the structure, the parameters and the costs are the same."


def _uncosted(difference: Difference) -> str:
    return f"Costs are not compared: {difference.uncosted}; give `sizes`, or --size NAME=N."


def _title(difference: Difference, width: int) -> str:
    """What is compared, and whether the maps have the same inputs and outputs."""
    lines = [
        wording.shortened(f"{name:6}{label}", width)
        for name, label in (("A", difference.first), ("B", difference.second))
    ]
    one, other = (wording.shortened(each, width - 5) for each in difference.interfaces)
    if difference.same_interface:
        lines.append(f"both  {wording.shortened(one, width - 6)}")
    else:
        lines = ["They take or give other shapes:", f"  A  {one}", f"  B  {other}", "", *lines]
    if not difference.changes:
        lines.append("The structure is the same.")
    return "\n".join(lines)


def _rows(changes: Iterable[Change], depth: int) -> Iterator[Row]:
    """A row a change, those inside of a part below it."""
    for change in together(changes):
        counts = change.parameters or (None, None)
        before, after = (
            _cell(text, count)
            for text, count in zip((change.before, change.after), counts, strict=True)
        )
        about = f"{change.kind} {change.name}".rstrip()
        aspect = "" if change.kind == "part" and change.aspect == "is" else change.aspect
        yield "  " * depth + ", ".join(filter(None, (about, aspect))), before, after
        yield from _rows(change.inner, depth + 1)


def _cell(text: str | None, count: int | None) -> str:
    if text is None:
        return "—"
    return text if count is None else f"{wording.count_text(count)} numbers: {text}"


def _changes(rows: Sequence[Row], width: int) -> str:
    """The rows with A and B as wide as they need, and half of what is left where that is less."""
    if not rows:
        return ""
    hidden = len(rows) - MOST_ROWS
    if hidden > 0:
        rows = [*rows[:MOST_ROWS], (f"… {hidden:,} more", "", "")]
    rows = [(wording.shortened(row[0], WIDEST_NAME), *row[1:]) for row in rows]
    left = width - max(len(row[0]) for row in rows) - 4
    one, other = (max(len(row[side]) for row in rows) for side in (1, 2))
    if one + other > left:
        half = left // 2
        one, other = min(one, max(half, left - other)), min(other, max(half, left - one))
    cut = [
        (name, wording.shortened(before, one), wording.shortened(after, other))
        for name, before, after in rows
    ]
    return wording.columns_text(("differs", "A", "B"), cut, width, 3)


def _stored_and_costs(difference: Difference, width: int) -> str:
    """Figures with their ratio; those of a mode under its name."""
    rows: list[tuple[str, ...]] = []
    figures = difference.figures
    mode = None
    has_frozen = any(each.name == "frozen" and (each.before or each.after) for each in figures)
    for figure in figures:
        if {figure.before, figure.after} == {None} or (figure.name in TRAINED and not has_frozen):
            continue
        if figure.mode is not None and figure.mode != mode:
            rows.append((wording.MODE_TEXT[figure.mode], "", "", ""))
        mode = figure.mode
        name = f"{'  ' if mode else ''}{figure.name}"
        values = (unit_text(figure, value) for value in (figure.before, figure.after))
        rows.append((name, *values, _ratio(figure)))
    text = wording.columns_text(("figure", "A", "B", "B / A"), rows, width, 1)
    if difference.uncosted:
        return f"{text}\n\n{textwrap.fill(_uncosted(difference), width)}"
    return f"{text}\n\n{textwrap.fill(_conditions(difference), width)}"


def _ratio(figure: ComparedFigure) -> str:
    if figure.before == figure.after:
        return "the same"
    return "—" if figure.ratio is None else wording.ratio_text(figure.ratio)


def _conditions(difference: Difference) -> str:
    """What costs are predicted for."""
    one, other = map(wording.sizes_text, difference.sizes)
    machine = f"predicted for {difference.machine}"
    if one == other:
        return f"Costs {one}, {machine}." if one else f"Costs are {machine}."
    return f"Costs of A {one or 'as it is'}, of B {other or 'as it is'}: not alike; {machine}."


def _plans(difference: Difference, width: int) -> str:
    """What runs in the mode that was asked for, where it differs."""
    for plan in difference.plans:
        if plan.mode != difference.mode or plan.before == plan.after:
            continue
        lines = [f"What runs in {wording.MODE_TEXT[plan.mode]}:"]
        for name, text in (("A", plan.before), ("B", plan.after)):
            lines.append(wording.shortened(f"  {name}  {text or 'not one contraction'}", width))
        return "\n".join(lines)
    return ""
