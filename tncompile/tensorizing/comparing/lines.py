"""The rows of a verdict: a number that was measured, and what was required of it; a weight."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from tncompile.tensorizing.comparing.requirements import Requirement
from tncompile.tensorizing.rewriting.rewrite import shown


@dataclass(frozen=True)
class Line:
    """A measured number, and what was required of it.

    value             a distance to the original, or a number of the changed model divided by that
                      of the original (`accuracy_lost`: the difference); NaN where it has no meaning
    low, high         from 5 to 95 % of the values of resampled samples, items or rounds; None where
                      nothing was resampled
    original, changed what both models have by themselves, where there is such a number
    data              "second" for a number of the second data set
    required          such as "≥ 0.95"; empty where nothing is
    passed            whether it is fulfilled; None where nothing is required
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    original: float | None = None
    changed: float | None = None
    data: str = ""
    required: str = ""
    passed: bool | None = None


@dataclass(frozen=True)
class LayerLine:
    """A weight that differs.

    names         all names of the weight in the original
    original      the module that holds it there
    changed       what stands in its place
    error         ‖W − W'‖ / ‖W‖ in the Frobenius norm; None where nothing gives such a weight
    metric_error  the same in the metric of the layer's moments; None without them
    """

    names: tuple[str, ...]
    original: str
    changed: str
    error: float | None
    metric_error: float | None = None


def judged(line: Line, required: Requirement, *, strict: bool) -> Line:
    """A line with what is required of it. The worse end of its interval counts if `strict`."""
    end = line.high if required.most else line.low
    counts = end if strict and end is not None else line.value
    fine = not math.isnan(line.value) and required.holds(counts)
    return replace(line, required=str(required), passed=fine)


def failure(line: Line, required: Requirement, *, strict: bool) -> str:
    """Why a line does not fulfill what is required, in words."""
    where = f" of the {line.data} data" if line.data else ""
    name = f"{shown(required.name)}{where}"
    if math.isnan(line.value):
        why = "the original is not above zero" if line.original is not None else "it is no number"
        if line.changed is not None and not math.isfinite(line.changed):
            why = "it is no number"
        return f"{name} is required to be {required}: {why}"
    end = line.high if required.most else line.low
    if strict and end is not None:
        return f"{name} is {end:.4g} at the worse end of its interval, required is {required}"
    return f"{name} is {line.value:.4g}, required is {required}"
