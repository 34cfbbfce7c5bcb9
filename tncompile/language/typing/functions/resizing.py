"""Functions that make axes longer: padding and interpolation.

`pad` has the options `left` and `right`, sizes, `dim`, an axis, `value`, a number of the kind of
the operand, and `mode`. `interpolate` has `scale`, a list of numbers, and `size`, sizes, one of
which is None, and `mode`; they are of the last axes. The axis before them is that of channels, and
what is left of it are batches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction

from tncompile.language.diagnostics.collector import Failed, failure, listed
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import (
    listed_sizes,
    scalar,
    size,
    word,
    wrong_type,
)
from tncompile.language.typing.functions.declaring.binding import (
    Bound,
    Function,
    Parameter,
    X,
    axis,
    option,
    optional,
)
from tncompile.language.typing.functions.declaring.kinds import ANY, Kinds, wrong_kind
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Misfit, Typed, Typing
from tncompile.language.typing.values import Number, Numbers, Shape

LARGEST_DENOMINATOR = 64

_MODES: Mapping[str, tuple[int, ...]] = {
    "nearest": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "bicubic": (2,),
    "trilinear": (3,),
    "area": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
}
"""For how many axes torch has each."""


# ── padding ────────────────────────────────────────────────────────────────────────────────────


def _filling(bound: Bound, argument: Typed) -> Number:
    """The number as one of the kind of the operand; TN603 where there is none."""
    number, kind = scalar(bound.typing, argument), bound.x.kind
    if kind == "bool" and number in (0, 1):
        return bool(number)
    if kind == "int" and (not isinstance(number, float) or number.is_integer()):
        return int(number)
    if kind in ("float", "complex"):
        return float(number)
    message, label = f"{number} is no {kind}", f"not an entry of `{bound.x.text}`"
    note, hint = "what is padded keeps its kind", f"write a number that is of kind {kind}"
    there = Label(bound.operands[0].place, f"this is {kind}")
    raise failure(Code.KINDS, message, argument.span, label, note, hint, there)


def _pad(bound: Bound) -> Shape:
    dim, shape, mode = bound.axis(), bound.x.shape, bound.options["mode"]
    entries = shape.axis(dim)
    if mode in ("reflect", "replicate") and bound.x.kind == "bool":
        raise wrong_kind(f"pad, mode {mode}", bound.operands[0], ("int", "float", "complex"))
    most = {"reflect": entries - 1, "circular": entries}.get(str(mode))
    for name in ("left", "right"):
        if most is not None:
            added = bound.size(name)
            message = (
                f"`{shape}` cannot be padded by {added} on axis {dim}, {mode}: it is {entries}"
            )
            note = f"the mode takes at most {most} entries on a side from the axis itself"
            there = Label(bound.operands[0].place, f"this is `{shape}`")
            label, hint = f"more than {most}", f'pad at most {most}, or with `mode = "constant"`'
            misfit = Misfit(message, bound.place(name), label, (there,), note, hint)
            bound.typing.at_most(added, most, misfit)
    return shape.replaced(dim, entries + bound.size("left") + bound.size("right"))


# ── interpolation ──────────────────────────────────────────────────────────────────────────────


def _scales(typing: Typing, argument: Typed) -> Number:
    numbers = typing.number(argument)
    if isinstance(numbers, tuple | Numbers):
        items = numbers.items if isinstance(numbers, Numbers) else numbers
        for item in items:
            if isinstance(item, bool) or not 0 < item < math.inf:
                raise wrong_type(argument.span, argument.term, "a list of positive numbers")
        return numbers
    hint = "write one number for each axis: `[2, 2]`"
    raise wrong_type(argument.span, argument.term, "a list of numbers", hint)


def _interpolate(bound: Bound) -> Shape:
    scale, wanted = bound.options["scale"], bound.options["size"]
    if (scale is None) == (wanted is None):
        message = "`interpolate` takes either `scale` or `size`"
        label = "neither is given" if scale is None else "both are given"
        note, hint = "the one follows from the other", "write `scale = [2, 2]` or `size = [h, w]`"
        raise failure(Code.WRONG_ARGUMENT, message, bound.call.name, label, note, hint)
    name = "size" if scale is None else "scale"
    numbers = scale.items if isinstance(scale, Numbers) else scale or wanted
    assert isinstance(numbers, tuple)
    shape, count = bound.x.shape, len(numbers)
    if not 1 <= count <= 3:
        message, note = f"{count} axes cannot be interpolated", "torch has 1, 2 or 3"
        hint = "write a list of 1 to 3"
        label = f"a list of {count}"
        raise failure(Code.LENGTH_MISMATCH, message, bound.place(name), label, note, hint)
    if len(shape.sizes) <= count:
        message = f"`{shape}` has no axis of channels before its last {count}"
        note = "the last axes are interpolated; the one before them is that of channels"
        hint = "give it an axis of size 1 there: `reshape(…)`"
        place, label = bound.operands[0].place, f"this is `{shape}`"
        raise failure(Code.MODEL_SHAPES, message, place, label, note, hint)
    mode = str(bound.options["mode"])
    if count not in _MODES[mode]:
        words = [word for word, counts in _MODES.items() if count in counts]
        message = f'"{mode}" is no mode for {count} axes'
        note, hint = f"for {count} axes there are {listed(words)}", f'write `mode = "{words[1]}"`'
        label = f"not for {count} axes"
        raise failure(Code.WRONG_TYPE, message, bound.place("mode"), label, note, hint)
    sizes = (
        number if isinstance(number, Size) else _scaled(bound, entries, number)
        for number, entries in zip(numbers, shape.sizes[-count:], strict=True)
    )
    return Shape((*shape.sizes[:-count], *sizes), shape.dots)


def _scaled(bound: Bound, entries: Size, scale: float) -> Size:
    """`floor(entries * scale)`, as torch computes it."""
    if entries.value is not None:
        scaled = Size.number(math.floor(entries.value * scale))
        if scaled.value:
            return scaled
        raise _no_scale(bound, f"nothing is left of {entries} entries", "make it larger")
    fraction = Fraction(scale)
    if fraction.denominator > LARGEST_DENOMINATOR:
        hint = "write `size = […]` instead"
        raise _no_scale(bound, f"`{entries}` scaled by {scale} is not exact", hint)
    return entries * fraction.numerator // fraction.denominator


def _no_scale(bound: Bound, message: str, hint: str) -> Failed:
    note = f"scales of run-time sizes are whole numbers, or of {LARGEST_DENOMINATOR}ths"
    there = Label(bound.operands[0].place, f"this is `{bound.x.shape}`")
    span, label = bound.place("scale"), "does not fit"
    return failure(Code.MODEL_SHAPES, message, span, label, note, hint, there)


FUNCTIONS = (
    Function(
        "pad",
        (
            X,
            option("left", size),
            option("right", size),
            axis(),
            Parameter("value", "option", None, _filling, 0.0, needed=False),
            option("mode", word("constant", "reflect", "replicate", "circular"), "constant"),
        ),
        ANY,
        _pad,
    ),
    Function(
        "interpolate",
        (
            X,
            optional("scale", _scales),
            optional("size", listed_sizes),
            option("mode", word(*_MODES), "nearest"),
        ),
        Kinds("float", "float"),
        _interpolate,
    ),
)
