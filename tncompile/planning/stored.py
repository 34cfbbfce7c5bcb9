"""Trees and costs as JSON: plain dictionaries out, checked values back in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import cast

from tncompile.lowering.strategy import Form, Strategy
from tncompile.network.contraction import Contraction, ContractionTree, Lookup, Operand
from tncompile.planning.costing import CostStep, Figures, Mode, ModeCost


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
        Lookup(str(index), _integer(ids), _integer(divisor), _integer(size))
        for index, ids, divisor, size in _items(stored)
    )


def tree_from_dict(stored: Mapping[str, object]) -> ContractionTree:
    """The tree; `verify_tree` says whether it fits a network."""
    operands = tuple(
        Operand(
            _integer(one["tensor"]),
            strings(one["legs"]),
            _lookups(one.get("lookups", [])),
            bool(one.get("indicator", False)),
        )
        for one in _items(stored["operands"])
    )
    steps = tuple(
        Contraction(
            _integer(left),
            _integer(right),
            len(operands) + k,
            strings(legs),
            _lookups(late[0] if late else []),
        )
        for k, (left, right, legs, *late) in enumerate(_items(stored["steps"]))
    )
    return ContractionTree(operands, steps)


def strategy_to_dict(strategy: Strategy) -> dict[str, object]:
    """A strategy: rows at a time, indices of every product in order, what is made together."""
    forms: list[object] | None = None
    if strategy.forms is not None:
        forms = [None if form is None else _form_to_list(form) for form in strategy.forms]
    return {
        "rows": strategy.rows,
        "forms": forms,
        "grouped": strategy.grouped,
        "settled": list(strategy.settled),
        "recompute": strategy.recompute,
    }


def _form_to_list(form: Form) -> list[object]:
    return [form.swapped, *map(list, (form.batch, form.rows, form.summed, form.columns))]


def strategy_from_dict(stored: object) -> Strategy:
    """The strategy that `strategy_to_dict` wrote."""
    held = _mapping(stored)
    rows = _integer(held["rows"])
    if rows < 0:
        raise NotStoredError(f"{rows} rows at a time")
    forms = None if held["forms"] is None else tuple(_form(one) for one in _items(held["forms"]))
    settled = tuple(_integer(one) for one in _items(held["settled"]))
    recompute = held["recompute"]
    if not isinstance(recompute, bool):
        raise NotStoredError(f"{recompute!r} where true or false is due")
    return Strategy(rows, forms, bool(held["grouped"]), settled, recompute)


def _form(stored: object) -> Form | None:
    if stored is None:
        return None
    if not isinstance(stored, list) or len(stored) != 5:
        raise NotStoredError(f"{stored!r} where a form is due")
    swapped, batch, rows, summed, columns = stored
    if not isinstance(swapped, bool):
        raise NotStoredError(f"{swapped!r} where true or false is due")
    return Form(swapped, strings(batch), strings(rows), strings(summed), strings(columns))


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
            raise NotStoredError(f"{stored!r} where training, inference or folded is due")


def _figures(stored: object) -> Figures:
    held = _mapping(stored)
    values: dict[str, object] = {}
    for field in fields(Figures):
        value = held[field.name]
        if value is not None and not isinstance(value, int | float):
            raise NotStoredError(f"`{field.name}` is {value!r}")
        values[field.name] = value
    return Figures(**cast(dict[str, int], values))


def _step(stored: object) -> CostStep:
    held = _mapping(stored)
    return CostStep(
        result=str(held["result"]),
        left=str(held["left"]),
        right=str(held["right"]),
        indices=strings(held["indices"]),
        multiply_adds=_integer(held["multiply_adds"]),
        bytes=_integer(held["bytes"]),
        share=_real(held["share"]),
        count=_integer(held["count"]),
        looked_up=bool(held.get("looked_up", False)),
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NotStoredError(f"{value!r} where a mapping is due")
    return cast(dict[str, object], value)


def _items(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise NotStoredError(f"{value!r} where a list is due")
    return cast(list[dict[str, object]], value)


def strings(value: object) -> tuple[str, ...]:
    """A list of texts."""
    return tuple(str(item) for item in _items(value))


def integers(value: object) -> tuple[int, ...]:
    """A list of integers."""
    return tuple(_integer(item) for item in _items(value))


def named_integers(value: object) -> dict[str, int]:
    """Integers by name."""
    return {name: _integer(item) for name, item in _mapping(value).items()}


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotStoredError(f"{value!r} where an integer is due")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float):
        raise NotStoredError(f"{value!r} where a number is due")
    return float(value)
