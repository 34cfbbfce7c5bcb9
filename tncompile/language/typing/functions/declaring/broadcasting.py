"""Broadcasting: shapes aligned at the right, where only an axis of size 1 stretches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from tncompile.language.diagnostics.collector import failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.syntax.source import Span
from tncompile.language.typing.functions.declaring.kinds import PlacedValue
from tncompile.language.typing.state import Misfit, Typing
from tncompile.language.typing.values import Shape, Value

ALIGNED = "axes are aligned at the right, and only an axis of size 1 stretches"


def broadcast(typing: Typing, left: Value, right: Value, span: Span, other: Span) -> Shape:
    """The shape of two values together; TN601 at `span`, where the right one is written."""
    return broadcast_shapes(typing, left.shape, right.shape, span, other)


def broadcast_all(typing: Typing, operands: Sequence[PlacedValue]) -> Shape:
    """The shape of several values together; TN601 at the first that does not fit."""
    shape = operands[0].value.shape
    for before, operand in pairwise(operands):
        shape = broadcast_shapes(typing, shape, operand.value.shape, operand.place, before.place)
    return shape


def broadcast_shapes(
    typing: Typing,
    left: Shape,
    right: Shape,
    span: Span,
    other: Span,
    *,
    behind: tuple[Shape, Shape] | None = None,
) -> Shape:
    """The shape of two shapes together.

    `behind` are the whole shapes where these are the leading axes of them.
    """
    whole_left, whole_right = behind or (left, right)

    def labels() -> tuple[str, Label]:  # text takes longer than all else here
        return f"this is `{whole_right}`", Label(other, f"this is `{whole_left}`")

    one, two = len(left.sizes), len(right.sizes)
    if left.dots and right.dots and one != two:
        message = f"`{whole_left}` and `{whole_right}` differ in the number of axes after `...`"
        note = "values with `...` have equally many axes behind it, so that features meet features"
        label, there = labels()
        hint = "give the shorter one axes of size 1: `reshape(…, (..., 1, n))`"
        raise failure(Code.MODEL_SHAPES, message, span, label, note, hint, there)
    if (left.dots and two > one) or (right.dots and one > two):
        message = f"`{whole_left}` and `{whole_right}` do not fit: `...` would meet a written axis"
        note = "a value without `...` has no more axes than follow the `...` of the other"
        label, there = labels()
        hint = "write `...` in its legs, too, or leave axes out"
        raise failure(Code.MODEL_SHAPES, message, span, label, note, hint, there)
    sizes = []
    offset = len(whole_left.sizes) - one
    for k in range(1, max(one, two) + 1):
        if k > min(one, two):
            longer = left if one > two else right
            sizes.append(longer.sizes[-k])
            continue
        first, second = left.sizes[-k], right.sizes[-k]
        if first.value == 1:
            sizes.append(second)
            continue
        if second.value != 1 and first != second:
            message = f"`{whole_left}` and `{whole_right}` do not fit: "
            message += f"axis {-k - offset} is {first} on the left and {second} on the right"
            label, there = labels()
            advice = None if first.names and second.names else "make them equal, or one of them 1"
            typing.same(first, second, Misfit(message, span, label, (there,), ALIGNED, advice))
        sizes.append(first)
    return Shape(tuple(reversed(sizes)), left.dots or right.dots)
