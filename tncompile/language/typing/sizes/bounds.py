"""Which sizes are positive whatever the run-time names are, by bounds of their floors."""

from __future__ import annotations

import math
from functools import lru_cache

from tncompile.language.typing.sizes.polynomials import Floor, Size


def below(size: Size) -> Size | None:
    """A multiple of something without floors that is at most the size, where one is found.

    A floor `p // c` is replaced by its bounds `(p - c + 1) / c` and `p / c`, by the sign that it
    comes with; the outer ones first, so that the inner ones can cancel.
    """
    for _ in range(64):
        found = [
            (factor.depth, factor, monomial)
            for monomial in size.terms
            for factor in monomial
            if isinstance(factor, Floor)
        ]
        if not found:
            return size
        _, floor, monomial = max(found)
        others = list(monomial)
        others.remove(floor)
        if not all(_is_natural(other) for other in others if isinstance(other, Floor)):
            return None
        coefficient = size.terms[monomial]
        bound = floor.numerator - (floor.divisor - 1) if coefficient > 0 else floor.numerator
        common = math.gcd(coefficient, floor.divisor)
        size = (size - Size({monomial: coefficient})) * (floor.divisor // common)
        size += bound * Size({tuple(others): coefficient // common})
    return None


@lru_cache(maxsize=4096)
def _is_natural(floor: Floor) -> bool:
    return is_positive(floor.numerator + 1)


def is_positive(size: Size) -> bool:
    """Whether bounds show that the size is above 0 wherever all names are at least 1."""
    least = below(size)
    if least is None or sum(least.terms.values()) <= 0:  # its value where all names are 1
        return False
    if all(coefficient > 0 for monomial, coefficient in least.terms.items() if monomial):
        return True
    shifted = least.bound({name: Size.name(name) + 1 for name in least.names})
    return all(coefficient > 0 for coefficient in shifted.terms.values())
