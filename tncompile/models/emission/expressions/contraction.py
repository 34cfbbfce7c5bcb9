"""`network { … }`: legs relabeled by views, and products of two operands at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import tncompile.models.emission.expressions.views as views
from tncompile.language.typing.operations import Contract, Legs
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, higher
from tncompile.models.contracting import joined
from tncompile.models.emission.expressions.conversion import as_tensor
from tncompile.models.emission.expressions.products import Factor, multiplied
from tncompile.models.emission.expressions.text import Context, Text, one_or_tuple


def contract(operation: Contract, texts: Sequence[Text], context: Context) -> Text:
    """The sum of products."""
    products = joined(operation)
    values, sizes = operation.operands, dict(products.sizes)
    output = _names(products.output)
    kept = set(output)
    relabeled = len(values) == 1 and kept.issuperset(_names(products.legs[0]))
    factors: list[Factor | None] = []
    for value, text, legs, term in zip(values, texts, products.legs, products.terms, strict=True):
        least: Kind = "bool" if relabeled else "float"
        tensor = as_tensor(value, text, context, least)
        factor = _split(tensor, legs, higher(value.kind, least), sizes, context)
        factors.append(_summed(factor, term))
    for left, right in context.order(operation):
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
    return _merged(views.permuted(whole.text, order, dots=whole.dots), products.output)


def _names(legs: Legs) -> tuple[str, ...]:
    return tuple(name for axis in legs.axes for name in axis)


def _split(
    text: Text, legs: Legs, kind: Kind, sizes: Mapping[str, Size], context: Context
) -> Factor:
    """An operand with one leg on each axis."""
    for k, axis in enumerate(legs.axes):
        place = k - len(legs.axes)
        if not axis:
            text = text.method("squeeze", place)
        elif len(axis) > 1:
            text = views.split(text, place, [sizes[name] for name in axis], context)
    return Factor(text, _names(legs), legs.dots, kind)


def _summed(factor: Factor, kept: Collection[str]) -> Factor:
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
