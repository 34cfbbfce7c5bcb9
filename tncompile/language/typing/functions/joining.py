"""Functions that put values together along an axis, and take one apart.

Options: `dim`, one axis (that of `stack` counts in the result); `sizes` of `split`, a size for each
piece; `n` of `chunk`, an int.
"""

from __future__ import annotations

from tncompile.language.diagnostics.collector import counted, failure
from tncompile.language.diagnostics.diagnostic import Code, Label
from tncompile.language.typing.functions.declaring.arguments import listed_sizes, whole
from tncompile.language.typing.functions.declaring.binding import (
    SEVERAL,
    Bound,
    Function,
    Types,
    X,
    axis,
    option,
)
from tncompile.language.typing.functions.declaring.kinds import ANY
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Misfit, Typed, Typing
from tncompile.language.typing.values import Shape

MOST_PIECES = 10_000


def _fit(bound: Bound, joined: int | None) -> None:
    """TN601 at the first operand that differs from the first one on an axis but `joined`."""
    first, *others = bound.operands
    one = first.value.shape
    there = Label(first.place, f"this is `{one}`")
    name = bound.function.name
    for operand in others:
        two = operand.value.shape
        label = f"this is `{two}`"
        if len(one.sizes) != len(two.sizes) or one.dots != two.dots:
            message = f"`{name}` of `{one}` and `{two}`: they have other axes"
            note = f"what `{name}` puts together has the same axes; nothing broadcasts"
            hint = "bring it to the same axes first: `expand(…)`, `reshape(…)`"
            raise failure(Code.MODEL_SHAPES, message, operand.place, label, note, hint, there)
        for k, (left, right) in enumerate(zip(one.sizes, two.sizes, strict=True)):
            dim = k - len(one.sizes)
            if dim != joined:
                message = f"`{name}` of `{one}` and `{two}`: axis {dim} is {left} and {right}"
                note = "all axes but the joined one have equal sizes, and nothing broadcasts"
                advice = None if left.names and right.names else f"make axis {dim} {left} here, too"
                misfit = Misfit(message, operand.place, label, (there,), note, advice)
                bound.typing.same(left, right, misfit)


def _concat(bound: Bound) -> Shape:
    dim = bound.axis()
    _fit(bound, dim)
    total = Size.number(0)
    for operand in bound.operands:
        total += operand.value.shape.axis(dim)
    return bound.x.shape.replaced(dim, total)


def _stack(bound: Bound) -> Shape:
    _fit(bound, None)
    shape = bound.x.shape
    place = len(shape.sizes) + 1 + bound.axis()
    count = Size.number(len(bound.operands))
    return Shape((*shape.sizes[:place], count, *shape.sizes[place:]), shape.dots)


def _pieces(typing: Typing, argument: Typed) -> tuple[Size, ...]:
    hint = "for n equal pieces write `chunk(x, n, dim = …)`; a list has their sizes"
    return listed_sizes(typing, argument, hint)


def _number_of_pieces(typing: Typing, argument: Typed) -> int:
    n = whole(typing, argument)
    if n < 1:
        message, note = f"nothing is cut into {n} pieces", "at least one piece comes out"
        hint = "write a positive number"
        raise failure(Code.BAD_SIZE, message, argument.span, f"this is {n}", note, hint)
    return n


def _several(bound: Bound, name: str, sizes: tuple[Size, ...]) -> Types:
    if len(sizes) > MOST_PIECES:
        message, note = f"{len(sizes)} pieces are too many", f"at most {MOST_PIECES} come out"
        label, hint = counted(len(sizes), "piece"), "keep them on an axis: `reshape(…)`"
        raise failure(Code.TOO_MANY, message, bound.place(name), label, note, hint)
    dim, shape = bound.axis(), bound.x.shape
    return [(bound.kind, shape.replaced(dim, size)) for size in sizes]


def _misfit(bound: Bound, name: str, message: str, note: str, hint: str) -> Misfit:
    there = Label(bound.operands[0].place, f"this is `{bound.x.shape}`")
    label = f"not for {bound.x.shape.axis(bound.axis())} entries"
    return Misfit(message, bound.place(name), label, (there,), note, hint)


def _split(bound: Bound) -> Types:
    sizes, dim, shape = bound.sizes("sizes"), bound.axis(), bound.x.shape
    total, there = Size.number(0), shape.axis(dim)
    for size in sizes:
        total += size
    message = f"pieces of {total} entries do not make `{shape}`: axis {dim} is {there}"
    note = "the sizes of the pieces add up to the axis that is split"
    bound.typing.same(
        total, there, _misfit(bound, "sizes", message, note, f"make the sum of the sizes {there}")
    )
    return _several(bound, "sizes", sizes)


def _chunk(bound: Bound) -> Types:
    n, dim, shape = bound.options["n"], bound.axis(), bound.x.shape
    assert isinstance(n, int)
    size = shape.axis(dim)
    message = f"`{shape}` has no {n} equal pieces: axis {dim} is {size}"
    note = "`chunk` gives equal pieces; `split` takes their sizes"
    bound.typing.same(
        size % n, Size.number(0), _misfit(bound, "n", message, note, f"write a divisor of {size}")
    )
    return _several(bound, "n", (size // n,) * min(n, MOST_PIECES + 1))


FUNCTIONS = (
    Function("concat", (SEVERAL, axis()), ANY, _concat),
    Function("stack", (SEVERAL, axis(more=1)), ANY, _stack),
    Function("split", (X, option("sizes", _pieces), axis()), ANY, _split),
    Function("chunk", (X, option("n", _number_of_pieces), axis()), ANY, _chunk),
)
