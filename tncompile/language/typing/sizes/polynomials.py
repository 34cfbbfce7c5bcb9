"""Run-time sizes as polynomials over names and floors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import TypeAlias

Monomial: TypeAlias = tuple[str, ...]
"""Factors in ascending order, each a name or a `Floor`; without any it stands for 1."""
Terms: TypeAlias = dict[Monomial, int]

_MOST_TERMS = 200
_MOST_FACTORS = 32
_LARGEST = 2**64
_DEEPEST = 20
_LONGEST_FLOOR = 2000


class SizeTooLarge(ArithmeticError):  # noqa: N818 — says what is wrong with the size
    """A size with too many terms or factors, too large a number, or floors too deep."""


class Floor(str):
    """`numerator // divisor` in normal form: a factor that is its own text, like a name."""

    __slots__ = ("depth", "divisor", "numerator")
    numerator: Size
    divisor: int
    depth: int


class Size:
    """A polynomial with integer coefficients over run-time names and floors; immutable.

    It is kept in normal form: `(c * a + r) // c` is `a + r // c`, `(a // b + r) // c` is
    `(a + r * b) // (b * c)`, factors that all of a floor has are divided out, and `a % c` is
    `a - c * (a // c)`. Sizes with the same normal form are equal.

    >>> t = Size.name("t")
    >>> print((2 * t + 7) // 4, (t // 2 + 1) // 3, 1 - t % 4)
    (t + 1) // 2 + 1 (t + 2) // 6 1 - t % 4
    """

    __slots__ = ("_names", "terms")

    def __init__(self, terms: Terms) -> None:
        if len(terms) > _MOST_TERMS:
            raise SizeTooLarge
        for coefficient in terms.values():
            if not -_LARGEST <= coefficient <= _LARGEST:
                raise SizeTooLarge
        self.terms = terms
        self._names: frozenset[str] | None = None

    @staticmethod
    def number(n: int) -> Size:
        """A size that is known."""
        return Size({(): int(n)} if n else {})

    @staticmethod
    def name(text: str) -> Size:
        """A size that is known at run time only."""
        return Size({(text,): 1})

    @property
    def value(self) -> int | None:
        """The number, None where it depends on the run time."""
        if len(self.terms) > 1:
            return None
        return self.terms.get(()) if self.terms else 0

    @property
    def names(self) -> frozenset[str]:
        """The run-time names in it, those in floors among them."""
        if self._names is None:
            factors = {factor for monomial in self.terms for factor in monomial}
            inner = [factor.numerator.names for factor in factors if isinstance(factor, Floor)]
            plain = (factor for factor in factors if not isinstance(factor, Floor))
            self._names = frozenset(plain).union(*inner)
        return self._names

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Size) and self.terms == other.terms)

    def __hash__(self) -> int:
        return hash(frozenset(self.terms.items()))

    def __add__(self, other: Size | int) -> Size:
        terms = self.terms.copy()
        _add(terms, {(): other} if isinstance(other, int) else other.terms)
        return Size(terms)

    def __sub__(self, other: Size | int) -> Size:
        terms = self.terms.copy()
        _add(terms, {(): other} if isinstance(other, int) else other.terms, -1)
        return Size(terms)

    def __mul__(self, other: Size | int) -> Size:
        if isinstance(other, int):
            return Size({m: k * other for m, k in self.terms.items()} if other else {})
        terms: Terms = {}
        for m, k in self.terms.items():
            _add(terms, {_joined(m, n): j for n, j in other.terms.items()}, k)
            if len(terms) > 4 * _MOST_TERMS:  # what is left may still cancel some
                raise SizeTooLarge
        return Size(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Size:
        return self * -1

    def __rsub__(self, other: int) -> Size:
        return self * -1 + other

    def __floordiv__(self, other: Size | int) -> Size:
        divisor = other.value if isinstance(other, Size) else other
        if divisor == 0:
            raise ZeroDivisionError
        if not isinstance(divisor, int) or divisor < 0:
            raise TypeError("sizes are divided by positive numbers")
        return _floor_of(self, divisor)

    def __mod__(self, other: Size | int) -> Size:
        return self - (self // other) * other

    def bound(self, bindings: Mapping[str, Size]) -> Size:
        """The size with these names replaced."""
        return self if bindings.keys().isdisjoint(self.names) else self._bound(bindings, {})

    def _bound(self, bindings: Mapping[str, Size], seen: dict[str, Size]) -> Size:
        terms: Terms = {}
        for monomial, coefficient in self.terms.items():
            value = Size({(): coefficient})
            for factor in monomial:
                if factor not in seen:
                    if isinstance(factor, Floor):
                        numerator = factor.numerator._bound(bindings, seen)
                        seen[factor] = _floor_of(numerator, factor.divisor)
                    else:
                        seen[factor] = bindings.get(factor) or Size.name(factor)
                value *= seen[factor]
            _add(terms, value.terms)
        return Size(terms)

    def at(self, sizes: Mapping[str, int]) -> int:
        """The number for these numbers, which are given for all of `names`."""
        return self._at(sizes, {})

    def _at(self, sizes: Mapping[str, int], seen: dict[str, int]) -> int:
        total = 0
        for monomial, coefficient in self.terms.items():
            for factor in monomial:
                if factor not in seen:
                    if isinstance(factor, Floor):
                        seen[factor] = factor.numerator._at(sizes, seen) // factor.divisor
                    else:
                        seen[factor] = sizes[factor]
                coefficient *= seen[factor]
            total += coefficient
        return total

    def __str__(self) -> str:
        """An expression of the language, and of Python, with this value."""
        if not self.terms:
            return "0"
        terms = self.terms.copy()
        for floor, coefficient in sorted(lone_floors(self)):
            times, rest = divmod(-coefficient, floor.divisor)
            whole = {m: k * times for m, k in floor.numerator.terms.items()}
            whole[(floor,)] = coefficient
            if not rest and whole.items() <= terms.items():
                terms = {m: k for m, k in terms.items() if m not in whole}
                terms[(f"{_dividend(floor.numerator)} % {floor.divisor}",)] = times
        ordered = sorted(terms.items(), key=lambda term: (-len(term[0]), term[0]))
        ahead = next((k for k, (_, coefficient) in enumerate(ordered) if coefficient > 0), 0)
        ordered.insert(0, ordered.pop(ahead))  # `2 - t`, and `-t - 2` where nothing can be ahead
        text = ""
        for monomial, coefficient in ordered:
            text += _term(monomial, coefficient, first=not text)
        return text

    def __repr__(self) -> str:
        return f"Size({str(self)!r})"


def product(sizes: Iterable[Size]) -> Size:
    """All of these multiplied."""
    return math.prod(sizes, start=Size.number(1))


def _add(into: Terms, terms: Terms, times: int = 1) -> None:
    for monomial, coefficient in terms.items():
        if total := into.get(monomial, 0) + times * coefficient:
            into[monomial] = total
        else:
            into.pop(monomial, None)


def _joined(left: Monomial, right: Monomial) -> Monomial:
    if not left or not right:
        return left or right
    if len(left) + len(right) > _MOST_FACTORS:
        raise SizeTooLarge
    return tuple(sorted(left + right))


@lru_cache(maxsize=4096)
def _floor_of(size: Size, divisor: int) -> Size:
    """`size // divisor` in normal form."""
    whole: Terms = {}
    rest: Terms = {}
    common = divisor
    for monomial, coefficient in size.terms.items():
        quotient, remainder = divmod(coefficient, divisor)
        if quotient:
            whole[monomial] = quotient
        if remainder:
            rest[monomial] = remainder
            if monomial:
                common = math.gcd(common, remainder)
    if common == divisor:  # at most a number is left, and it is less than the divisor
        return Size(whole)
    numerator = Size({m: k // common for m, k in rest.items() if k >= common})
    divisor //= common
    inner = min((floor for floor, k in lone_floors(numerator) if k == 1), default=None)
    if inner is None:
        _add(whole, {(_floor(numerator, divisor),): 1})
        return Size(whole)
    numerator = (numerator - Size({(inner,): 1})) * inner.divisor + inner.numerator
    return Size(whole) + _floor_of(numerator, divisor * inner.divisor)


def _floor(numerator: Size, divisor: int) -> Floor:
    floor = Floor(f"{_dividend(numerator)} // {divisor}")
    inside = (factor for monomial in numerator.terms for factor in monomial)
    floor.depth = 1 + max((each.depth for each in inside if isinstance(each, Floor)), default=0)
    if floor.depth > _DEEPEST or divisor > _LARGEST or len(floor) > _LONGEST_FLOOR:
        raise SizeTooLarge
    floor.numerator, floor.divisor = numerator, divisor
    return floor


def lone_floors(size: Size) -> Iterator[tuple[Floor, int]]:
    """The floors that stand alone in a term, with their coefficients."""
    for monomial, coefficient in size.terms.items():
        match monomial:
            case (Floor() as floor,):
                yield floor, coefficient


def _dividend(size: Size) -> str:
    return str(size) if len(size.terms) == 1 else f"({size})"


def _term(monomial: Monomial, coefficient: int, *, first: bool) -> str:
    """A term with its sign, as it stands first in a sum or after another term."""
    minus = coefficient < 0
    sign = ("-" if minus else "") if first else (" - " if minus else " + ")
    if len(monomial) == abs(coefficient) == 1 and not (first and minus):
        return sign + monomial[0]
    factors = [f"({factor})" for factor in monomial if " " in factor]
    factors[:0] = [factor for factor in monomial if " " not in factor]
    if abs(coefficient) != 1 or not factors:
        factors.insert(0, str(abs(coefficient)))
    return sign + " * ".join(factors)


def divided(size: Size, by: Size) -> Size | None:
    """The polynomial that times `by` is `size`, if there is one."""
    quotient: Terms = {}
    (lead, leading), rest = max(by.terms.items(), key=_degree), size
    for _ in range(_MOST_TERMS):
        if not rest.terms:
            return Size(quotient)
        monomial, coefficient = max(rest.terms.items(), key=_degree)
        factors = list(monomial)
        for factor in lead:
            if factor not in factors:
                return None
            factors.remove(factor)
        if coefficient % leading:
            return None
        term = {tuple(factors): coefficient // leading}
        quotient |= term
        rest -= by * Size(term)
    return None


def _degree(term: tuple[Monomial, int]) -> tuple[int, Monomial]:
    """Orders terms so that products keep the order: by degree, then by their factors."""
    return len(term[0]), term[0]


def primitive(size: Size) -> Size:
    """The size without what divides all coefficients, the first of them positive."""
    if not size.terms:
        return size
    common = math.gcd(*size.terms.values())
    if max(size.terms.items(), key=_degree)[1] < 0:
        common = -common
    return size if common == 1 else Size({m: k // common for m, k in size.terms.items()})
