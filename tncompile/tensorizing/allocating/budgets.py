"""What may be spent, and on what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from tncompile.tensorizing.calibrating.patterns import matching

Unit = Literal["params", "bytes", "flops", "time", "error"]

UNITS: tuple[Unit, ...] = get_args(Unit)

Floors = Mapping[str, float] | float | None


@dataclass(frozen=True)
class Budget:
    """A number in a unit: a part of what the model has up to 1, a number of them above.

    The unit of time is a microsecond.
    """

    unit: Unit
    value: float

    def limit(self, whole: float) -> float:
        """What may be spent of a whole."""
        return self.value * whole if self.value <= 1 else self.value


def read_budget(budget: Mapping[str, float] | float) -> Budget:
    """The budget that was asked for. Raises TypeError and ValueError for what is none."""
    given: Mapping[str, object] = budget if isinstance(budget, Mapping) else {"params": budget}
    if len(given) != 1 or not set(given) <= set(UNITS):
        raise ValueError(f"a budget is one of {', '.join(UNITS)}: {{'params': 0.35}}")
    ((name, value),) = given.items()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"the budget `{name}` is a number, not {type(value).__name__}")
    if not 0 < value < math.inf or (name == "error" and value >= 1):
        rule = "an error between 0 and 1" if name == "error" else "a part, or a number above 1"
        raise ValueError(f"the budget `{name}` is {rule}, not {value:g}")
    unit = next(each for each in UNITS if each == name)
    return Budget(unit, float(value))


def read_floors(floors: Floors, names: list[str]) -> dict[str, float]:
    """The floor of each layer that has one; the largest of those whose patterns match.

    Raises ValueError for a pattern that matches nothing, and for what is no floor.
    """
    given = floors if isinstance(floors, Mapping) else {} if floors is None else {"*": floors}
    found: dict[str, float] = {}
    for pattern, value in given.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
            raise ValueError(f"a floor is a rank, or a part below 1 of the full one, not {value!r}")
        none = "no layer is called {pattern}, which has a floor"
        for name in matching(pattern, names, none=none):
            found[name] = max(found.get(name, 0), value)
    return found


def least_rank(floor: float | None, full: int, multiple: int) -> int:
    """The smallest rank that a layer may have.

    >>> least_rank(None, 384, 8), least_rank(0.1, 384, 8), least_rank(20, 384, 8)
    (8, 40, 24)
    """
    if floor is None:
        return multiple
    rank = math.ceil(floor * full) if floor < 1 else math.ceil(floor)
    return max(multiple, -(-rank // multiple) * multiple)
