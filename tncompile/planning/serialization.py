"""What lock files and plans hold as JSON, read back in by pydantic, which is imported with this."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from reprlib import repr as shown
from typing import Annotated, Any, TypeVar
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from tncompile.language.diagnostics.excerpt import UNSEEN
from tncompile.lowering.schedule import Schedule
from tncompile.network.contraction import ContractionTree
from tncompile.program.variants import Repeats
from tncompile.simulation.costs import ModeCost
from tncompile.simulation.modes import Mode

LARGEST = 2**62  # no size, batch or number of a step is larger; torch has 64 bits for them

T = TypeVar("T")

Size = Annotated[int, Field(ge=1)]


class NotStoredError(ValueError):
    """What was read is not what was written; the message is one printable line."""


class _Stored(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _StoredProgram(_Stored):
    """What runs in a mode; its tree and its schedule are numbers in the lists of the plan."""

    mode: Mode
    batch: Size
    tree: int
    schedule: int


class StoredAlternative(_StoredProgram):
    """An `Alternative` of a stored plan."""

    name: str


class StoredVariant(_StoredProgram):
    """A `Variant` of a stored plan."""

    up_to: int | None
    batches: tuple[Size, ...] = Field(min_length=1)
    sizes: dict[str, Size]
    found_by: tuple[str, ...] = Field(min_length=1)
    cost: ModeCost
    reason: str


class StoredPlan(_Stored):
    """A `ContractionPlan` with every tree and schedule once."""

    target: str
    machine: str
    minimize: str
    training: bool
    search: str
    batch: Size
    sizes: dict[str, Size]
    variants: tuple[StoredVariant, ...]
    whole: StoredVariant
    tuned: str | None
    repeats: tuple[Repeats, ...] = ()  # older plans have none
    alternatives: tuple[StoredAlternative, ...]
    trees: tuple[ContractionTree, ...]
    schedules: tuple[Schedule, ...]


def read(kind: type[T], stored: object) -> T:
    """The value of a type that a JSON value stores. Raises `NotStoredError` where it is none.

    Nothing is converted, every text fits on a line, and no number is negative or endless.
    """
    try:
        _refuse_odd(stored, LARGEST)
        value: T = _adapter(kind).validate_json(json.dumps(stored), strict=True)
        return value
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        missing = problem["type"] == "missing"
        what = "" if missing else f", not {shown(problem['input'])}"
        raise NotStoredError(f"{place}: {problem['msg']}{what}") from None
    except RecursionError:
        raise NotStoredError("values lie in each other too deep") from None


_adapter: Callable[[object], Any] = cache(TypeAdapter)


def _refuse_odd(value: object, largest: int | None) -> None:
    """`NotStoredError` for texts and numbers that nothing stores, at any depth."""
    match value:
        case str() if not value.isprintable() and any(category(c) in UNSEEN for c in value):
            raise NotStoredError(f"{shown(value)} where a line of text is due")
        case int() if value < 0 or (largest is not None and value > largest):
            raise NotStoredError(f"{shown(value)} where an integer from 0 on is due")
        case float() if not 0 <= value < float("inf"):
            raise NotStoredError(f"{shown(value)} where a number is due")
        case list():
            for item in value:
                _refuse_odd(item, largest)
        case dict():
            for name, item in value.items():
                _refuse_odd(name, largest)
                _refuse_odd(item, None if name == "cost" else largest)  # counts may be any size
