"""The operations of a model: what gives its values, in the order written.

Axes are negative throughout: counted from the right, as `...` has any number of axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tncompile.language.syntax.source import Span
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Number, Shape, Value

if TYPE_CHECKING:
    from tncompile.language.typing.model import ModelInput, Part, PlainTensor


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of a `repeat`: operations of equal turns can be written as one loop.

    `loop` is one number for all turns of a `repeat`, `count` the value of its variable.
    """

    loop: int
    variable: str
    count: int


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """What takes values and gives values."""

    operands: tuple[Value, ...] = ()
    span: Span = field(kw_only=True)  # of the call, the operator, …
    turns: tuple[Turn, ...] = field(default=(), kw_only=True)  # the outermost `repeat` first


@dataclass(frozen=True, slots=True, eq=False)
class Read(Operation):
    """An argument of `forward`."""

    source: ModelInput = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Stored(Operation):
    """A plain tensor of the model."""

    tensor: PlainTensor = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Literal(Operation):
    """A number, or a list of numbers as a value of one axis."""

    number: Number = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class SizeValue(Operation):
    """A run-time size as a scalar."""

    size: Size = field(kw_only=True)


Option = Number | Size | Shape | tuple[Size, ...] | None
"""What an argument of a function can be that is no value."""


@dataclass(frozen=True, slots=True, eq=False)
class Apply(Operation):
    """A function or an operator on values; operators are called `add`, `matmul`, `not`, …

    `options` are its other arguments by name, those with a default included; axes are negative.
    """

    function: str = field(kw_only=True)
    options: Mapping[str, Option] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries `start` to `stop` - 1 of an axis; both None: the whole axis."""

    start: Size | None = None
    stop: Size | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Select(Operation):
    """`x[..., 0..t, *, 3]`: a slot for each axis after `...`; a size takes that entry alone.

    `places` are where the slots are written.
    """

    slots: tuple[Entries | Size, ...] = field(kw_only=True)
    places: tuple[Span, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Legs:
    """The legs of an operand or of the result: for each axis after `...` the names on it."""

    axes: tuple[tuple[str, ...], ...]
    dots: bool


@dataclass(frozen=True, slots=True, eq=False)
class Contract(Operation):
    """`network { … }`: the sum over all legs that `output` lacks of the product of the operands."""

    legs: tuple[Legs, ...] = field(kw_only=True)
    output: Legs = field(kw_only=True)
    sizes: Mapping[str, Size] = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class CallPart(Operation):
    """A call of a part. `inputs` says for each operand which input of the part it is.

    `bindings` are the run-time sizes of the part, in sizes of this model.
    """

    part: Part = field(kw_only=True)
    inputs: tuple[str, ...] = field(default=(), kw_only=True)
    bindings: Mapping[str, Size] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class Entry(Operation):
    """What a step of `scan` takes: an entry of a sequence, or a member of the state as it is then.

    Its operand is the sequence, or the member of the first state; no list of operations has it.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Scan(Operation):
    """`scan(cell, xs, state, dim)`: operands are the sequences, then the state.

    `axis` is where each of the sequences has its steps, counted from the right of the first one;
    `step` is the call of the cell, on the results of an `Entry` each. Its results are the
    outputs, stacked, then the last state; without outputs the first of the state is one.
    """

    part: Part = field(kw_only=True)
    sequences: int = field(kw_only=True)
    axis: int = field(kw_only=True)
    reverse: bool = field(kw_only=True)
    outputs: int = field(kw_only=True)  # outputs of the cell before its state; 0: the state is one
    step: CallPart = field(kw_only=True)
