"""The run-time sizes that a model is asked about: those given, usual ones, those it refuses."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

from tncompile.language.typing.model import Combined, Comparison, Condition, ResolvedModel
from tncompile.planning.request import DEFAULT_LENGTH, whole

COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def given_sizes(model: ResolvedModel, sizes: Mapping[str, int]) -> dict[str, int]:
    """These sizes as ints. ValueError for a name that is none or a size below 1; TypeError."""
    if not isinstance(sizes, Mapping):
        raise TypeError(f"sizes are a mapping of names to ints, not {sizes!r}")
    known = [size.name for size in model.sizes]
    given: dict[str, int] = {}
    for name, size in sizes.items():
        if name not in known:
            listed = ", ".join(f"`{each}`" for each in known) or "none"
            raise ValueError(f"`{name}` is no run-time size of {model.target} (it has {listed})")
        given[name] = whole(f"the size of `{name}`", size)
        if given[name] < 1:
            raise ValueError(f"the size of `{name}` must be positive, it is {size}")
    return given


def usual_sizes(model: ResolvedModel, sizes: Mapping[str, int]) -> dict[str, int]:
    """The run-time sizes of a model: those given, else the usual ones, else 64."""
    return {size.name: sizes.get(size.name, size.usual or DEFAULT_LENGTH) for size in model.sizes}


def cost_sizes(model: ResolvedModel, sizes: Mapping[str, int]) -> dict[str, int]:
    """The run-time sizes of a model: those given, else the usual ones.

    Raises ValueError for a name that is none, a size below 1, and for all sizes that are neither
    given nor have a usual one, and where `forward` would refuse them; TypeError for a size that is
    no integer.
    """
    given = given_sizes(model, sizes)
    if missing := missing_sizes(model, sizes):
        listed = ", ".join(f"`{name}`" for name in missing)
        subject, verb = ("the size", "is") if len(missing) == 1 else ("the sizes", "are")
        example = ", ".join(f'"{name}": 64' for name in missing)
        raise ValueError(
            f"{subject} {listed} of {model.target} {verb} neither given nor usual: give "
            f"`sizes = {{{example}}}`, or declare a usual size: `batch {missing[0]} = 64`"
        )
    complete = usual_sizes(model, given)
    require(model, complete)
    return complete


def missing_sizes(model: ResolvedModel, sizes: Mapping[str, int]) -> list[str]:
    """The run-time sizes that are neither given nor have a usual value."""
    return [size.name for size in model.sizes if sizes.get(size.name, size.usual) is None]


def require(model: ResolvedModel, sizes: Mapping[str, int]) -> None:
    """ValueError where `forward` of the model would refuse these sizes."""
    conditions = [(each.condition, f"{each.reason}: `{each.text}`") for each in model.requirements]
    for check in model.checks:
        left, sign, right = check.comparison.left, check.comparison.operator, check.comparison.right
        conditions.append((check.comparison, f"{check.reason}: `{left} {sign} {right}`"))
    for condition, text in conditions:
        if not _holds(condition, sizes):
            at = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            raise ValueError(f"{model.target}: {text} is false ({at})")


def _holds(condition: Condition, sizes: Mapping[str, int]) -> bool:
    match condition:
        case Comparison(sign, left, right):
            return COMPARED[sign](left.at(sizes), right.at(sizes))
        case Combined("not", (inner,)):
            return not _holds(inner, sizes)
        case Combined("and", parts):
            return all(_holds(part, sizes) for part in parts)
        case Combined(_, parts):
            return any(_holds(part, sizes) for part in parts)
