"""A network with names bound, families unrolled, sizes evaluated; occurrences keep their spans.

Indices are known by name from here on: `i`, `i[0]`, `v[2, 5]`, `...` for leading batch axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from tncompile.language.diagnostics.diagnostic import Diagnostic
from tncompile.language.syntax import tree
from tncompile.language.syntax.source import Span

LARGEST_SIZE = 2**40
"""The most entries that a leg, or a stored tensor, may have."""

Value = int | float | bool | tuple[int, ...]
"""What an expression can be; lists are tuples."""

IndexKind = Literal["index", "bond", "hyper", "batch", "dots", "window", "kernel"]
AxisKind = Literal["legs", "onehot", "slices", "dots"]
PaddingMode = Literal["zeros", "circular", "reflect", "replicate"]
SchemeName = Literal[
    "auto", "normal", "uniform", "orthogonal", "eye", "ones", "zeros", "constant", "linear",
    "arange",
]  # fmt: skip
"""`arange` is for tensors of integers alone."""

DOTS = "..."

MOST_WINDOWS = 3
"""Windows of one contraction, so of one kernel, too: torch convolves along so many axes at once."""


def member_name(family: str, subscripts: tuple[int, ...]) -> str:
    """The name of one member of a family.

    >>> member_name("v", (2, 5)), member_name("i", ())
    ('v[2, 5]', 'i')
    """
    return f"{family}[{', '.join(map(str, subscripts))}]" if subscripts else family


def value_text(value: Value, *, most: int | None = None) -> str:
    """A value in the language, cut after `most` items.

    >>> value_text((4, 8)), value_text(True), value_text((1, 2, 3), most=2)
    ('[4, 8]', 'true', '[1, 2, … (3 items)]')
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() if value.bit_length() > 200:
            return "a huge number"
        case tuple() if most is not None and len(value) > most:
            return f"[{', '.join(map(value_text, value[:most]))}, … ({len(value)} items)]"
        case tuple():
            return f"[{', '.join(map(value_text, value))}]"
        case _:
            return repr(value).replace("e+", "e")


@dataclass(frozen=True, slots=True)
class ResolvedIndex:
    """A dimension; `size` is None where it is known at run time (`batch`, `...`, `h.in`).

    `usual` is what a `batch` axis is planned for where nobody says another size.
    """

    name: str
    kind: IndexKind
    size: int | None
    family: str
    subscripts: tuple[int, ...] = ()
    usual: int | None = None
    declared: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedWindow:
    """A convolution axis: it ties the indices `NAME.in`, `NAME.kernel` and `NAME.out`.

    `left` and `right` are entries of padding. `transposed` says that `NAME.out` is on the input and
    `NAME.in` on the output; `extra` entries more come out then.
    """

    name: str
    family: str
    subscripts: tuple[int, ...]
    size: int
    stride: int
    dilation: int
    left: int
    right: int
    mode: PaddingMode
    extra: int
    declaration: tree.WindowDeclaration = field(compare=False, repr=False)
    transposed: bool = False


@dataclass(frozen=True, slots=True)
class ResolvedAxis:
    """One axis: a leg, or a group flattened row major.

    `spans` says for each of the `indices` where it is written; `span` is the whole leg. `size` is
    the product of the sizes, `width` what `as` leaves of it. An axis of `slices` has no indices;
    its size is the number of slices.
    """

    kind: AxisKind
    indices: tuple[str, ...]
    size: int | None
    span: Span = field(compare=False, repr=False)
    spans: tuple[Span, ...] = field(default=(), compare=False, repr=False)
    width: int | None = None


@dataclass(frozen=True, slots=True)
class ResolvedInit:
    """How a parameter starts: a scheme, or `linear` for a bias without one."""

    scheme: SchemeName
    argument: float | None = None


@dataclass(frozen=True, slots=True)
class ResolvedParameter:
    """A stored tensor under its state-dict key; its axes are those of its first use."""

    key: str
    family: str
    subscripts: tuple[int, ...]
    axes: tuple[ResolvedAxis, ...]
    shape: tuple[int, ...]
    init: ResolvedInit
    frozen: bool
    complex: bool
    statement: tree.TensorStatement | tree.BiasStatement = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedTensor:
    """A factor of the product: a use of the parameter `key`.

    `alone` says that its family has this one member: what a hyper index may count on.
    """

    name: str
    family: str
    subscripts: tuple[int, ...]
    key: str
    axes: tuple[ResolvedAxis, ...]
    statement: tree.TensorStatement = field(compare=False, repr=False)
    conjugate: bool = False
    alone: bool = False


@dataclass(frozen=True, slots=True)
class ResolvedSlice:
    """A factor of the product that an input holds: all of it, or one entry a `slices` axis."""

    position: tuple[int, ...]
    axes: tuple[ResolvedAxis, ...]


@dataclass(frozen=True, slots=True)
class ResolvedInput:
    """An argument of `forward`; `axes` as the caller sees them, the indices of the first slice."""

    name: str
    family: str
    subscripts: tuple[int, ...]
    axes: tuple[ResolvedAxis, ...]
    slices: tuple[ResolvedSlice, ...]
    statement: tree.InputStatement = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedBias:
    """A parameter that is added to the output along its axes."""

    name: str
    key: str
    axes: tuple[ResolvedAxis, ...]
    statement: tree.BiasStatement = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ResolvedOutput:
    """The result."""

    name: str
    axes: tuple[ResolvedAxis, ...]
    log: bool
    statement: tree.OutputStatement = field(compare=False, repr=False)


@dataclass(frozen=True)
class ResolvedNetwork:
    """A network block with its arguments.

    `target` is the call that makes it, in the language: the arguments that were given, in the order
    of the parameters. `values` are all parameters, defaults included; `uniform` are the lists among
    them that one number was given for.
    """

    name: str
    target: str
    doc: str | None
    values: Mapping[str, Value]
    indices: tuple[ResolvedIndex, ...]
    windows: tuple[ResolvedWindow, ...]
    inputs: tuple[ResolvedInput, ...]
    parameters: tuple[ResolvedParameter, ...]
    tensors: tuple[ResolvedTensor, ...]
    biases: tuple[ResolvedBias, ...]
    output: ResolvedOutput
    block: tree.Block = field(compare=False, repr=False)
    uniform: frozenset[str] = field(default=frozenset(), compare=False)
    warnings: tuple[Diagnostic, ...] = ()

    @cached_property
    def index(self) -> dict[str, ResolvedIndex]:
        """The indices by name."""
        return {index.name: index for index in self.indices}
