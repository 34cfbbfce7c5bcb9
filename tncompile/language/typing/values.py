"""What an expression of a model can be: a number, a run-time size, a value, a tuple.

A value is a node of the graph that `forward` computes: it knows the operation that gives it, and an
operation knows the values that it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from tncompile.language.resolved import Value as Whole
from tncompile.language.resolved import value_text
from tncompile.language.syntax.source import Span
from tncompile.language.typing.sizes import Size

if TYPE_CHECKING:
    from tncompile.language.typing.operations import Operation

Kind = Literal["bool", "int", "float", "complex"]
"""What the entries of a value are; a float has the dtype of the module."""

KINDS: tuple[Kind, ...] = get_args(Kind)

KIND_NAMED: Mapping[str, Kind] = {kind: kind for kind in KINDS}

MOST_AXES = 64
"""Of a tensor of torch."""
"""All kinds; each converts to those after it."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A list of numbers, as layers and functions take them: `[0.5, 2]`, `[-2, -1]`."""

    items: tuple[int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class Strings:
    """A list of strings, which `extern` takes alone."""

    items: tuple[str, ...]


Number = Whole | Numbers | Strings | str
"""What is known when a model is instantiated; a tuple is a list of integers."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The axes of a value: those of `...`, if it has them, then the sizes."""

    sizes: tuple[Size, ...] = ()
    dots: bool = False

    def __str__(self) -> str:
        axes = ["..."] * self.dots + [str(size) for size in self.sizes]
        return f"({', '.join(axes)})"

    def axis(self, dim: int) -> Size:
        """The size of an axis counted from the right: -1 is the last."""
        return self.sizes[dim]

    def replaced(self, dim: int, *sizes: Size) -> Shape:
        """The shape with other axes in the place of the axis `dim`, counted from the right."""
        place = len(self.sizes) + dim
        return Shape((*self.sizes[:place], *sizes, *self.sizes[place + 1 :]), self.dots)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """One tensor of the graph; `position` says which result of an operation with several it is.

    `constant` values are made of numbers and sizes alone: they take the dtype of what they meet.
    """

    kind: Kind
    shape: Shape
    operation: Operation
    position: int | None = None
    constant: bool = False
    span: Span = field(kw_only=True)  # of the expression that gives it

    @property
    def text(self) -> str:
        """Shape and kind, as messages say them: `(..., t, 64)`, `(..., t) int`."""
        return f"{self.shape}{'' if self.kind == 'float' else f' {self.kind}'}"

    @property
    def runs(self) -> bool:
        """Whether a run-time size is in its shape."""
        return any(size.value is None for size in self.shape.sizes)


@dataclass(frozen=True, slots=True)
class Tuple:
    """Several terms: `(a, b)`, or the results of a part or a function; never nested."""

    items: tuple[Number | Size | Value, ...]


Term = Number | Size | Value | Tuple | Shape
"""What an expression gives; `(..., t, 2)` is a shape."""


def term_text(term: Term) -> str:
    """What a message calls a term: `a tuple of 2`, `8`, `a value (..., t, 64)`."""
    match term:
        case Value():
            return f"a value {term.text}"
        case Tuple():
            return f"a tuple of {len(term.items)}"
        case Size():
            return f"the size `{term}`"
        case Shape():
            return f"the legs {term}"
        case Numbers(items):
            return f"[{', '.join(map(value_text, items))}]"
        case Strings(items):
            return f"[{', '.join(map(term_text, items))}]"
        case str():
            return f'"{term}"'
        case _:
            return value_text(term, most=6)


def flattened(term: Term) -> Iterator[Number | Size | Value | Shape]:
    """The items of a tuple, or the term itself."""
    if isinstance(term, Tuple):
        yield from term.items
    else:
        yield term


def higher(*kinds: Kind) -> Kind:
    """The kind that all convert to.

    >>> higher("int", "float"), higher("bool", "bool")
    ('float', 'bool')
    """
    return max(kinds, key=KINDS.index)
