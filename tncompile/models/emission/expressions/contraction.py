"""`network { … }`: legs relabeled by views, and products of two operands at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import tncompile.models.emission.expressions.views as views
from tncompile.language.typing.operations import Contract, Legs
from tncompile.language.typing.sizes import Size, product
from tncompile.language.typing.values import Kind, higher
from tncompile.models.emission.expressions.conversion import as_tensor
from tncompile.models.emission.expressions.products import Factor, multiplied
from tncompile.models.emission.expressions.text import Context, Text, one_or_tuple
from tncompile.planning.paths.optimizers import quick_path
from tncompile.planning.paths.problem import Problem

USUAL_SIZE = 64
"""What a run-time size counts as where an order of contraction is picked."""

DOTS = "..."


def contract(operation: Contract, texts: Sequence[Text], context: Context) -> Text:
    """The sum of products."""
    joined = _Joined.of(operation)
    values = operation.operands
    output = _names(joined.output)
    kept = set(output)
    relabeled = len(values) == 1 and kept.issuperset(_names(joined.legs[0]))
    factors: list[Factor | None] = []
    for k, (value, text, legs) in enumerate(zip(values, texts, joined.legs, strict=True)):
        least: Kind = "bool" if relabeled else "float"
        tensor = as_tensor(value, text, context, least)
        factor = _split(tensor, legs, higher(value.kind, least), joined, context)
        elsewhere = (legs for j, legs in enumerate(joined.legs) if j != k)
        factors.append(_summed(factor, kept.union(*map(_names, elsewhere))))
    for left, right in _path([factor for factor in factors if factor], output, joined):
        first, second = factors[left], factors[right]
        factors[left] = factors[right] = None
        assert first is not None
        assert second is not None
        others = [factor for factor in factors if factor is not None]
        needed = kept.union(*(factor.legs for factor in others))
        wanted = None if others else output
        factors.append(multiplied(first, second, needed, wanted, context))
    whole = factors[-1]
    assert whole is not None
    order = [whole.legs.index(name) for name in output]
    return _merged(views.permuted(whole.text, order, dots=whole.dots), joined.output)


def _names(legs: Legs) -> tuple[str, ...]:
    return tuple(name for axis in legs.axes for name in axis)


@dataclass(frozen=True, slots=True)
class _Joined:
    """The legs where those that are neighbors wherever they occur are one."""

    legs: tuple[Legs, ...]
    output: Legs
    sizes: dict[str, Size]

    @staticmethod
    def of(operation: Contract) -> _Joined:
        after: dict[str, set[str]] = {}
        before: dict[str, set[str]] = {}
        everywhere = (*operation.legs, operation.output)
        for axis in (axis for legs in everywhere for axis in legs.axes):
            for left, right in zip(("", *axis), (*axis, ""), strict=True):
                after.setdefault(left, set()).add(right)
                before.setdefault(right, set()).add(left)
        follows = {
            left: right
            for left, (right, *more) in ((left, tuple(names)) for left, names in after.items())
            if left and right and not more and len(before[right]) == 1
        }
        hidden = set(follows.values())
        sizes: dict[str, Size] = {}
        for name in operation.sizes:
            run = [name]
            while run[-1] in follows:
                run.append(follows[run[-1]])
            sizes[name] = product(operation.sizes[each] for each in run)

        def joined(legs: Legs) -> Legs:
            axes = (tuple(n for n in axis if n not in hidden) for axis in legs.axes)
            return Legs(tuple(axes), legs.dots)

        return _Joined(tuple(map(joined, operation.legs)), joined(operation.output), sizes)


def _split(text: Text, legs: Legs, kind: Kind, joined: _Joined, context: Context) -> Factor:
    """An operand with one leg on each axis."""
    for k, axis in enumerate(legs.axes):
        place = k - len(legs.axes)
        if not axis:
            text = text.method("squeeze", place)
        elif len(axis) > 1:
            text = views.split(text, place, [joined.sizes[name] for name in axis], context)
    return Factor(text, _names(legs), legs.dots, kind)


def _summed(factor: Factor, kept: set[str]) -> Factor:
    """The sum over the legs of this operand alone."""
    count = len(factor.legs)
    places = [k - count for k, name in enumerate(factor.legs) if name not in kept]
    if not places:
        return factor
    text = factor.text.method("sum", one_or_tuple(places))
    return replace(factor, text=text, legs=tuple(n for n in factor.legs if n in kept))


def _merged(text: Text, output: Legs) -> Text:
    """One axis for each group of the result."""
    for k, axis in enumerate(output.axes):
        behind = sum(map(len, output.axes[k + 1 :]))
        if len(axis) > 1:
            text = views.merged(text, -behind - len(axis), -behind - 1)
    empty = [k for k, axis in enumerate(output.axes) if not axis]
    return views.added(text, empty, len(output.axes), dots=output.dots)


def _path(
    factors: Sequence[Factor], output: Sequence[str], joined: _Joined
) -> tuple[tuple[int, int], ...]:
    """The pairs to multiply, in order; a result has the next number."""
    if len(factors) < 2:
        return ()
    if len(factors) == 2:
        return ((0, 1),)
    dotted = [[DOTS] * factor.dots + [*factor.legs] for factor in factors]
    numbers = {name: k for k, name in enumerate(dict.fromkeys(n for legs in dotted for n in legs))}
    ends = [DOTS] * any(factor.dots for factor in factors) + [*output]
    sizes = (joined.sizes.get(name, Size.name(DOTS)) for name in numbers)
    return quick_path(
        Problem(
            terms=tuple(tuple(numbers[name] for name in legs) for legs in dotted),
            output=tuple(numbers[name] for name in ends),
            sizes=tuple(max(size.at(dict.fromkeys(size.names, USUAL_SIZE)), 1) for size in sizes),
        )
    )
