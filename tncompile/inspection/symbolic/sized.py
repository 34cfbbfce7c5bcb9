"""Sizes that are numbers and know what they are made of.

A `Sized` is an int: whatever counts with sizes (shapes, products, costs) counts with it as before,
and the result still says how it follows from the parameters. So a polynomial comes out of the very
code that the number comes out of. Which branch is taken, where sizes are compared, is decided by
the numbers.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

Monomial = tuple[str, ...]
"""Names of quantities in ascending order, each as often as it is a factor."""

Terms = dict[Monomial, int]

MOST_TERMS = 20_000
MOST_FACTORS = 4_000
DEEPEST = 20

LONGEST_NAME = 100
"""The most characters that the text of a letter has."""

Kind = Literal["parameter", "run-time size", "derived"]


class TooLong(ArithmeticError):  # noqa: N818 — says what is wrong with the polynomial
    """A polynomial of too many terms or factors."""


@dataclass(frozen=True, eq=False)
class Quantity:
    """A letter of a polynomial: a parameter, a run-time size, or what follows from some.

    `what` says what it is. One that is derived has the sizes that it follows from, and how, where
    that is known: `compute` takes their numbers.
    """

    name: str
    value: int
    kind: Kind
    what: str
    follows: tuple[object, ...] = ()  # sizes, or tuples of sizes
    compute: Callable[..., int] | None = field(default=None, repr=False)
    depth: int = 0


class Sized(int):
    """A size with the sum, difference, product or quotient of sizes that it is.

    >>> b = Sized.of(Quantity("B", 64, "run-time size", ""))
    >>> 2 * b + 1, 2 * b + 1 == 129
    (129 (2·B + 1), True)
    """

    _made: tuple[str, int, int] | Quantity
    _terms: Terms | None

    @staticmethod
    def of(quantity: Quantity) -> Sized:
        """The size that a letter stands for."""
        return _sized(quantity.value, quantity)

    @property
    def quantity(self) -> Quantity | None:
        """The letter, where it is nothing else."""
        return self._made if isinstance(self._made, Quantity) else None

    def __add__(self, other: int) -> int:
        return _combined("+", self, other)

    def __radd__(self, other: int) -> int:
        return _combined("+", other, self)

    def __sub__(self, other: int) -> int:
        return _combined("-", self, other)

    def __rsub__(self, other: int) -> int:
        return _combined("-", other, self)

    def __mul__(self, other: int) -> int:
        return _combined("*", self, other)

    def __rmul__(self, other: int) -> int:
        return _combined("*", other, self)

    def __floordiv__(self, other: int) -> int:
        return _combined("//", self, other)

    def __rfloordiv__(self, other: int) -> int:
        return _combined("//", other, self)

    def __mod__(self, other: int) -> int:
        return self - (self // other) * other

    def __rmod__(self, other: int) -> int:
        return other - (other // self) * self

    def __divmod__(self, other: int) -> tuple[int, int]:
        return self // other, self % other

    def __pow__(self, other: int, modulus: None = None) -> int:  # type: ignore[override]
        if isinstance(other, Sized) or not 0 <= other <= MOST_FACTORS:
            return NotImplemented
        return math.prod([self] * other)

    def __neg__(self) -> int:
        return self * -1

    def __repr__(self) -> str:
        """The number and what it is made of: equal for sizes that are the same polynomial.

        Contractions are batched whose sizes have one text (`EqualStepGroup`), so those alone that
        stay equal whatever the sizes are.
        """
        try:
            return f"{int(self)} ({terms_text(terms_of(self))})"
        except TooLong:
            return f"{int(self)} ({id(self)})"  # equal to nothing else

    __str__ = __repr__
    __hash__ = int.__hash__


_OPERATORS: Mapping[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
}


def _sized(value: int, made: tuple[str, int, int] | Quantity) -> Sized:
    size = Sized(value)
    size._made = made
    size._terms = None
    return size


def _combined(sign: str, left: int, right: int) -> int:
    """The result of an operation on sizes, at least one of which is made of letters."""
    if not (isinstance(left, int) and isinstance(right, int)):
        return NotImplemented
    value = _OPERATORS[sign](int(left), int(right))
    if sign in "+-" and _is_number(right, 0):
        return left
    if sign == "+" and _is_number(left, 0):
        return right
    if sign == "*" and (_is_number(left, 0) or _is_number(right, 0)):
        return 0
    if sign in ("*", "//") and _is_number(right, 1):
        return left
    if sign == "*" and _is_number(left, 1):
        return right
    return _sized(value, (sign, left, right))


def _is_number(size: int, value: int) -> bool:
    return not isinstance(size, Sized) and size == value


def terms_of(size: int) -> Terms:
    """A size multiplied out. Raises `TooLong`.

    Long sums were added up one by one, so this is no recursion.
    """
    if not isinstance(size, Sized):
        return {(): int(size)} if size else {}
    todo = [size]
    while todo:
        each = todo[-1]
        if each._terms is not None:
            todo.pop()
            continue
        if isinstance(each._made, Quantity):
            each._terms = {(each._made.name,): 1}
            continue
        sign, left, right = each._made
        waiting = [k for k in (left, right) if isinstance(k, Sized) and k._terms is None]
        if waiting:
            todo.extend(waiting)
            continue
        try:
            each._terms = _together(sign, terms_of(left), terms_of(right))
        except Inexact:
            each._made = _quotient(int(each), left, right)
    assert size._terms is not None
    return size._terms


def _quotient(value: int, left: int, right: int) -> Quantity:
    """A quotient that is no polynomial as a letter of its own, rounded down."""
    depth = 1 + max(
        (k.depth for each in (left, right) for k in quantities_of(each).values()), default=0
    )
    if depth > DEEPEST:
        raise TooLong
    text = f"({factor_text(left)} // {factor_text(right)})"
    if len(text) > LONGEST_NAME:
        raise TooLong
    return Quantity(text, value, "derived", text, (left, right), operator.floordiv, depth)


def factor_text(size: int) -> str:
    """A size as one side of a sign: in parentheses unless it is a letter or a number."""
    text = terms_text(terms_of(size))
    lone = isinstance(size, Sized) and size.quantity is not None
    return text if lone or text.isalnum() else f"({text})"


def quantities_of(size: int) -> dict[str, Quantity]:
    """The letters that a size is made of, by name, and those that these follow from.

    Raises `TooLong`, and `TwoMeanings` where a name stands for two of them.
    """
    found: dict[str, Quantity] = {}
    seen: set[int] = set()
    todo: list[object] = [size]
    while todo:
        each = todo.pop()
        if isinstance(each, tuple):
            todo.extend(reversed(each))
        elif isinstance(each, Sized) and id(each) not in seen:
            seen.add(id(each))
            terms_of(each)  # finds quotients that are letters
            if isinstance(each._made, Quantity):
                letter = each._made
                known = found.setdefault(letter.name, letter)
                if (known.value, known.what) != (letter.value, letter.what):
                    raise TwoMeanings
                todo.extend(reversed(each._made.follows))
            else:
                todo.extend(reversed(each._made[1:]))
    return found


def _together(sign: str, left: Terms, right: Terms) -> Terms:
    if sign == "*":
        found: Terms = {}
        if len(left) * len(right) > 4 * MOST_TERMS:
            raise TooLong
        for monomial, coefficient in left.items():
            for other, factor in right.items():
                _add(found, tuple(sorted(monomial + other)), coefficient * factor)
    elif sign == "//":
        found = divided(left, right)
    else:
        found = dict(left)
        for monomial, coefficient in right.items():
            _add(found, monomial, coefficient if sign == "+" else -coefficient)
    if len(found) > MOST_TERMS or any(len(monomial) > MOST_FACTORS for monomial in found):
        raise TooLong
    return found


def _add(terms: Terms, monomial: Monomial, coefficient: int) -> None:
    if total := terms.get(monomial, 0) + coefficient:
        terms[monomial] = total
    else:
        terms.pop(monomial, None)


def divided(left: Terms, right: Terms) -> Terms:
    """The exact quotient by a product of letters. Raises `Inexact` where there is none."""
    if len(right) != 1:
        raise Inexact
    ((divisor, number),) = right.items()
    found: Terms = {}
    for monomial, coefficient in left.items():
        rest = list(monomial)
        for factor in divisor:
            if factor not in rest:
                raise Inexact
            rest.remove(factor)
        if coefficient % number:
            raise Inexact
        found[tuple(rest)] = coefficient // number
    return found


class TwoMeanings(ArithmeticError):  # noqa: N818 — says what is wrong with the name
    """A name that stands for two letters."""


class Inexact(ArithmeticError):  # noqa: N818 — says what is wrong with the quotient
    """A quotient that is no polynomial."""


def powers(monomial: Monomial) -> tuple[tuple[str, int], ...]:
    """The letters of a monomial with their exponents."""
    return tuple((name, len([*same])) for name, same in groupby(monomial))


_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def power_text(name: str, exponent: int) -> str:
    """`ranks²`.

    >>> power_text("b", 12), power_text("(d // 2)", 1)
    ('b¹²', '(d // 2)')
    """
    return name if exponent == 1 else name + str(exponent).translate(_SUPERSCRIPTS)


def terms_text(terms: Terms) -> str:
    """A sum in one line, in the order of its monomials."""
    text = ""
    for monomial, coefficient in sorted(terms.items(), key=lambda term: (-len(term[0]), term[0])):
        factors = [power_text(*power) for power in powers(monomial)]
        if abs(coefficient) != 1 or not factors:
            factors.insert(0, f"{abs(coefficient):,}")
        sign = ("-" if coefficient < 0 else "") if not text else " − " if coefficient < 0 else " + "
        text += sign + "·".join(factors)
    return text or "0"
