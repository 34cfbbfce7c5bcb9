"""Arithmetic of what is known at instantiation, and of run-time sizes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from tncompile.language.diagnostics.collector import Failed, failure
from tncompile.language.diagnostics.diagnostic import Code
from tncompile.language.evaluating import arithmetic
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.state import Typing, limited_sizes
from tncompile.language.typing.values import Term, Value, term_text

ANALYTIC: Mapping[str, Callable[[float], float]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "sin": math.sin,
    "cos": math.cos,
}
"""Functions of values that give a float of a number."""

_SIZE_OPERATORS = ("+", "-", "*", "//", "%")


def combine(typing: Typing, node: tree.Binary, left: Term, right: Term) -> Term:
    """`left operator right` of numbers; strings are compared alone."""
    if node.operator in ("==", "!=") and isinstance(left, str) and isinstance(right, str):
        return (left == right) is (node.operator == "==")
    first, second = plain(node.left, left), plain(node.right, right)
    if any(isinstance(side, float) and math.isinf(side) for side in (first, second)):
        if node.operator in arithmetic.COMPARISONS:
            return arithmetic.combine(node, first, second)
        raise arithmetic.too_large(node.span, "value")
    result = arithmetic.combine(node, first, second)
    if isinstance(result, tuple):
        typing.budget.charge(len(result), node.span)
    return result


def check_chain(node: tree.Binary, right: Term | None = None) -> None:
    """TN305 for `a < b < c`; what a comparison gives is compared by `==` alone, with bools."""
    if node.operator not in arithmetic.COMPARISONS or not arithmetic.is_chained(node):
        return
    truth = right.kind == "bool" if isinstance(right, Value) else isinstance(right, bool)
    if node.operator not in ("==", "!=") or not truth:
        raise arithmetic.wrong_type(node.left.span, "bool", "a number", hint=arithmetic.CHAINED)


def combine_sizes(typing: Typing, node: tree.Binary, left: Term, right: Term) -> Term | None:
    """`left operator right` with a run-time size; None where the result is a scalar value.

    TN606 for a comparison, and for a divisor that is known at run time.
    """
    symbol = node.operator
    if symbol in arithmetic.COMPARISONS or symbol in ("and", "or"):
        message = "a run-time size cannot decide what a model computes"
        note = "what a model computes is fixed when it is instantiated"
        hint, label = "compare sizes in `require` alone", "known at run time"
        there = typing.declared(*(side for side in (left, right) if isinstance(side, Size)))
        raise failure(Code.RUNTIME_SIZE, message, node.span, label, note, hint, there)
    if symbol not in _SIZE_OPERATORS:
        return None
    first, second = _size(left), _size(right)
    if first is None or second is None:
        return None
    with limited_sizes(node.span):
        return _arithmetic(typing, node, first, second)


def _arithmetic(typing: Typing, node: tree.Binary, first: Size, second: Size) -> Size | int | None:
    match node.operator:
        case "+":
            return _simplest(first + second)
        case "-":
            return _simplest(first - second)
        case "*":
            return _simplest(first * second)
    divisor = second.value
    if divisor is None:
        message = f"`{second}` is known at run time; sizes are divided by numbers"
        note = "what a size is divided by decides shapes, so it is known from the start"
        hint = "divide by a number, or make it a parameter of the model"
        there, label = typing.declared(second), "a run-time size"
        raise failure(Code.RUNTIME_SIZE, message, node.right.span, label, note, hint, there)
    if divisor == 0:
        raise arithmetic.divides_by_zero(node.right.span)
    if divisor < 0:
        return None
    return _simplest(first // divisor if node.operator == "//" else first % divisor)


def _size(term: Term) -> Size | None:
    if isinstance(term, Size):
        return term
    return Size.number(term) if type(term) is int else None


def _simplest(size: Size) -> Size | int:
    return size if size.value is None else size.value


def analytic(name: str, x: float, span: Span) -> float:
    """A function of one number; TN304 where the result is not finite."""
    try:
        return ANALYTIC[name](x)
    except (ValueError, OverflowError):
        message = f"`{name}` of {term_text(x)} is no finite number"
        note, hint = "numbers are computed before there are values", "rule it out with `require`"
        raise failure(Code.BAD_ARITHMETIC, message, span, "no number", note, hint) from None


def plain(node: tree.Expression, term: Term) -> int | float | bool | tuple[int, ...]:
    """A number, or a list of integers; TN305 for anything else."""
    if isinstance(term, bool | int | float | tuple):
        return term
    raise wrong(node.span, term, "a number")


def truth(node: tree.Expression, term: Term) -> bool:
    """A bool; TN305 for anything else."""
    if isinstance(term, bool):
        return term
    raise wrong(node.span, term, "a bool")


def wrong(span: Span, term: Term, wanted: str) -> Failed:
    """TN305: `term` where `wanted` belongs."""
    text = term_text(term)
    message = f"{wanted} is needed here, not {text}"
    note = "numbers are int, float, bool, strings and lists; none turns into another silently"
    return failure(Code.WRONG_TYPE, message, span, f"this is {text}", note, f"write {wanted} here")
