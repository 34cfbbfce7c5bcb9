"""Expressions of a block read a second time, on sizes that know what they are made of.

What the evaluator of the language computes stays its own: sums, products and quotients of sizes are
those of `Sized`, everything else it computes itself, and the result is a letter of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

import tncompile.language.evaluating.arithmetic as arithmetic
from tncompile.inspection.symbolic.sized import (
    DEEPEST,
    LONGEST_NAME,
    Quantity,
    Sized,
    TooLong,
    quantities_of,
    terms_of,
    terms_text,
)
from tncompile.language.evaluating.functions import FUNCTIONS
from tncompile.language.resolved import Value
from tncompile.language.syntax import tree


class Real(float):
    """A float that sizes have gone into: the sizes, and how it is written."""

    follows: tuple[object, ...] = ()
    text: str = ""


Frame = Mapping[str, int]

_SUMS: Mapping[str, Callable[[tuple[int, ...]], Value]] = {
    "len": len,
    "sum": sum,
    "prod": math.prod,
    "cumprod": lambda items: tuple(accumulate(items, lambda a, b: a * b)),
}
"""The functions whose results are polynomials of the items of one list."""


@dataclass(slots=True)
class Reader:
    """Reads expressions; `values` are those of the names so far, sizes among them symbolic.

    `named` has the letters that were given to what is no polynomial, by its text, `counts` names of
    letters that say how long a list is. Names of a block that is a part of a model mean nothing
    outside of it: there is no `naming` then, and letters are called by their text.
    """

    values: dict[str, Value]
    named: dict[str, Sized] = field(default_factory=dict)
    counts: set[str] = field(default_factory=set)
    naming: bool = True

    def read(self, node: tree.Expression, frame: Frame) -> Value:
        """The value of an expression; chains to the left (`a + b + c`) cost no depth."""
        links: list[tree.Binary | tree.Item] = []
        while isinstance(node, tree.Binary | tree.Item):
            links.append(node)
            node = node.left if isinstance(node, tree.Binary) else node.value
        value = self._first(node, frame)
        for link in reversed(links):
            if isinstance(link, tree.Item):
                value = self._item(link, value, frame)
            else:
                value = self._joined(link, value, frame)
        return value

    def _first(self, node: tree.Expression, frame: Frame) -> Value:
        match node:
            case tree.Number() | tree.Boolean():
                return node.value
            case tree.Reference(name):
                return frame[name.text] if name.text in frame else self.values[name.text]
            case tree.ListOf(items):
                return tuple(_size(self.read(item, frame)) for item in items)
            case tree.Unary("not", operand):
                return not self.read(operand, frame)
            case tree.Unary(_, operand):
                return self._operation(node, arithmetic.negate, (self.read(operand, frame),))
            case tree.Conditional(condition, chosen, otherwise):
                return self.read(chosen if self.read(condition, frame) else otherwise, frame)
            case tree.Call():
                return self._call(node, frame)
            case _:
                raise TypeError(f"{type(node).__name__} is no expression of sizes")

    def _item(self, link: tree.Item, value: Value, frame: Frame) -> Value:
        assert isinstance(value, tuple)
        (place,) = link.subscripts
        assert not isinstance(place, tree.Slice | tree.Star)
        return value[int(_size(self.read(place, frame)))]

    def _joined(self, link: tree.Binary, value: Value, frame: Frame) -> Value:
        if link.operator in ("and", "or"):
            return (
                self.read(link.right, frame) if bool(value) is (link.operator == "and") else value
            )
        return self._operation(link, arithmetic.combine, (value, self.read(link.right, frame)))

    def _operation(
        self,
        node: tree.Binary | tree.Unary,
        compute: Callable[..., Value],
        operands: tuple[Value, ...],
    ) -> Value:
        """An operation on values: of sizes as sizes, of others by the language itself."""
        plain = compute(node, *map(plain_value, operands))
        if not any(map(_symbolic, operands)) or isinstance(plain, bool):
            return plain
        sign = node.operator
        match operands:
            case (int() as size,):
                return -size
            case (tuple() as left, tuple() as right):
                return left + right
            case (tuple() as items, int() as count) | (int() as count, tuple() as items):
                self.counts.update(_names(count))
                return items * int(count)
            case (int() as left, int() as right) if not isinstance(plain, float):
                if sign in _SIGNS:
                    return _SIGNS[sign](left, right)
                if not isinstance(right, Sized):
                    return math.prod([left] * right)
        text = f"({f' {sign} '.join(map(text_of, operands))})"
        return self._letter(text, plain, operands, lambda *values: compute(node, *values))

    def _call(self, node: tree.Call, frame: Frame) -> Value:
        assert isinstance(node.function, tree.Reference)
        name = node.function.name.text
        function = FUNCTIONS[name]
        given = list(node.arguments)
        if function.names:
            order = {name: k for k, name in enumerate(function.names)}
            places = [k if a.name is None else order[a.name.text] for k, a in enumerate(given)]
            given = [given[places.index(k)] for k in range(len(places))]
        nodes = [argument.value for argument in given]
        values = tuple(self.read(each, frame) for each in nodes)
        if name in _SUMS:
            (items,) = values
            assert isinstance(items, tuple)
            return _SUMS[name](items)

        def compute(*plain: Value) -> Value:
            return function.compute(node, tuple(zip(nodes, plain, strict=True)))

        result = compute(*map(plain_value, values))
        if not any(map(_symbolic, values)):
            return result
        text = f"{name}({', '.join(map(text_of, values))})"
        return self._letter(text, result, values, compute)

    def _letter(
        self, text: str, value: Value, follows: tuple[object, ...], compute: Callable[..., Value]
    ) -> Value:
        """A value that is no polynomial: a letter, one for each item of a list."""
        if isinstance(value, tuple):
            return tuple(
                _size(self._letter(f"{text}[{k}]", item, follows, _item_of(compute, k)))
                for k, item in enumerate(value)
            )
        if isinstance(value, float):
            real = Real(value)
            real.follows, real.text = follows, text
            return real
        known = not any(isinstance(each, Real) for each in follows)
        depth = 1 + max((k.depth for k in _letters(follows)), default=0)
        if depth > DEEPEST or len(text) > LONGEST_NAME:
            raise TooLong
        made = compute if known else None
        flat = tuple(part for each in follows for part in _flat(each))
        letter = Quantity(text, value, "derived", text, flat, made, depth)  # type: ignore[arg-type]
        if known:
            letter = replace(letter, follows=follows)
        return self.named.get(text) or Sized.of(letter)

    def name(self, value: Value, label: str) -> Value:
        """The same value, its letter called by a name of the block where it is a letter."""
        if isinstance(value, tuple):
            return tuple(_size(self.name(item, f"{label}[{k}]")) for k, item in enumerate(value))
        if not isinstance(value, Sized) or not self.naming:
            return value
        terms_of(value)  # finds quotients that are letters
        letter = value.quantity
        if letter is None or letter.kind != "derived" or letter.name != letter.what:
            return value
        if letter.what not in self.named:
            self.named[letter.what] = Sized.of(replace(letter, name=label))
        return self.named[letter.what]


_SIGNS: Mapping[str, Callable[[int, int], int]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


def _item_of(compute: Callable[..., Value], place: int) -> Callable[..., Value]:
    def item(*values: Value) -> Value:
        items = compute(*values)
        assert isinstance(items, tuple)
        return items[place]

    return item


def _flat(value: object) -> Iterable[object]:
    """A value without the floats in it: the sizes that these follow from."""
    return (
        (part for each in value.follows for part in _flat(each))
        if isinstance(value, Real)
        else (value,)
    )


def _letters(follows: Iterable[object]) -> Iterable[Quantity]:
    for value in follows:
        for each in _flat(value):
            for size in each if isinstance(each, tuple) else (each,):
                if isinstance(size, Sized):
                    yield from quantities_of(size).values()


def _names(size: int) -> Iterable[str]:
    return quantities_of(size) if isinstance(size, Sized) else ()


def _symbolic(value: Value) -> bool:
    if isinstance(value, tuple):
        return any(isinstance(item, Sized) for item in value)
    return isinstance(value, Sized | Real)


def plain_value(value: Value) -> Value:
    """The value as the language has it."""
    match value:
        case bool():
            return value
        case tuple():
            return tuple(map(int, value))
        case int():
            return int(value)
        case _:
            return float(value)


def _size(value: Value) -> int:
    assert isinstance(value, int)
    return value


def text_of(value: object) -> str:
    """A value in terms of letters.

    >>> text_of((3, Sized.of(Quantity("r", 4, "parameter", ""))))
    '[3, r]'
    """
    if isinstance(value, tuple):
        return f"[{', '.join(map(text_of, value))}]"
    if isinstance(value, Real):
        return value.text
    return terms_text(terms_of(value)) if isinstance(value, Sized) else str(value)
