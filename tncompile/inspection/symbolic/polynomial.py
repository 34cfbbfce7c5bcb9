"""Polynomials in the parameters and run-time sizes of a block."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tncompile.inspection.symbolic.sized import (
    Monomial,
    Quantity,
    Sized,
    power_text,
    powers,
    quantities_of,
    terms_of,
)
from tncompile.language.diagnostics.collector import Failed
from tncompile.notebook import as_html
from tncompile.planning.request import whole

SHOWN = 12
"""Terms of a polynomial that are printed."""


@dataclass(frozen=True)
class Term:
    """A product of powers of letters, in their order, times a number."""

    coefficient: int
    powers: Mapping[str, int]

    @property
    def degree(self) -> int:
        """How many letters are multiplied."""
        return sum(self.powers.values())

    def __str__(self) -> str:
        factors = [power_text(name, exponent) for name, exponent in self.powers.items()]
        if abs(self.coefficient) != 1 or not factors:
            factors.insert(0, f"{abs(self.coefficient):,}")
        return ("−" if self.coefficient < 0 else "") + "·".join(factors)


@dataclass(frozen=True, repr=False)
class Polynomial:
    """A polynomial with its letters; it prints as a sum, `at` gives numbers.

    `terms` are all of them, those of most factors first. `quantities` are the letters of the block
    by name, with the values at hand; `fixed` says why some values cannot be others.

    >>> r = Quantity("r", 4, "parameter", "r")
    >>> square = Polynomial((Term(3, {"r": 2}),), {"r": r})
    >>> square, square.value, square.at(r=10)
    (3·r², 48, 300)
    """

    terms: tuple[Term, ...]
    quantities: Mapping[str, Quantity]
    fixed: Mapping[str, str] = field(default_factory=dict)

    @property
    def value(self) -> int:
        """The number for the values at hand."""
        return self.at()

    def at(self, /, **values: int | tuple[int, ...] | list[int]) -> int:
        """The number for other values, by the names of letters; a list stands for its items.

        Names that Python does not take are given as `at(**{"ins[0]": 8})`, or `at(ins=[8, 4])`.
        What is not given stays as it is; what is derived follows. Raises ValueError for a name that
        is no letter, for values that the structure of the network hangs on, and where it is not
        known how a letter follows; TypeError for what is no integer.
        """
        given = self._given(values)
        known: dict[str, int] = {}

        def number(size: object) -> object:
            if isinstance(size, tuple):
                return tuple(map(number, size))
            if not isinstance(size, Sized):
                return size
            return sum(
                coefficient * math.prod(letter(name) for name in monomial)
                for monomial, coefficient in terms_of(size).items()
            )

        def letter(name: str) -> int:
            if name not in known:
                quantity = self.quantities[name]
                known[name] = given.get(name, quantity.value)
                if name not in given and quantity.follows:
                    known[name] = follow(quantity)
            return known[name]

        def follow(quantity: Quantity) -> int:
            sizes = tuple(map(number, quantity.follows))
            if sizes == quantity.follows:
                return quantity.value
            if quantity.compute is None:
                words = f"give `{quantity.name}`, too: it is {quantity.what}"
                raise ValueError(f"{words}, and how it follows is not known here")
            try:
                return quantity.compute(*sizes)
            except (ArithmeticError, Failed):
                words = f"`{quantity.name}` has no value there: it is {quantity.what}"
                raise ValueError(words) from None

        return sum(
            term.coefficient * math.prod(letter(k) ** e for k, e in term.powers.items())
            for term in self.terms
        )

    def _given(self, values: Mapping[str, object]) -> dict[str, int]:
        """The letters that are given, checked."""
        given: dict[str, int] = {}
        for name, value in values.items():
            for key, size in self._spread(name, value):
                given[key] = whole(f"`{key}`", size)
                if given[key] < 0:
                    raise ValueError(f"`{key}` is a size, not {given[key]}")
                if key in self.fixed and given[key] != self.quantities[key].value:
                    raise ValueError(f"`{key}` stays: {self.fixed[key]}")
        return given

    def _spread(self, name: str, value: object) -> Iterator[tuple[str, object]]:
        """A value by the name of its letter, a list by those of its items."""
        if name not in self.quantities and name in self.fixed:
            raise ValueError(f"`{name}` stays: {self.fixed[name]}")
        items = [k for k in self.quantities if k.startswith(f"{name}[")]
        if name not in self.quantities and not items:
            known = ", ".join(f"`{k}`" for k, q in self.quantities.items() if q.kind != "derived")
            raise ValueError(f"`{name}` is no letter here (there are {known or 'none'})")
        if not isinstance(value, tuple | list):
            yield from [(name, value)] if name in self.quantities else [(k, value) for k in items]
        elif name in self.quantities:
            if len(set(value)) != 1:
                raise ValueError(f"`{name}` is one number here, for all items")
            yield name, value[0]
        elif len(value) != len(items):
            raise ValueError(f"`{name}` has {len(items)} items, not {len(value)}")
        else:
            yield from zip(items, value, strict=True)

    def text(self, most: int | None = None) -> str:
        """The sum, what all terms share in front of it, after `most` terms how many are left."""
        if not self.terms:
            return "0"
        shared = _shared(self.terms) if len(self.terms) > 1 else None
        rest = self.terms if shared is None else tuple(_less(k, shared) for k in self.terms)
        shown = rest if most is None or len(rest) <= most + 1 else rest[:most]
        text = ""
        for term in shown:
            plain = str(term)
            minus = plain.startswith("−")
            text += (f" − {plain[1:]}" if minus else f" + {plain}") if text else plain
        if more := len(rest) - len(shown):
            text += f" + … and {more:,} more terms"
        return text if shared is None else f"{shared}·({text})"

    def to_dict(self) -> dict[str, object]:
        """The value, the text and all terms, ready for JSON."""
        terms = [{"coefficient": k.coefficient, "powers": dict(k.powers)} for k in self.terms]
        return {"value": self.value, "text": self.text(), "terms": terms}

    def __str__(self) -> str:
        return self.text(SHOWN)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(str(self))


def polynomial_of(size: int, order: Mapping[str, Quantity], fixed: Mapping[str, str]) -> Polynomial:
    """A size multiplied out; `order` has the letters that are known, in theirs.

    Raises `TooLong`.
    """
    expanded = terms_of(size)
    quantities = {**order, **{k: q for k, q in quantities_of(size).items() if k not in order}}
    place = {name: k for k, name in enumerate(quantities)}

    def ordered(monomial: Monomial) -> list[tuple[str, int]]:
        return sorted(powers(monomial), key=lambda power: place[power[0]])

    terms = [Term(k, dict(ordered(monomial))) for monomial, k in expanded.items()]
    terms.sort(key=lambda t: (-t.degree, [(place[k], -e) for k, e in t.powers.items()]))
    return Polynomial(tuple(terms), quantities, fixed)


def _shared(terms: tuple[Term, ...]) -> Term | None:
    """What all terms have as a factor; None where that is 1."""
    number = math.gcd(*(term.coefficient for term in terms))
    first, *others = terms
    shared = {
        name: min(exponent, *(term.powers.get(name, 0) for term in others))
        for name, exponent in first.powers.items()
    }
    shared = {name: exponent for name, exponent in shared.items() if exponent}
    return Term(number, shared) if shared or number != 1 else None


def _less(term: Term, shared: Term) -> Term:
    left = {name: e - shared.powers.get(name, 0) for name, e in term.powers.items()}
    return Term(term.coefficient // shared.coefficient, {name: e for name, e in left.items() if e})
