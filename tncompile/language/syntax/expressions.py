"""Nodes of the syntax tree: names, literals and expressions, each with its span."""

from __future__ import annotations

from dataclasses import field

from tncompile.language.syntax.source import Span
from tncompile.language.syntax.structure import Structure


class Node(Structure):
    """A part of the tree and its place in the text."""

    span: Span = field(kw_only=True)


class Name(Node):
    """An identifier where it is declared or used."""

    text: str


class Named(Node):
    """A part of the tree whose first field is its name."""

    name: Name


class String(Node):
    """A string literal; `value` has its escapes resolved, the span includes the quotes."""

    value: str


# ── expressions ────────────────────────────────────────────────────────────────────────────────


class Number(Node):
    """An integer or a float literal; `text` is as written (`1e-3`)."""

    text: str

    @property
    def value(self) -> int | float:
        """The number: an `int` where only digits were written."""
        return int(self.text) if self.text.isdigit() else float(self.text)


class Boolean(Node):
    """`true` or `false`."""

    value: bool


class Reference(Node):
    """A name used as a value."""

    name: Name


class ListOf(Node):
    """`[a, b, c]`."""

    items: tuple[Expression, ...]


class Unary(Node):
    """`-a` or `not a`."""

    operator: str
    operand: Expression


class Binary(Node):
    """`left operator right`, with `operator` one of `+ - * / // % ** @ == != < <= > >= and or`."""

    operator: str
    left: Expression
    right: Expression
    operator_span: Span = field(kw_only=True)


class Conditional(Node):
    """`if condition then chosen else otherwise`."""

    condition: Expression
    chosen: Expression
    otherwise: Expression


class Argument(Node):
    """`name = value`, or a positional `value` when `name` is None."""

    name: Name | None
    value: Expression


class Call(Node):
    """`function(arguments)`."""

    function: Expression
    arguments: tuple[Argument, ...]


class Star(Node):
    """`*` as the last subscript of a leg, or in an item of a model: all members, all entries."""


class Slice(Node):
    """`start..stop` in an item of a model: the entries from `start` to before `stop`."""

    start: Expression
    stop: Expression


class Item(Node):
    """`value[subscripts]`."""

    value: Expression
    subscripts: tuple[Expression | Slice | Star, ...]


class Pipe(Node):
    """`value |> stage`; values of models only."""

    value: Expression
    stage: Expression


class Subscript(Named):
    """`k in start..stop`, a half-open range that declares `k`."""

    start: Expression
    stop: Expression


class Repeat(Node):
    """`repeat v in a..b { stage }`, a stage of a pipeline."""

    subscript: Subscript
    stage: Expression


class TupleOf(Node):
    """`(a, b)`: the values of an `output`, or the legs given to `reshape`."""

    items: tuple[Expression, ...]


class Dots(Node):
    """`...` among legs, in items, and in those given to `reshape`."""


# ── legs, and networks without a name ──────────────────────────────────────────────────────────


class IndexLeg(Named):
    """`i`, `b[k - 1]?`, `v[l, *]` or a window's face `h.kernel`."""

    subscripts: tuple[Expression | Star, ...] = ()
    face: Name | None = None
    optional: bool = False


class GroupLeg(Node):
    """`(a b)`, or `onehot(a, b)`, one flattened axis, cut to `width` entries where `as` says so."""

    legs: tuple[IndexLeg, ...]
    onehot: bool = False
    width: Expression | None = None


class Operand(Node):
    """`q(..., t, e)` or `G[0](i, j)` of a network of values; the piped value has no name."""

    name: Name | None
    subscripts: tuple[Expression, ...]
    legs: tuple[Leg, ...]


class NetworkExpression(Node):
    """`network { operands -> (output) }`; values of models only."""

    operands: tuple[Operand, ...]
    output: tuple[Leg, ...]


Leaf = Number | String | Boolean | Reference | Dots
Operation = Unary | Binary | Conditional | Call | Item | Pipe | Repeat | NetworkExpression
Expression = Leaf | ListOf | TupleOf | Operation
Leg = IndexLeg | GroupLeg | Subscript | Expression
"""A `Subscript` is one axis whose slices carry the legs that use it, and `Dots` are any number of
leading batch axes; other expressions (`2 * d`, `d`) are axes of a model's inputs and tensors."""
