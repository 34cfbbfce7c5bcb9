"""The operations of tensor programs: each is exactly one call of PyTorch.

An operation names the values that it reads (`Use`), the values that it makes (`Def`) and the
parameters that it reads (`Key`); shapes and strides stand with the values. To add an operation,
define its class here and register a rule for it with `evaluates` (`program/interpreter.py`),
`simulates` (`simulation/rules.py`) and `writes` (`emission/steps/expressions.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Annotated, ClassVar, get_args, get_origin, get_type_hints

Use = Annotated[str, "use"]
"""The name of a value that an operation reads."""

Def = Annotated[str, "def"]
"""The name of a value that an operation makes."""

Key = Annotated[str, "key"]
"""The key of a parameter that an operation reads."""


def _roles(hint: object) -> set[str]:
    """The roles in an annotation, inside of tuples and unions, too."""
    if get_origin(hint) is Annotated:
        return set(get_args(hint)[1:])
    return {role for part in get_args(hint) for role in _roles(part)}


@dataclass(frozen=True, slots=True)
class Operation:
    """An operation by the names of its operands and results.

    is_view         its results lie in the memory of its only operand, and cost no work
    may_alias       its result has memory of its own only where strides or gradients demand it
    is_borrowed     its result lies in memory of the caller or the module
    is_contraction  a product, in which multiply-adds are counted
    autocasts       runs in the lower precision under autocast
    is_detached     no gradient flows back through it
    """

    is_view: ClassVar[bool] = False
    may_alias: ClassVar[bool] = False
    is_borrowed: ClassVar[bool] = False
    is_contraction: ClassVar[bool] = False
    autocasts: ClassVar[bool] = False
    is_detached: ClassVar[bool] = False

    use_fields: ClassVar[tuple[str, ...]] = ()  # the fields annotated so
    def_fields: ClassVar[tuple[str, ...]] = ()
    key_fields: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        roles = {
            name: _roles(hint) for name, hint in get_type_hints(cls, include_extras=True).items()
        }
        cls.use_fields, cls.def_fields, cls.key_fields = (
            tuple(name for name in roles if role in roles[name]) for role in ("use", "def", "key")
        )


@dataclass(frozen=True, slots=True)
class Argument(Operation):
    """One input, checked, its leading axes broadcast and flattened: a view for one input."""

    is_borrowed = True

    result: Def
    input: str


@dataclass(frozen=True, slots=True)
class LoadParameter(Operation):
    """A parameter in its declared shape, conjugated where `conjugate` (then a copy)."""

    is_borrowed = True

    result: Def
    key: Key
    conjugate: bool = False


@dataclass(frozen=True, slots=True)
class Chunk(Operation):
    """The part of `source` along an axis that an iteration of the loop works on: a view.

    The axis of the result has the length `Loop.part`.
    """

    result: Def
    source: Use
    axis: int


@dataclass(frozen=True, slots=True)
class ConcatChunks(Operation):
    """`torch.cat` along an axis of the `source` of all iterations: a copy, the loop's last step.

    Each iteration appends its `source` to a list; `result` exists after the loop.
    """

    result: Def
    source: Use
    axis: int


@dataclass(frozen=True, slots=True)
class Mask(Operation):
    """A constant: 1 for the first `width` entries of a row-major axis, else 0."""

    result: Def
    width: int


@dataclass(frozen=True, slots=True)
class Stack(Operation):
    """`torch.stack` of equal tensors along a new first axis: a copy."""

    result: Def
    sources: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class StackParameters(Operation):
    """`torch.stack` of equally shaped parameters, by key, along a new first axis: a copy.

    The keys are mostly runs of one family, sometimes runs of several families one after the other.
    """

    result: Def
    keys: tuple[Key, ...]
    conjugate: bool = False


@dataclass(frozen=True, slots=True)
class Cat(Operation):
    """`torch.cat` along the first axis: a copy."""

    result: Def
    sources: tuple[Use, ...]


@dataclass(frozen=True, slots=True)
class View(Operation):
    """`reshape` to the shape of the result where strides allow it without a copy."""

    is_view = True

    result: Def
    source: Use


@dataclass(frozen=True, slots=True)
class Copy(Operation):
    """`reshape` to the shape of the result where strides demand a copy; contiguous."""

    may_alias = True

    result: Def
    source: Use


@dataclass(frozen=True, slots=True)
class Contiguous(Operation):
    """`contiguous()` where strides fit no product: a copy."""

    may_alias = True

    result: Def
    source: Use


@dataclass(frozen=True, slots=True)
class Permute(Operation):
    """`permute`: no copy."""

    is_view = True

    result: Def
    source: Use
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expand(Operation):
    """`expand` to the shape of the result: no copy.

    Axes of length 1 are repeated, and new axes may come in front, all with stride 0.
    """

    is_view = True

    result: Def
    source: Use


@dataclass(frozen=True, slots=True)
class ContiguousGrad(Operation):
    """The same tensor, whose gradient is made row major in backward: no copy in forward."""

    may_alias = True

    result: Def
    source: Use


@dataclass(frozen=True, slots=True)
class Slice(Operation):
    """`source[..., start:stop:step, ...]` along an axis: no copy."""

    is_view = True

    result: Def
    source: Use
    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Select(Operation):
    """`source.select(axis, position)`: no copy."""

    is_view = True

    result: Def
    source: Use
    axis: int
    position: int


@dataclass(frozen=True, slots=True)
class Unbind(Operation):
    """`source.unbind(axis)`: every slice along an axis at once, no copy."""

    is_view = True

    results: tuple[Def, ...]
    source: Use
    axis: int


@dataclass(frozen=True, slots=True)
class Split(Operation):
    """`torch.split(source, lengths, axis)`: parts of an axis that make up all of it, no copy.

    Their gradients are joined by one copy. The gradient of a slice would be as large as all of the
    source, zero outside of the slice, and those of several slices would be added up.
    """

    is_view = True

    results: tuple[Def, ...]
    source: Use
    axis: int
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ones(Operation):
    """`ones` of the shape of the result: the product of nothing."""

    result: Def


@dataclass(frozen=True, slots=True)
class MatMul(Operation):
    """`left @ right`: `mm` of two matrices, or `bmm` of two equally long stacks of matrices.

    With a `bias`, which broadcasts to the result, `bias + left @ right`: `addmm` or `baddbmm`. The
    result is contiguous. BLAS takes an operand as it is when one of its last two strides is 1 and
    the other is at least the length across; else the call copies it first.
    """

    is_contraction = True
    autocasts = True

    result: Def
    left: Use
    right: Use
    bias: Use | None = None


@dataclass(frozen=True, slots=True)
class Multiply(Operation):
    """Elementwise product of two values of equal rank, axes of length 1 broadcast."""

    is_contraction = True

    result: Def
    left: Use
    right: Use


@dataclass(frozen=True, slots=True)
class Add(Operation):
    """Elementwise sum of two values of equal rank, axes of length 1 broadcast."""

    result: Def
    left: Use
    right: Use


@dataclass(frozen=True, slots=True)
class Sum(Operation):
    """`source.sum(axes)`."""

    result: Def
    source: Use
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IndexSelect(Operation):
    """`source.index_select(0, positions)` with positions known at compile time: a copy."""

    result: Def
    source: Use
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnravelIndex(Operation):
    """`ids // divisor % size`, elementwise on integers."""

    result: Def
    source: Use
    divisor: int
    size: int
    last: bool = False  # the most significant digit needs no remainder


@dataclass(frozen=True, slots=True)
class Arange(Operation):
    """`arange(length)` along the first axis of the result, all others of length 1."""

    result: Def
    length: int


@dataclass(frozen=True, slots=True)
class RavelIndex(Operation):
    """`major * size + minor`: ids of a flattened axis; equal rank, axes of length 1 broadcast."""

    result: Def
    major: Use
    minor: Use
    size: int


@dataclass(frozen=True, slots=True)
class Embedding(Operation):
    """Rows of `table` (its first axis) by flattened ids: `index_select`, then a view: a copy."""

    result: Def
    table: Use
    ids: Use


@dataclass(frozen=True, slots=True)
class Gather(Operation):
    """`table.take_along_dim(ids, -1).squeeze(-1)`: one entry of the last axis a position.

    Equal rank, axes of length 1 broadcast; the last axis of `ids` has length 1.
    """

    result: Def
    table: Use
    ids: Use


@dataclass(frozen=True, slots=True)
class OneHot(Operation):
    """The one-hot expansion of ids along a new last axis, in the dtype of the parameters."""

    result: Def
    ids: Use
    size: int


@dataclass(frozen=True, slots=True)
class Pad(Operation):
    """Zeros appended along one axis up to the length of the result: a copy."""

    result: Def
    source: Use
    axis: int


@dataclass(frozen=True, slots=True)
class Times(Operation):
    """A value times an integer: the logarithm of the scale of several equal factors."""

    result: Def
    source: Use
    count: int


@dataclass(frozen=True, slots=True)
class Magnitude(Operation):
    """The largest magnitude over `axes`, which keep the length 1; a constant for autograd.

    That of zeros is the smallest normal number; that of infinities is infinity.
    """

    is_detached = True

    result: Def
    source: Use
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Divide(Operation):
    """`source / scale`, axes of `scale` of length 1 broadcast; no gradient flows to `scale`."""

    result: Def
    source: Use
    scale: Use


@dataclass(frozen=True, slots=True)
class Log(Operation):
    """The logarithm of a magnitude without `axes`, which are of length 1; in float32 at least."""

    is_detached = True

    result: Def
    source: Use
    axes: tuple[int, ...]


OPERATIONS: tuple[type[Operation], ...] = tuple(
    kind for kind in globals().values()
    if isinstance(kind, type) and issubclass(kind, Operation) and kind is not Operation
)  # fmt: skip
"""Every operation there is."""


def sources(operation: Operation) -> tuple[str, ...]:
    """The values that an operation reads."""
    return _names(operation, operation.use_fields)


def results(operation: Operation) -> tuple[str, ...]:
    """The values that an operation makes."""
    return _names(operation, operation.def_fields)


def parameter_keys(operation: Operation) -> tuple[str, ...]:
    """The parameters that an operation reads."""
    return _names(operation, operation.key_fields)


def attributes(operation: Operation) -> tuple[tuple[str, object], ...]:
    """The fields of an operation that name no value, with what they hold."""
    names = [field.name for field in fields(operation)]
    return tuple(
        (name, getattr(operation, name))
        for name in names
        if name not in operation.use_fields and name not in operation.def_fields
    )


def renamed(operation: Operation, names: Mapping[str, str]) -> Operation:
    """The operation with other names for the values that it reads and makes."""
    changes: dict[str, str | tuple[str, ...]] = {}
    for name in (*operation.use_fields, *operation.def_fields):
        match getattr(operation, name):
            case str(value):
                changes[name] = names.get(value, value)
            case tuple(values):
                changes[name] = tuple(names.get(value, value) for value in values)
    return replace(operation, **changes)


def _names(operation: Operation, field_names: tuple[str, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for name in field_names:
        value: str | tuple[str, ...] | None = getattr(operation, name)
        if isinstance(value, str):
            names.append(value)
        elif value is not None:
            names += value
    return tuple(names)
