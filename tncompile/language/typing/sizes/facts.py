"""What `require` says about run-time sizes: which are equal, in order, and divide."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from tncompile.language.typing.sizes.bounds import below, is_positive
from tncompile.language.typing.sizes.polynomials import (
    Floor,
    Size,
    SizeTooLarge,
    divided,
    lone_floors,
    primitive,
)

_MOST_REMEMBERED = 32
"""Equalities that replace no name, and orders; more are checked at run time, not reasoned with."""
_MOST_HINTED = 8
_HINTED = sorted(range(2, 65), key=lambda n: (n.bit_count() > 1, n))
"""The powers of two, then the others."""


class Facts:
    """What `require` says about run-time sizes; it grows while a model is read.

    Sizes too large to reason about are never shown to be anything.
    """

    def __init__(self) -> None:
        self._meanings: dict[str, Size] = {}
        """What names are replaced by; the names in it may be replaced later."""
        self._origins: dict[str, Size] = {}
        """What the names invented here are, over the names of the program."""
        self._zeros: list[Size] = []
        """Sizes known to be 0, though that replaces no name."""
        self._naturals: list[Size] = []
        """Sizes known to be 0 or more."""

    def require_equal(self, left: Size, right: Size) -> None:
        """From here on, the two are equal."""
        with suppress(SizeTooLarge):
            sides = (self._resolved(left), self._resolved(right))
            bare = [name for side in sides for name in side.names if side == Size.name(name)]
            waiting = [left - right]
            while waiting:
                difference = primitive(self._resolved(waiting.pop()))
                if difference.value is None and difference not in self._zeros:
                    replaced = self._solved(difference, bare)
                    if replaced:
                        waiting += [difference, *self._replace(*replaced)]
                    elif len(self._zeros) < _MOST_REMEMBERED:
                        self._zeros.append(difference)

    def require_at_most(self, left: Size, right: Size) -> None:
        """From here on, `left` is at most `right`."""
        with suppress(SizeTooLarge):
            self._remember_natural(self._resolved(right - left))

    def compare(self, left: Size, right: Size) -> Literal["equal", "different", "undecided"]:
        """Whether the two are equal, wherever the facts hold."""
        if left == right:
            return "equal"
        with suppress(SizeTooLarge):
            difference = self._resolved(left - right)
            if self._is_zero(difference):
                return "equal"
            left_over = self._reduced(difference)
            if not left_over.terms:
                return "equal"
            if self._is_positive(left_over) or self._is_positive(-left_over):
                return "different"
            floors = any(isinstance(each, Floor) for term in left_over.terms for each in term)
            # Products of the equalities that are left may still make the two equal.
            related = any(zero.names & left_over.names for zero in self._zeros)
            if not floors and not related:
                return "different"
        return "undecided"

    def at_most(self, left: Size, right: Size) -> bool | None:
        """Whether `left <= right` for all sizes where the facts hold; False if for none."""
        with suppress(SizeTooLarge):
            room = self._resolved(right - left)
            if self._is_positive(room + 1):
                return True
            if self._is_positive(-room):
                return False
        return None

    def quotient(self, size: Size, by: Size) -> Size | None:
        """`size` divided by `by`, None where it is not shown to divide."""
        with suppress(SizeTooLarge):
            if by.terms and (quotient := divided(size, by)):
                return quotient
            divisor = self._resolved(by)
            if divisor.value is None:
                quotient = divided(self._resolved(size), divisor)
                return None if quotient is None else quotient.bound(self._origins)
            if divisor.value > 0 and self.compare(size % divisor, Size({})) == "equal":
                return size // divisor
        return None

    def deciding(self, left: Size, right: Size) -> str | None:
        """The `require` that makes the two equal, for a hint: sizes divide by a number up to 64."""
        with suppress(SizeTooLarge):
            difference = left - right
            floors = [each for term in difference.terms for each in term if isinstance(each, Floor)]
            names = sorted({name for floor in floors for name in floor.numerator.names})
            names = names[:_MOST_HINTED]
            for number in _HINTED:
                if self._if_divides(names, number, difference):
                    for name in tuple(names):
                        fewer = [each for each in names if each != name]
                        if self._if_divides(fewer, number, difference):
                            names = fewer
                    conditions = (f"{name} % {number} == 0" for name in names)
                    return "require " + " and ".join(conditions) if names else None
        return None

    def _if_divides(self, names: Iterable[str], number: int, zero: Size) -> bool:
        """Whether the size were 0 if each of the names could be divided by the number."""
        facts = Facts()
        facts._meanings, facts._origins = dict(self._meanings), dict(self._origins)
        facts._zeros = list(self._zeros)
        for name in names:
            facts.require_equal(Size.name(name) % number, Size({}))
        return facts._is_zero(facts._resolved(zero))

    def _is_zero(self, resolved: Size) -> bool:
        return not resolved.terms or any(divided(resolved, zero) for zero in self._zeros)

    def _reduced(self, size: Size) -> Size:
        """A positive multiple of the size, less multiples of what is known to be 0."""
        rows: list[Size] = []
        for zero in self._zeros:
            row = _less(zero, rows)
            rows += [row] if row.terms else []
        return _less(size, rows)

    def _resolved(self, size: Size) -> Size:
        """The size over names that are not replaced."""
        replaced = self._meanings
        waiting = [name for name in size.names if name in replaced]
        while waiting:  # meanings are brought up to date, the ones that others need first
            meaning = replaced[waiting[-1]]
            needed = [name for name in meaning.names if name in replaced]
            stale = [n for n in needed if not replaced.keys().isdisjoint(replaced[n].names)]
            if stale:
                waiting += stale
            else:
                replaced[waiting.pop()] = meaning.bound(replaced)
        return size.bound(replaced)

    def _solved(self, zero: Size, first: Iterable[str]) -> tuple[str, Size] | None:
        """A name that can be replaced because `zero` is 0, and by what."""
        for name in (*first, *sorted(zero.names)):
            if coefficient := zero.terms.get((name,)):
                rest = zero - Size({(name,): coefficient})
                if name in rest.names:
                    continue
                if abs(coefficient) == 1:
                    return name, rest * -coefficient
                if found := self._congruent(rest, abs(coefficient), 0):
                    return found
        for floor, coefficient in lone_floors(zero):  # `n * (p - c * (p // c) - r)`
            times, other = divmod(-coefficient, floor.divisor)
            number = (zero - Size({(floor,): coefficient}) - floor.numerator * times).value
            if not other and number is not None and number % times == 0:
                found = self._congruent(floor.numerator, floor.divisor, -number // times)
                if found:
                    return found
        return None

    def _congruent(self, size: Size, modulus: int, remainder: int) -> tuple[str, Size] | None:
        """What a name is where `size`, linear in it alone, has this remainder."""
        match tuple(size.names):
            case (name,) if size.terms.keys() <= {(name,), ()}:
                factor, offset = size.terms[(name,)], size.terms.get((), 0)
                if math.gcd(factor, modulus) == 1:
                    # The new name, too, is 1 or more.
                    start = -((offset - remainder) * pow(factor, -1, modulus) % modulus)
                    new = f"{name}'"
                    origin = Size.name(name).bound(self._origins)
                    self._origins[new] = (origin - start) // modulus
                    return name, Size.name(new) * modulus + start
        return None

    def _replace(self, name: str, value: Size) -> list[Size]:
        """Replaces a name; the equalities with it, to be looked at again."""
        replacing = {name: value}
        self._naturals = [each.bound(replacing) for each in self._naturals]
        self._meanings[name] = value
        self._remember_natural(value - 1)
        affected = [zero for zero in self._zeros if name in zero.names]
        self._zeros = [zero for zero in self._zeros if name not in zero.names]
        return affected

    def _remember_natural(self, size: Size) -> None:
        if len(self._naturals) < _MOST_REMEMBERED and not is_positive(size + 1):
            self._naturals.append(size)

    def _is_positive(self, size: Size) -> bool:
        """Whether the size is above 0, perhaps by way of one size that is known to be natural."""
        if is_positive(size):
            return True
        least = below(size)
        for start in (size,) if least is None else (size, least):
            for known in self._naturals:
                for monomial, coefficient in start.terms.items():
                    other = known.terms.get(monomial, 0) if monomial else 0
                    if coefficient * other > 0 and is_positive(
                        start * abs(other) - known * abs(coefficient)
                    ):
                        return True
        return False


def _less(size: Size, rows: Iterable[Size]) -> Size:
    """A positive multiple of the size, less multiples of the rows: without their largest terms."""
    for row in rows:
        largest = max(row.terms)
        own, other = row.terms[largest], size.terms.get(largest, 0)
        if other:
            size = size * abs(own) - row * (other if own > 0 else -other)
    return size
