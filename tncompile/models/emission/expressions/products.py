"""The product of two tensors with names on their axes, as simply as torch has it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from string import ascii_letters

import tncompile.models.emission.expressions.views as views
from tncompile.emission.text.writer import string
from tncompile.language.typing.values import Kind, higher
from tncompile.models.emission.expressions.conversion import raised
from tncompile.models.emission.expressions.text import (
    Context,
    Precedence,
    Text,
    call,
    infix,
    one_or_tuple,
)


@dataclass(frozen=True, slots=True)
class Factor:
    """A tensor with one leg on each axis, after those of `...`."""

    text: Text
    legs: tuple[str, ...]
    dots: bool
    kind: Kind


def multiplied(
    left: Factor,
    right: Factor,
    kept: Collection[str],
    output: Sequence[str] | None,
    context: Context,
) -> Factor:
    """The product, summed over the legs that both have and that are not `kept`.

    Its axes are in the order of `output` where that costs nothing.
    """
    summed = [name for name in left.legs if name in right.legs and name not in kept]
    kind = higher(left.kind, right.kind)
    if not summed:
        return _elementwise(left, right, output)
    left = replace(left, text=raised(left.kind, left.text, kind, context), kind=kind)
    right = replace(right, text=raised(right.kind, right.text, kind, context), kind=kind)
    if len(summed) == 1:
        swapped = _matmul(right, left, summed[0], kept)
        straight = _matmul(left, right, summed[0], kept)
        if straight and (output is None or straight.legs == tuple(output) or not swapped):
            return straight
        if swapped and (swapped.legs == tuple(output or ()) or not straight):
            return swapped
        if straight:
            return straight
    for whole, weights in ((left, right), (right, left)):
        if set(weights.legs) <= set(whole.legs) and (whole.dots or not weights.dots):
            return _weighted(left, right, whole.legs, summed)
    return _einsum(left, right, summed, output)


def _weighted(left: Factor, right: Factor, legs: Sequence[str], summed: Collection[str]) -> Factor:
    """A sum of products that are no more than the larger tensor has: faster than many tiny `@`."""
    product = _elementwise(left, right, legs)
    places = [k - len(legs) for k, name in enumerate(legs) if name in summed]
    text = product.text.method("sum", one_or_tuple(places))
    return replace(product, text=text, legs=tuple(name for name in legs if name not in summed))


def _elementwise(left: Factor, right: Factor, output: Sequence[str] | None) -> Factor:
    both = dict.fromkeys([*left.legs, *right.legs])
    legs = tuple(both if output is None else output)
    texts = [_aligned(factor, legs) for factor in (left, right)]
    texts.sort(key=lambda text: text.precedence is not Precedence.PRODUCT)  # no parentheses
    kind = higher(left.kind, right.kind)
    return Factor(infix(texts[0], "*", texts[1]), legs, left.dots or right.dots, kind)


def _aligned(factor: Factor, legs: tuple[str, ...]) -> Text:
    """The tensor with axes of size 1 for the legs that it lacks."""
    order = sorted(range(len(factor.legs)), key=lambda k: legs.index(factor.legs[k]))
    text = views.permuted(factor.text, order, dots=factor.dots)
    places = [k for k, name in enumerate(legs) if name not in factor.legs]
    count = len(legs)
    if not factor.dots:
        first = min((k for k, name in enumerate(legs) if name in factor.legs), default=count)
        places, count = [k - first for k in places if k > first], count - first
    return views.added(text, places, count, dots=factor.dots)


def _matmul(left: Factor, right: Factor, summed: str, kept: Collection[str]) -> Factor | None:
    """`left @ right`, with one of the axes of each moved last or first by a transposition."""
    alone = [name for name in right.legs if name not in left.legs]
    kind, dots = left.kind, left.dots or right.dots
    if left.legs[-1] == summed and not right.dots and len(right.legs) == 1 + len(alone) <= 2:
        # A matrix or a vector on the right acts on the last axis of anything.
        turned = _turned(right) if right.legs[0] != summed else right.text
        legs = (*left.legs[:-1], *alone)
        return Factor(infix(left.text, "@", turned), legs, dots, kind)
    rows = [name for name in left.legs if name not in right.legs]
    if len(rows) != 1 or len(alone) != 1:
        return None
    outer, other = left.legs[:-2], right.legs[:-2]
    if {*left.legs[-2:]} != {rows[0], summed} or {*right.legs[-2:]} != {alone[0], summed}:
        return None
    if outer != other and not (not outer and not left.dots) and not (not other and not right.dots):
        return None
    first = left.text if left.legs[-1] == summed else _turned(left)
    second = right.text if right.legs[-1] == alone[0] else _turned(right)
    return Factor(infix(first, "@", second), (*(outer or other), rows[0], alone[0]), dots, kind)


def _turned(factor: Factor) -> Text:
    if len(factor.legs) == 2 and not factor.dots:
        return factor.text.attribute("T")
    return factor.text.method("transpose", -2, -1)


def _einsum(
    left: Factor, right: Factor, summed: Sequence[str], output: Sequence[str] | None
) -> Factor:
    both = dict.fromkeys([*left.legs, *right.legs])
    legs = tuple([name for name in both if name not in summed] if output is None else output)
    if len(both) > len(ascii_letters):
        return _weighted(left, right, [*legs, *summed], summed)
    letters = _letters(both)
    dots = left.dots or right.dots

    def term(names: Sequence[str], dotted: bool) -> str:
        return "..." * dotted + "".join(letters[name] for name in names)

    equation = f"{term(left.legs, left.dots)},{term(right.legs, right.dots)}->{term(legs, dots)}"
    return Factor(
        call("torch.einsum", string(equation), left.text, right.text), legs, dots, left.kind
    )


def _letters(names: Collection[str]) -> dict[str, str]:
    """A letter for each leg: the first of its name if that is free."""
    letters: dict[str, str] = {}
    for name in names:
        wanted = [*(letter for letter in name if letter in ascii_letters), *ascii_letters]
        letters[name] = next(letter for letter in wanted if letter not in letters.values())
    return letters
