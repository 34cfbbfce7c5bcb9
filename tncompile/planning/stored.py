"""Trees and costs as JSON: plain dictionaries out, checked values back in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import cast

from tncompile.network.contraction import Contraction, ContractionTree, Lookup, Operand
from tncompile.planning.costing import Cost, CostStep, Crossing, Figures, Mode


class NotStoredError(Exception):
    """What was read is not what was written."""


def tree_to_dict(tree: ContractionTree) -> dict[str, object]:
    """A contraction tree by names of indices and numbers of operands."""
    return {
        "operands": [
            {
                "tensor": operand.tensor,
                "legs": list(operand.legs),
                **(
                    {"lookups": [[k.index, k.ids, k.divisor, k.size] for k in operand.lookups]}
                    if operand.lookups
                    else {}
                ),
                **({"indicator": True} if operand.indicator else {}),
            }
            for operand in tree.operands
        ],
        "steps": [[step.left, step.right, list(step.legs)] for step in tree.steps],
    }


def tree_from_dict(stored: Mapping[str, object]) -> ContractionTree:
    """The tree; `verify_tree` says whether it fits a network."""
    operands = tuple(
        Operand(
            _integer(one["tensor"]),
            _strings(one["legs"]),
            tuple(
                Lookup(str(index), _integer(ids), _integer(divisor), _integer(size))
                for index, ids, divisor, size in _items(one.get("lookups", []))
            ),
            bool(one.get("indicator", False)),
        )
        for one in _items(stored["operands"])
    )
    steps = tuple(
        Contraction(_integer(left), _integer(right), len(operands) + k, _strings(legs))
        for k, (left, right, legs) in enumerate(_items(stored["steps"]))
    )
    return ContractionTree(operands, steps)


def cost_from_dict(stored: Mapping[str, object]) -> Cost:
    """The cost that `Cost.to_dict` wrote."""
    return Cost(
        name=str(stored["name"]),
        sizes={str(k): _integer(v) for k, v in _mapping(stored["sizes"]).items()},
        machine=str(stored["machine"]),
        mode=_mode(stored["mode"]),
        found_by=_strings(stored["found_by"]),
        inference=_figures(stored["inference"]),
        training=_figures(stored["training"]),
        steps=tuple(_step(one) for one in _items(stored["steps"])),
        compared={
            _mode(mode): {name: _figures(one) for name, one in _mapping(held).items()}
            for mode, held in _mapping(stored["compared"]).items()
        },
        crossed={
            _mode(mode): {name: _crossing(one) for name, one in _mapping(held).items()}
            for mode, held in _mapping(stored["crossed"]).items()
        },
        reasons={k: str(v) for k, v in _mapping(stored["reasons"]).items()},
    )


def _mode(stored: object) -> Mode:
    match stored:
        case "training" | "inference":
            return stored
        case _:
            raise NotStoredError(f"{stored!r} where training or inference is due")


def _crossing(stored: object) -> Crossing:
    return Crossing(_optional(stored, "faster_from"), _optional(stored, "faster_up_to"))


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
        indices=_strings(held["indices"]),
        multiply_adds=_integer(held["multiply_adds"]),
        bytes=_integer(held["bytes"]),
        share=_real(held["share"]),
        training_share=_real(held["training_share"]),
        count=_integer(held["count"]),
    )


def _mapping(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NotStoredError(f"{value!r} where a mapping is due")
    return cast(dict[str, object], value)


def _items(value: object) -> list[dict[str, object]]:
    if not isinstance(value, list):
        raise NotStoredError(f"{value!r} where a list is due")
    return cast(list[dict[str, object]], value)


def _strings(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in _items(value))


def _integer(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise NotStoredError(f"{value!r} where an integer is due")
    return value


def _real(value: object) -> float:
    if not isinstance(value, int | float):
        raise NotStoredError(f"{value!r} where a number is due")
    return float(value)


def _optional(value: object, name: str) -> int | None:
    found = _mapping(value)[name]
    return None if found is None else _integer(found)
