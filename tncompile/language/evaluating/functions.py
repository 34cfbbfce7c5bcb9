"""The functions of expressions: `len sum prod cumprod min max log2 gcd ceil_div factor`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating import arithmetic, factorization
from tncompile.language.resolved import Value, value_text
from tncompile.language.syntax.tree import (
    Call,
    Dots,
    Expression,
    Item,
    NetworkExpression,
    Pipe,
    Reference,
    Repeat,
    Slice,
    Star,
    TupleOf,
)

Arguments = tuple[tuple[Expression, Value], ...]
"""Each argument as written, with its value."""


def _size(arguments: Arguments) -> int:
    """The items that a call looks at."""
    return sum(len(value) if isinstance(value, tuple) else 1 for _, value in arguments)


def _trials(arguments: Arguments) -> int:
    """What trial division takes, and the list that comes out."""
    n, parts = (value for _, value in arguments)
    if not (isinstance(n, int) and isinstance(parts, int)):
        return 1
    return (
        math.isqrt(min(abs(n), factorization.LARGEST)) // 4
        + min(abs(parts), arithmetic.LARGEST_LIST)
        + 100
    )


@dataclass(frozen=True, slots=True)
class Function:
    """A function: how it is written, how many arguments it takes, and what it computes.

    `most` is None where any number is fine. `names` are those an argument may be given by. One
    call is charged `cost` steps of evaluation.
    """

    signature: str
    least: int
    most: int | None
    compute: Callable[[Call, Arguments], Value]
    names: tuple[str, ...] = ()
    cost: Callable[[Arguments], int] = _size


def _list(node: Expression, value: Value) -> tuple[int, ...]:
    if isinstance(value, tuple):
        return value
    raise arithmetic.wrong_type(node.span, value, "a list", hint="write a list: `[4, 8]`")


def _impossible(call: Call, message: str, note: str, hint: str) -> Failed:
    return failure(Code.BAD_ARITHMETIC, message, call.span, "no value", note, hint)


def _len(call: Call, arguments: Arguments) -> Value:
    return len(_list(*arguments[0]))


def _sum(call: Call, arguments: Arguments) -> Value:
    return arithmetic.bounded(sum(_list(*arguments[0])), call.span, "sum")


def _prod(call: Call, arguments: Arguments) -> Value:
    if 0 in _list(*arguments[0]):
        return 0  # whatever the product of the others is
    return (1, *_cumprod(call, arguments))[-1]


def _cumprod(call: Call, arguments: Arguments) -> tuple[int, ...]:
    running: list[int] = []
    for item in _list(*arguments[0]):
        product = item * running[-1] if running else item
        running.append(arithmetic.bounded(product, call.span, "product"))
    return tuple(running)


def _numbers(call: Call, arguments: Arguments) -> tuple[int | float, ...]:
    """The items of the one list, or the arguments themselves."""
    if len(arguments) == 1:
        items = _list(*arguments[0])
        if not items:
            name = call.function.span.text
            note = "an empty list has no smallest or largest item"
            hint = f"add a value that is always there: `{name}([1] + list)`"
            raise _impossible(call, f"`{name}` of an empty list", note, hint)
        return items
    for node, value in arguments:
        if not arithmetic.is_number(value):
            raise arithmetic.wrong_type(node.span, value, "a number")
    return tuple(value for _, value in arguments if arithmetic.is_number(value))


def _min(call: Call, arguments: Arguments) -> Value:
    return min(_numbers(call, arguments))


def _max(call: Call, arguments: Arguments) -> Value:
    return max(_numbers(call, arguments))


def _log2(call: Call, arguments: Arguments) -> Value:
    node, value = arguments[0]
    if not arithmetic.is_number(value):
        raise arithmetic.wrong_type(node.span, value, "a number")
    if value <= 0:
        note = "only positive numbers have a logarithm"
        hint = "rule it out with `require … > 0`"
        raise _impossible(call, f"`log2` of {value_text(value)}", note, hint)
    return value.bit_length() - 1 if isinstance(value, int) else math.frexp(value)[1] - 1


def _gcd(call: Call, arguments: Arguments) -> Value:
    if len(arguments) == 1:
        return math.gcd(*_list(*arguments[0]))
    return math.gcd(*(arithmetic.integer(node, value) for node, value in arguments))


def _ceil_div(call: Call, arguments: Arguments) -> Value:
    (above, numerator), (below, denominator) = arguments
    whole, by = arithmetic.integer(above, numerator), arithmetic.integer(below, denominator)
    if by == 0:
        raise arithmetic.divides_by_zero(below.span)
    return -(-whole // by)


def _factor(call: Call, arguments: Arguments) -> Value:
    n, parts = (arithmetic.integer(node, value) for node, value in arguments)
    if n < 1 or parts < 1:
        message = f"`factor({n}, {parts})` does not exist"
        note = "a factorization needs a positive integer and at least one part"
        raise _impossible(call, message, note, "make both positive")
    if n > factorization.LARGEST:
        raise arithmetic.too_large(call.span, "size")
    if parts > arithmetic.LARGEST_LIST:
        raise arithmetic.too_long(call.span, parts)
    try:
        factors = factorization.factorize(n, parts)
    except factorization.TooHardError:
        message = f"no factorization of {n} in {parts} was found in reasonable time"
        note = "the search tries the most even factorizations first"
        hint = "write the list of factors yourself"
        raise _impossible(call, message, note, hint) from None
    if factors is not None:
        return factors
    size = factorization.next_factorable(n, parts)
    factors = factorization.factorize(size, parts)
    padded = f"{size} = {' * '.join(map(str, factors))}" if factors and parts <= 8 else str(size)
    message = f"{n} has no good factorization in {parts}"
    label = f"one factor would be more than {factorization.SPREAD} times the smallest"
    note = "a network is as small as its largest factor, and a large prime cannot be split"
    cut = f"cut the axis to its width with `(i[*]) as {n}`"
    hint = f"pad to {padded}: `factor({size}, {parts})`, and {cut}"
    raise failure(Code.BAD_ARITHMETIC, message, call.span, label, note, hint)


FUNCTIONS: Mapping[str, Function] = {
    "len": Function("len(list)", 1, 1, _len),
    "sum": Function("sum(list)", 1, 1, _sum),
    "prod": Function("prod(list)", 1, 1, _prod),
    "cumprod": Function("cumprod(list)", 1, 1, _cumprod),
    "min": Function("min(list) or min(a, b, …)", 1, None, _min),
    "max": Function("max(list) or max(a, b, …)", 1, None, _max),
    "log2": Function("log2(x)", 1, 1, _log2),
    "gcd": Function("gcd(a, b, …)", 1, None, _gcd),
    "ceil_div": Function("ceil_div(a, b)", 2, 2, _ceil_div),
    "factor": Function("factor(n, parts)", 2, 2, _factor, ("n", "parts"), _trials),
}


def readable(node: Expression) -> bool:
    """Whether the parts of the node are looked at: not those of what is a mistake as a whole.

    That is what only models have (`x |> f`, tuples), and calls of functions that there are not.
    """
    if isinstance(node, Item):
        return not any(isinstance(each, Slice | Star | Dots) for each in node.subscripts)
    if isinstance(node, Call):
        return isinstance(node.function, Reference) and node.function.name.text in FUNCTIONS
    return not isinstance(node, Pipe | Repeat | TupleOf | NetworkExpression)
