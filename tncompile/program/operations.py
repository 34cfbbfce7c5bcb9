"""The operations of tensor programs: each is exactly one call of PyTorch.

They name the values that they read and make; shapes and strides stand with the values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Argument:
    """One input, checked, its leading axes broadcast and flattened: a view for one input."""

    result: str
    input: str


@dataclass(frozen=True, slots=True)
class LoadParameter:
    """A parameter in its declared shape, conjugated where `conjugate` (then a copy)."""

    result: str
    key: str
    conjugate: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One part of `source` along an axis, in each turn of the loop: a view.

    The axis of the result runs over the index of the loop's part (`Loop.part`).
    """

    result: str
    source: str
    axis: int


@dataclass(frozen=True, slots=True)
class ConcatChunks:
    """What all turns of the loop made, joined along an axis: `torch.cat`, a copy.

    It is the last step of a loop: `source` is kept in each turn, `result` exists after the loop.
    """

    result: str
    source: str
    axis: int


@dataclass(frozen=True, slots=True)
class Mask:
    """A constant made in place: 1 for the first `width` entries of a row-major axis, else 0."""

    result: str
    width: int


@dataclass(frozen=True, slots=True)
class Stack:
    """`torch.stack` of equal tensors along a new first axis: a copy."""

    result: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StackParameters:
    """`torch.stack` of equally shaped parameters, by key, along a new first axis: a copy.

    The keys are mostly runs of one family, sometimes runs of several families one after the other.
    """

    result: str
    keys: tuple[str, ...]
    conjugate: bool = False


@dataclass(frozen=True, slots=True)
class Cat:
    """`torch.cat` along the first axis: a copy."""

    result: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class View:
    """`reshape` to the shape of the result where strides allow it without a copy."""

    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Copy:
    """`reshape` to the shape of the result where strides demand a copy; contiguous."""

    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Contiguous:
    """`contiguous()` where strides fit no product: a copy."""

    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Permute:
    """`permute`: no copy."""

    result: str
    source: str
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Expand:
    """`expand` to the shape of the result: no copy.

    Axes of length 1 are repeated, and new axes may come in front, all with stride 0.
    """

    result: str
    source: str


@dataclass(frozen=True, slots=True)
class ContiguousGrad:
    """The same tensor, whose gradient will be made row major when it arrives: a hook, no copy."""

    result: str
    source: str


@dataclass(frozen=True, slots=True)
class Slice:
    """`source[..., start:stop:step, ...]` along an axis: no copy."""

    result: str
    source: str
    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Select:
    """`source.select(axis, position)`: no copy."""

    result: str
    source: str
    axis: int
    position: int


@dataclass(frozen=True, slots=True)
class Unbind:
    """`source.unbind(axis)`: every slice along an axis at once, no copy."""

    results: tuple[str, ...]
    source: str
    axis: int


@dataclass(frozen=True, slots=True)
class Split:
    """`torch.split(source, lengths, axis)`: parts of an axis that make up all of it, no copy.

    Their gradients are joined by one copy, where those of slices would each be as large as all of
    it, zeros but for the slice, and be added up.
    """

    results: tuple[str, ...]
    source: str
    axis: int
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Ones:
    """`ones` of the shape of the result: the product of nothing."""

    result: str


@dataclass(frozen=True, slots=True)
class MatMul:
    """`left @ right`: `mm` of two matrices, or `bmm` of two equally long stacks of matrices.

    With a `bias`, which broadcasts to the result, `bias + left @ right`: `addmm` or `baddbmm`. The
    result is contiguous. BLAS takes an operand as it is when one of its last two strides is 1 and
    the other is at least the length across; else the call copies it first.
    """

    result: str
    left: str
    right: str
    bias: str | None = None


@dataclass(frozen=True, slots=True)
class Multiply:
    """Elementwise product of two values of equal rank, axes of length 1 broadcast."""

    result: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Add:
    """Elementwise sum of two values of equal rank, axes of length 1 broadcast."""

    result: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Sum:
    """`source.sum(axes)`."""

    result: str
    source: str
    axes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IndexSelect:
    """`source.index_select(0, positions)` with positions known at compile time: a copy."""

    result: str
    source: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class UnravelIndex:
    """`ids // divisor % size`, elementwise on integers."""

    result: str
    source: str
    divisor: int
    size: int
    last: bool = False  # the most significant digit needs no remainder


@dataclass(frozen=True, slots=True)
class Arange:
    """`arange(length)` along the first axis of the result, all others of length 1."""

    result: str
    length: int


@dataclass(frozen=True, slots=True)
class RavelIndex:
    """`major * size + minor`: ids of a flattened axis; equal rank, axes of length 1 broadcast."""

    result: str
    major: str
    minor: str
    size: int


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of `table` (its first axis) by flattened ids: `index_select`, then a view: a copy."""

    result: str
    table: str
    ids: str


@dataclass(frozen=True, slots=True)
class Gather:
    """`table.take_along_dim(ids, -1).squeeze(-1)`: one entry of the last axis a position.

    Equal rank, axes of length 1 broadcast; the last axis of `ids` has length 1.
    """

    result: str
    table: str
    ids: str


@dataclass(frozen=True, slots=True)
class OneHot:
    """The one-hot expansion of ids along a new last axis, in the dtype of the parameters."""

    result: str
    ids: str
    size: int


@dataclass(frozen=True, slots=True)
class Pad:
    """Zeros appended along one axis up to the length of the result: a copy."""

    result: str
    source: str
    axis: int


@dataclass(frozen=True, slots=True)
class Times:
    """A value times a whole number: the logarithm of a scale that several factors have."""

    result: str
    source: str
    count: int


@dataclass(frozen=True, slots=True)
class Rescale:
    """Divide by the largest magnitude over `axes`; `log` is the logarithm of what was divided by.

    `log` keeps the other axes. Zeros are divided by the smallest normal number, infinities by
    infinity, which makes them nan. No gradient flows through the divisor.
    """

    result: str
    log: str
    source: str
    axes: tuple[int, ...]


Operation = (
    Argument
    | LoadParameter
    | Chunk
    | ConcatChunks
    | Mask
    | Stack
    | StackParameters
    | Cat
    | View
    | Copy
    | Contiguous
    | Permute
    | Expand
    | ContiguousGrad
    | Slice
    | Select
    | Unbind
    | Split
    | Ones
    | MatMul
    | Multiply
    | Add
    | Sum
    | IndexSelect
    | UnravelIndex
    | Arange
    | RavelIndex
    | Embedding
    | Gather
    | OneHot
    | Pad
    | Times
    | Rescale
)


VIEWS = (View, Permute, Expand, Slice, Select, Unbind, Split)
"""Operations without work of their own: their results lie in the memory of their source."""


def sources(operation: Operation) -> tuple[str, ...]:
    """The values that an operation reads."""
    match operation:
        case Argument() | LoadParameter() | StackParameters() | Mask() | Ones() | Arange():
            return ()
        case Stack(_, given) | Cat(_, given):
            return given
        case MatMul(_, left, right, str(bias)):
            return (left, right, bias)
        case MatMul(_, left, right) | Multiply(_, left, right) | Add(_, left, right):
            return (left, right)
        case Embedding(_, table, ids) | Gather(_, table, ids):
            return (table, ids)
        case RavelIndex(_, major, minor, _):
            return (major, minor)
        case OneHot(_, ids, _):
            return (ids,)
        case _:
            return (operation.source,)


def results(operation: Operation) -> tuple[str, ...]:
    """The values that an operation makes."""
    match operation:
        case Unbind(made, _, _) | Split(made, _, _, _):
            return made
        case Rescale(result, log, _, _):
            return (result, log)
        case _:
            return (operation.result,)
