"""The operators of the language on values, with the diagnostics of everything that can go wrong."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import TypeGuard

from tncompile.language.diagnostics.collector import Failed, failure, with_article
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.resolved import Value, value_text
from tncompile.language.syntax.source import Span
from tncompile.language.syntax.tree import Binary, Expression, Unary
from tncompile.language.syntax.walk import walk

LARGEST_VALUE = 2**64
LARGEST_LIST = 1_000_000

_OPERATORS: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}
_ORDERED: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
COMPARISONS = frozenset({*_ORDERED, "==", "!="})


def kind_of(value: Value | str) -> str:
    """What the language calls the type of a value, with its article."""
    kind = value if isinstance(value, str) else type(value).__name__.replace("tuple", "list")
    return with_article(kind)


def is_number(value: Value) -> TypeGuard[int | float]:
    """An int or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def wrong_type(span: Span, value: Value | str, wanted: str, *, hint: str | None = None) -> Failed:
    """TN305: `value` where `wanted` (with its article) belongs."""
    kind = kind_of(value)
    message = f"{wanted} is needed here, not {kind}"
    label = f"this is {kind}"
    if not isinstance(value, str):
        label += f", `{value_text(value, most=6)}`"
    note = "values are int, float, bool or lists of int; none turns into another silently"
    return failure(Code.WRONG_TYPE, message, span, label, note, hint or f"write {wanted} here")


def too_large(span: Span, what: str) -> Failed:
    """TN304: a value beyond 2**64."""
    message = f"this {what} is larger than 2**64"
    note = "integers reach 2**64; sizes of indices reach 2**40"
    hint = "make the numbers smaller"
    return failure(Code.BAD_ARITHMETIC, message, span, "too large", note, hint)


def bounded(value: int, span: Span, what: str) -> int:
    """The value, TN304 beyond 2**64."""
    if -LARGEST_VALUE <= value <= LARGEST_VALUE:
        return value
    raise too_large(span, what)


def divides_by_zero(span: Span) -> Failed:
    """TN304 at a divisor."""
    note = "nothing can be divided by zero"
    hint = 'rule it out with `require … != 0, "reason"`, or choose with `if … then … else`'
    return failure(Code.BAD_ARITHMETIC, "division by zero", span, "this is 0", note, hint)


def too_long(span: Span, length: int) -> Failed:
    """TN501 at a list that would be too long."""
    message = f"a list of {length} items is too long"
    note, hint = f"lists hold at most {LARGEST_LIST} items", "make the list shorter"
    return failure(Code.TOO_MANY, message, span, f"{length} items", note, hint)


_WHAT = {"+": "sum", "-": "difference", "*": "product", "**": "power", "/": "quotient"}


def combine(node: Binary, left: Value, right: Value) -> Value:
    """`left operator right` for everything but `and` and `or`, which may skip the right side."""
    symbol = node.operator
    if type(left) is int and type(right) is int:
        if symbol in ("+", "-", "*"):
            result = _OPERATORS[symbol](left, right)
            if -LARGEST_VALUE <= result <= LARGEST_VALUE:
                return result
            raise too_large(node.span, _WHAT[symbol])
        if symbol == "**" and right >= 0:
            if abs(left) >= 2 and right > LARGEST_VALUE.bit_length():
                raise too_large(node.span, "power")
            return bounded(left**right, node.span, "power")
        if symbol in ("//", "%"):
            if right == 0:
                raise divides_by_zero(node.right.span)
            return _OPERATORS[symbol](left, right)
    if symbol in COMPARISONS:
        return _compare(node, left, right)
    if isinstance(left, tuple) or isinstance(right, tuple):
        return _join(node, left, right)
    return _floating(node, left, right)


def negate(node: Unary, value: Value) -> Value:
    """`-a` or `not a`."""
    if node.operator == "not":
        return not truth(node.operand, value)
    if not is_number(value):
        raise wrong_type(node.operand.span, value, "a number")
    return -value


def truth(node: Expression, value: Value) -> bool:
    """A condition's value, TN305 for anything but a bool."""
    if isinstance(value, bool):
        return value
    raise wrong_type(node.span, value, "a bool", hint="compare: `… > 0`, `… == 1`")


def integer(node: Expression, value: Value) -> int:
    """An integer, TN305 for anything else."""
    if type(value) is int:
        return value
    hint = int_hint(node, value) if isinstance(value, float) else None
    raise wrong_type(node.span, value, "an int", hint=hint)


def is_whole(value: object) -> TypeGuard[float]:
    """Whether a value is a float that an int is equal to."""
    return type(value) is float and value.is_integer()


def int_hint(node: Expression, value: Value) -> str:
    """What to type where an expression gave a float and an int belongs."""
    if any(isinstance(each, Binary) and each.operator == "/" for each in walk(node)):
        return "`//` divides integers, rounding down"
    return f"write `{int(value)}`" if is_whole(value) else "write an int"


CHAINED = "comparisons do not chain: write `a < b and b < c`"


def is_chained(node: Binary) -> bool:
    """Whether the left side of a comparison is a comparison itself."""
    return isinstance(node.left, Binary) and node.left.operator in COMPARISONS


def _compare(node: Binary, left: Value, right: Value) -> bool:
    symbol = node.operator
    if is_number(left) and is_number(right):
        if ordered := _ORDERED.get(symbol):
            return ordered(left, right)
        return (left == right) is (symbol == "==")
    if symbol in ("==", "!="):
        if kind_of(left) != kind_of(right):
            raise wrong_type(node.right.span, right, kind_of(left))
        return (left == right) is (symbol == "==")
    hint = CHAINED if is_chained(node) else None
    if not is_number(left):
        raise wrong_type(node.left.span, left, "a number", hint=hint)
    raise wrong_type(node.right.span, right, "a number", hint=hint)


_ITEMWISE = "take one item of it (`a[k]`); there is no arithmetic on whole lists"


def _join(node: Binary, left: Value, right: Value) -> Value:
    """List concatenation and repetition."""
    match node.operator, left, right:
        case "+", tuple(), tuple():
            if len(left) + len(right) > LARGEST_LIST:
                raise too_long(node.span, len(left) + len(right))
            return left + right
        case "*", tuple(), int() if not isinstance(right, bool):
            length = len(left) * max(0, right)
            if length > LARGEST_LIST:
                raise too_long(node.span, length)
            return left * right
        case "*", int(), tuple() if not isinstance(left, bool):
            return _join(node, right, left)
        case "+", tuple(), _:
            raise wrong_type(node.right.span, right, "a list", hint="a list takes `+ [item]`")
        case "+", _, _:
            raise wrong_type(node.left.span, left, "a list", hint="write `[item] + list`")
        case "*", tuple(), _:
            raise wrong_type(node.right.span, right, "an int")
        case "*", _, _:
            raise wrong_type(node.left.span, left, "an int")
        case _, tuple(), _:
            raise wrong_type(node.left.span, left, "a number", hint=_ITEMWISE)
        case _:
            raise wrong_type(node.right.span, right, "a number", hint=_ITEMWISE)


def _floating(node: Binary, left: Value, right: Value) -> Value:
    if not is_number(left):
        raise wrong_type(node.left.span, left, "a number")
    if not is_number(right):
        raise wrong_type(node.right.span, right, "a number")
    try:
        if node.operator == "**":
            result = complex(left**right)
            if result.imag:
                raise _no_power(node)
            number = result.real
        else:
            number = float(_OPERATORS[node.operator](left, right))
    except ZeroDivisionError:
        impossible = node.operator == "**"
        raise (_no_power(node) if impossible else divides_by_zero(node.right.span)) from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise too_large(node.span, _WHAT.get(node.operator, "value"))
    return number


def _no_power(node: Binary) -> Failed:
    message = "this power does not exist"
    note = "zero has no negative powers, and negative numbers have integer powers only"
    hint = "change the base or the exponent"
    return failure(Code.BAD_ARITHMETIC, message, node.span, "no real number", note, hint)
