"""A model with its arguments bound: parts, tensors, inputs, and the values of `forward`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.resolved import ResolvedInit, ResolvedNetwork, member_name
from tncompile.language.resolved import Value as Argument
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span
from tncompile.language.typing.operations import Operation
from tncompile.language.typing.sizes import Size
from tncompile.language.typing.values import Kind, Number, Shape, Value

if TYPE_CHECKING:
    from tncompile.language.typing.names import Family

Key = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of `torch.nn` with its arguments, by torch's names, in torch's order.

    `arguments` are those that were written; `parameters` and `buffers` are the shapes of what it
    stores, by their keys inside the layer.
    """

    name: str
    arguments: Mapping[str, Number]
    parameters: Mapping[str, tuple[int, ...]]
    buffers: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class TypedShape:
    """A shape in `takes` or `gives` of an `extern`, and its kind; `spans` are those of its legs."""

    shape: Shape
    kind: Kind
    span: Span = field(compare=False)
    spans: tuple[Span, ...] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Extern:
    """A class or a function of a Python package; `takes` and `gives` are None where not written.

    `bound` are the names in `takes` that the block does not declare: each call binds them.
    """

    path: str
    function: bool
    positional: tuple[Number, ...]
    named: Mapping[str, Number]
    takes: tuple[TypedShape, ...] | None
    gives: tuple[TypedShape, ...] | None
    bound: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A submodule under the key `family.0.1` of its own subscripts, or one that was handed on.

    subscripts  all subscripts; `key` lacks the shared ones
    tied        the keys that tied tensors of it would have, and those in the model of the tensors
                that they are
    handed      the parts that it hands on, by the parameters of its model
    outer       whether it is a parameter of the model: the caller has its keys
    """

    family: str
    subscripts: Key
    key: Key
    callee: Callee
    frozen: bool = False
    tied: Mapping[str, str] = field(default_factory=dict)
    handed: Mapping[str, Part] = field(default_factory=dict)
    outer: bool = False
    declared: Span = field(kw_only=True)

    @property
    def name(self) -> str:
        """`block[2]`."""
        return member_name(self.family, self.subscripts)

    @property
    def path(self) -> str:
        """Where its keys are: `block.2`."""
        return ".".join([self.family, *map(str, self.key)])


@dataclass(frozen=True, slots=True, eq=False)
class PlainTensor:
    """A tensor of the model itself, under the key `path`; those tied to it are it.

    One of integers is frozen.
    """

    family: str
    subscripts: Key
    key: Key
    shape: tuple[int, ...]
    init: ResolvedInit
    frozen: bool
    complex: bool
    integer: bool = False
    declared: Span = field(kw_only=True)

    @property
    def kind(self) -> Kind:
        """Of its entries."""
        if self.integer:
            return "int"
        return "complex" if self.complex else "float"

    @property
    def path(self) -> str:
        """Its key in the state dict: `gate.0`."""
        return ".".join([self.family, *map(str, self.key)])


@dataclass(frozen=True, slots=True, eq=False)
class ModelInput:
    """An argument of `forward`; `spans` are those of its legs."""

    family: str
    subscripts: Key
    kind: Kind
    shape: Shape
    declared: Span
    spans: tuple[Span, ...]

    @property
    def name(self) -> str:
        """`x`, `bag[0]`."""
        return member_name(self.family, self.subscripts)


@dataclass(frozen=True, slots=True)
class RunTimeSize:
    """A `batch` name: a size that inputs bring."""

    name: str
    usual: int | None
    causal: bool
    declared: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sizes compared: `==`, `!=`, `<`, `<=`, `>` or `>=`."""

    operator: str
    left: Size
    right: Size


@dataclass(frozen=True, slots=True)
class Combined:
    """Conditions joined by `and` or `or`, or one under `not`."""

    operator: Literal["and", "or", "not"]
    parts: tuple[Condition, ...]


Condition = Comparison | Combined


@dataclass(frozen=True, slots=True)
class Requirement:
    """A `require` that `forward` checks before anything else; `text` is how it is written."""

    condition: Condition
    reason: str
    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Check:
    """What could not be decided, and is checked in `forward`: `reason` says what does not fit."""

    comparison: Comparison
    reason: str


@dataclass(frozen=True)
class ResolvedModel:
    """A model block for one set of arguments.

    operations  all of them in order; those of parts that are called are the parts' own
    output      the results; `single` says that it is one value and no tuple
    names       the values that `let` names, by that name (`h[2]`)
    handed      the parts that it takes as arguments, by parameter
    tied        the keys that tied `tensors` would have, and those of the tensors that they are
    members     its families of parts and tensors, by name: what `tie` finds inside
    uniform     the parameters that are lists which one number was given for
    """

    name: str
    target: str
    doc: str | None
    values: Mapping[str, Argument]
    handed: Mapping[str, Part]
    sizes: tuple[RunTimeSize, ...]
    inputs: tuple[ModelInput, ...]
    parts: tuple[Part, ...]
    tensors: tuple[PlainTensor, ...]
    tied: Mapping[str, str]
    requirements: tuple[Requirement, ...]
    checks: tuple[Check, ...]
    operations: tuple[Operation, ...]
    output: tuple[Value, ...]
    single: bool
    names: Mapping[Value, str]
    block: tree.Block = field(repr=False)
    members: Mapping[str, Family] = field(repr=False, compare=False, default_factory=dict)
    uniform: frozenset[str] = field(default=frozenset(), compare=False)
    warnings: tuple[Diagnostic, ...] = ()


Resolved = ResolvedNetwork | ResolvedModel
"""A block with its arguments."""

Callee = ResolvedNetwork | ResolvedModel | Layer | Extern
"""What a part is an instance of."""
