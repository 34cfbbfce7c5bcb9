"""Trees and costs as JSON: plain dictionaries out, checked values back in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from reprlib import repr as shown
from typing import cast, get_type_hints
from unicodedata import category

from tncompile.language.diagnostics.excerpt import UNSEEN
from tncompile.lowering.schedule import MatmulLayout, Schedule
from tncompile.network.contraction import Contraction, ContractionTree, Lookup, Operand
from tncompile.simulation.costs import CostStep, Figures, ModeCost
from tncompile.simulation.modes import Mode

LARGEST = 2**62
"""No size, batch or number of a step is larger; torch has 64 bits for them."""


class NotStoredError(Exception):
    """What was read is not what was written."""


def tree_to_dict(tree: ContractionTree) -> dict[str, object]:
    """A contraction tree by names of indices and numbers of operands."""
    return {
        "operands": [
            {
                "tensor": operand.tensor,
                "legs": list(operand.legs),
                **({"lookups": _lookups_to_list(operand.lookups)} if operand.lookups else {}),
                **({"indicator": True} if operand.indicator else {}),
            }
            for operand in tree.operands
        ],
        "steps": [
            [step.left, step.right, list(step.legs)]
            + ([_lookups_to_list(step.lookups)] if step.lookups else [])
            for step in tree.steps
        ],
    }


def _lookups_to_list(lookups: tuple[Lookup, ...]) -> list[object]:
    return [[one.index, one.ids, one.divisor, one.size] for one in lookups]


def _lookups(stored: object) -> tuple[Lookup, ...]:
    return tuple(
        Lookup(text(index), whole(ids), whole(divisor), whole(size))
        for index, ids, divisor, size in _items(stored)
    )


def tree_from_dict(stored: Mapping[str, object]) -> ContractionTree:
    """The tree; `verify_tree` says whether it fits a network."""
    operands = tuple(
        Operand(
            whole(one["tensor"]),
            strings(one["legs"]),
            _lookups(one.get("lookups", [])),
            truth(one.get("indicator", False)),
        )
        for one in _items(stored["operands"])
    )
    steps = tuple(
        Contraction(
            whole(left),
            whole(right),
            len(operands) + k,
            strings(legs),
            _lookups(late[0] if late else []),
        )
        for k, (left, right, legs, *late) in enumerate(_items(stored["steps"]))
    )
    return ContractionTree(operands, steps)


def strategy_to_dict(schedule: Schedule) -> dict[str, object]:
    """A strategy: rows at a time, indices of every product in order, what is made together."""
    forms: list[object] | None = None
    if schedule.forms is not None:
        forms = [None if form is None else _form_to_list(form) for form in schedule.forms]
    return {
        "rows": schedule.rows,
        "forms": forms,
        "grouped": schedule.grouped,
        "settled": list(schedule.settled),
        "recompute": schedule.recompute,
    }


def _form_to_list(form: MatmulLayout) -> list[object]:
    return [form.swapped, *map(list, (form.batch, form.rows, form.summed, form.columns))]


def strategy_from_dict(stored: object) -> Schedule:
    """The strategy that `strategy_to_dict` wrote."""
    held = _mapping(stored)
    rows = whole(held["rows"])
    forms = None if held["forms"] is None else tuple(_form(one) for one in _items(held["forms"]))
    settled = integers(held["settled"])
    return Schedule(rows, forms, truth(held["grouped"]), settled, truth(held["recompute"]))


def _form(stored: object) -> MatmulLayout | None:
    if stored is None:
        return None
    if not isinstance(stored, list) or len(stored) != 5:
        raise NotStoredError(f"{shown(stored)} where a form is due")
    swapped, batch, rows, summed, columns = stored
    return MatmulLayout(
        truth(swapped), strings(batch), strings(rows), strings(summed), strings(columns)
    )


def mode_cost_from_dict(stored: object) -> ModeCost:
    """The cost that `ModeCost.to_dict` wrote."""
    held = _mapping(stored)
    return ModeCost(_figures(held["figures"]), tuple(_step(one) for one in _items(held["steps"])))


def as_mode(stored: object) -> Mode:
    """One of the modes."""
    match stored:
        case "training" | "inference" | "folded":
            return stored
        case _:
            raise NotStoredError(f"{shown(stored)} where training, inference or folded is due")


def _figures(stored: object) -> Figures:
    held = _mapping(stored)
    values: dict[str, object] = {}
    for name, kind in get_type_hints(Figures).items():
        value = held[name]
        if value is None and kind is not int:
            values[name] = None
            continue
        number = _real(value)  # what no float could hold is None
        values[name] = _count(value) if kind in (int, int | None) else number
    return Figures(**cast(dict[str, int], values))


def _step(stored: object) -> CostStep:
    held = _mapping(stored)
    return CostStep(
        result=text(held["result"]),
        left=text(held["left"]),
        right=text(held["right"]),
        indices=strings(held["indices"]),
        multiply_adds=_count(held["multiply_adds"]),
        bytes=_count(held["bytes"]),
        share=_real(held["share"]),
        count=whole(held["count"], 1),
        looked_up=truth(held.get("looked_up", False)),
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NotStoredError(f"{shown(value)} where a mapping is due")
    return cast(dict[str, object], value)


def _items(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise NotStoredError(f"{shown(value)} where a list is due")
    return cast(list[dict[str, object]], value)


def text(value: object) -> str:
    """A text that can be shown on a line: no control characters, no line separators."""
    if not isinstance(value, str) or any(category(character) in UNSEEN for character in value):
        raise NotStoredError(f"{shown(value)} where a line of text is due")
    return value


def strings(value: object) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(text(item) for item in _items(value))


def truth(value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise NotStoredError(f"{shown(value)} where true or false is due")
    return value


def whole(value: object, least: int = 0) -> int:
    """An integer that is `least` at least and fits torch's."""
    integer = isinstance(value, int) and not isinstance(value, bool)
    if not integer or not least <= cast(int, value) <= LARGEST:
        raise NotStoredError(f"{shown(value)} where an integer from {least} on is due")
    return cast(int, value)


def integers(value: object, least: int = 0) -> tuple[int, ...]:
    """A list of integers."""
    return tuple(whole(item, least) for item in _items(value))


def sizes_from_dict(value: object) -> dict[str, int]:
    """Positive sizes by name."""
    return {text(name): whole(item, 1) for name, item in _mapping(value).items()}


def _count(value: object) -> int:
    """An integer, however large."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NotStoredError(f"{shown(value)} where an integer from 0 on is due")
    return value


def _real(value: object) -> float:
    """A number that is neither negative nor endless."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotStoredError(f"{shown(value)} where a number is due")
    try:
        held = float(value)
    except OverflowError:
        held = math.inf
    if not (math.isfinite(held) and held >= 0):
        raise NotStoredError(f"{shown(value)} where a number is due")
    return held
