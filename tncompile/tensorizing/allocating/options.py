"""What a layer can become, what that costs and what it loses; the best for all layers together.

The sum of squared errors is minimized under a sum of costs. Of each layer only options on the lower
convex hull of (cost, error) are taken, in the order of what they gain for what they cost: that is
one threshold on gain per cost for all layers, of low rank on s²/(m + n) (Everett, "Generalized
Lagrange Multiplier Method for Solving Problems of Optimum Allocation of Resources", 1963).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NOTHING = 1e-12
"""A part of the error of all options that is not worth a parameter."""


@dataclass(frozen=True, slots=True)
class Option:
    """A block with its arguments, or the layer as it is (None).

    `error` is squared, `cost` in the unit of the budget.
    """

    parameters: int
    cost: float
    error: float
    block: str | None = None
    arguments: Mapping[str, object] = field(default_factory=dict)


def hull(options: Sequence[Option]) -> list[Option]:
    """Those that are best for some price of a unit of cost, from the cheapest on.

    >>> [o.cost for o in hull([Option(1, 1, 9), Option(2, 2, 8), Option(3, 3, 1), Option(4, 4, 1)])]
    [1, 3]
    """
    kept: list[Option] = []
    for option in sorted(options, key=lambda each: (each.cost, each.error)):
        if kept and option.error >= kept[-1].error:
            continue
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) <= _slope(kept[-2], option):
            kept.pop()
        kept.append(option)
    return kept


def _slope(cheap: Option, dear: Option) -> float:
    """What is gained for a unit of cost."""
    return (cheap.error - dear.error) / (dear.cost - cheap.cost)


def best(
    given: Sequence[Sequence[Option]], budget: float, error: float | None = None
) -> tuple[list[Option], float]:
    """An option of each, of costs within a budget; and the least gain per cost on the hulls.

    With an `error`, as few as their sum has to be no more than that. The cheapest of each are taken
    even beyond the budget. What the hulls leave of it goes to options between them.
    """
    hulls = [hull(options) for options in given]
    chosen = [options[0] for options in hulls]
    places = [0] * len(hulls)
    room = budget - sum(option.cost for option in chosen)
    lost = sum(option.error for option in chosen)
    least, nothing = math.inf, NOTHING * lost
    steps = [
        (-_slope(options[0], options[1]), k) for k, options in enumerate(hulls) if len(options) > 1
    ]
    heapq.heapify(steps)
    while steps and lost > max(nothing, error or 0.0):
        negative, k = heapq.heappop(steps)
        now, then = chosen[k], hulls[k][places[k] + 1]
        if then.cost - now.cost > room or now.error - then.error <= nothing:
            continue
        places[k] += 1
        chosen[k] = then
        room -= then.cost - now.cost
        lost += then.error - now.error
        least = -negative
        if places[k] + 1 < len(hulls[k]):
            heapq.heappush(steps, (-_slope(then, hulls[k][places[k] + 1]), k))
    if error is None:
        _fill(given, chosen, room, nothing)
    return chosen, least


def _fill(
    given: Sequence[Sequence[Option]], chosen: list[Option], room: float, nothing: float
) -> None:
    """Spend what is left, each time on what gains most for its cost."""
    while True:
        fitting = [
            (_slope(now, each), -k, each)
            for k, (options, now) in enumerate(zip(given, chosen, strict=True))
            for each in options
            if 0 < each.cost - now.cost <= room and now.error - each.error > nothing
        ]
        if not fitting:
            return
        _, negative, option = max(fitting, key=lambda each: each[:2])
        room -= option.cost - chosen[-negative].cost
        chosen[-negative] = option
