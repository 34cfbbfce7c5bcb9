"""The operations of tensor programs: each is exactly one call of PyTorch.

An operation names the values that it reads (`Use`), the values that it makes (`Def`) and the
parameters that it reads (`Key`); shapes and strides stand with the values. To add an operation,
define its class here and register a rule for it with `evaluates` (`program/interpreter.py`),
`simulates` (`simulation/rules.py`) and `writes` (`emission/steps/expressions.py`). Unless it is
elementwise or of any shape, `program/verifying.py` says which shape its result has.
"""

from __future__ import annotations

from typing import Literal

from tncompile.program.operation import Binary, Def, Key, Operation, SingleResult, Unary, Use

PadMode = Literal["constant", "circular", "reflect", "replicate"]


class Argument(SingleResult, is_borrowed=True, has_free_shape=True):
    """One input, checked, its leading axes broadcast and flattened: a view for one input."""

    input: str


class LoadParameter(SingleResult, is_borrowed=True, has_free_shape=True):
    """A parameter in its declared shape, conjugated where `conjugate` (then a copy)."""

    key: Key
    conjugate: bool = False


class Chunk(Unary):
    """The part of `source` along an axis that an iteration of the loop works on: a view.

    The axis of the result has the length `Loop.part`.
    """

    axis: int


class ConcatChunks(Unary):
    """`torch.cat` along an axis of the `source` of all iterations: a copy, the loop's last step.

    Each iteration appends its `source` to a list; `result` exists after the loop.
    """

    axis: int


class Mask(SingleResult, has_free_shape=True):
    """A constant: 1 for the first `width` entries of a row-major axis, else 0."""

    width: int


class Stack(SingleResult):
    """`torch.stack` of equal tensors along a new first axis: a copy."""

    sources: tuple[Use, ...]


class StackParameters(SingleResult, has_free_shape=True):
    """`torch.stack` of equally shaped parameters, by key, along a new first axis: a copy.

    The keys are mostly runs of one family, sometimes runs of several families one after the other.
    """

    keys: tuple[Key, ...]
    conjugate: bool = False


class Cat(SingleResult):
    """`torch.cat` along the first axis: a copy."""

    sources: tuple[Use, ...]


class View(Unary, is_view=True, has_free_shape=True):
    """`reshape` to the shape of the result where strides allow it without a copy."""


class Copy(Unary, may_alias=True, has_free_shape=True):
    """`reshape` to the shape of the result where strides demand a copy; contiguous."""


class Contiguous(Unary, may_alias=True):
    """`contiguous()` where strides fit no product: a copy."""


class Permute(Unary, is_view=True):
    """`permute`: no copy."""

    order: tuple[int, ...]


class Expand(Unary, is_view=True):
    """`expand` to the shape of the result: no copy.

    Axes of length 1 are repeated, and new axes may come in front, all with stride 0.
    """


class ContiguousGrad(Unary, may_alias=True):
    """The same tensor, whose gradient is made row major in backward: no copy in forward."""


class Slice(Unary, is_view=True):
    """`source[..., start:stop:step, ...]` along an axis: no copy."""

    axis: int
    start: int
    stop: int
    step: int = 1


class Select(Unary, is_view=True):
    """`source.select(axis, position)`: no copy."""

    axis: int
    position: int


class Unbind(Operation, is_view=True):
    """`source.unbind(axis)`: every slice along an axis at once, no copy."""

    results: tuple[Def, ...]
    source: Use
    axis: int


class Split(Operation, is_view=True):
    """`torch.split(source, lengths, axis)`: parts of an axis that make up all of it, no copy.

    Their gradients are joined by one copy. The gradient of a slice would be as large as all of the
    source, zero outside of the slice, and those of several slices would be added up.
    """

    results: tuple[Def, ...]
    source: Use
    axis: int
    lengths: tuple[int, ...]


class Ones(SingleResult, has_free_shape=True):
    """`ones` of the shape of the result: the product of nothing."""


class MatMul(Binary, is_contraction=True, autocasts=True):
    """`left @ right`: `mm` of two matrices, or `bmm` of two equally long stacks of matrices.

    Where one is real and the other complex, the parts of one are multiplied by the real one.

    With a `bias`, which broadcasts to the result, `bias + left @ right`: `addmm` or `baddbmm`. The
    result is contiguous. BLAS takes an operand as it is when one of its last two strides is 1 and
    the other is at least the length across; else the call copies it first.
    """

    bias: Use | None = None


class Multiply(Binary, is_contraction=True, is_elementwise=True):
    """Elementwise product of two values of equal rank, axes of length 1 broadcast."""


class Add(Binary, is_elementwise=True):
    """Elementwise sum of two values of equal rank, axes of length 1 broadcast."""


class Sum(Unary):
    """`source.sum(axes)`."""

    axes: tuple[int, ...]


class IndexSelect(Unary):
    """`source.index_select(0, positions)` with positions known at compile time: a copy."""

    positions: tuple[int, ...]


class UnravelIndex(Unary, is_elementwise=True):
    """`ids // divisor % size`, elementwise on integers."""

    divisor: int
    size: int
    last: bool = False  # the most significant digit needs no remainder


class Arange(SingleResult, has_free_shape=True):
    """`arange(length)` along the first axis of the result, all others of length 1."""

    length: int


class RavelIndex(SingleResult, is_elementwise=True):
    """`major * size + minor`: ids of a flattened axis; equal rank, axes of length 1 broadcast."""

    major: Use
    minor: Use
    size: int


class Embedding(SingleResult):
    """Rows of `table` (its first axis) by flattened ids: `index_select`, then a view: a copy."""

    table: Use
    ids: Use


class Gather(SingleResult):
    """`table.take_along_dim(ids, -1).squeeze(-1)`: one entry of the last axis a position.

    Equal rank, axes of length 1 broadcast; the last axis of `ids` has length 1.
    """

    table: Use
    ids: Use


class OneHot(SingleResult):
    """The one-hot expansion of ids along a new last axis, in the dtype of the parameters."""

    ids: Use
    size: int


class Pad(Unary, has_free_shape=True):
    """Zeros appended along one axis up to the length of the result: a copy."""

    axis: int


class Convolve(SingleResult, is_contraction=True, autocasts=True):
    """`conv1d`, `conv2d` or `conv3d` of a `source` (N, channels, lengths…) and a `weight`.

    Where one is real and the other complex, the parts of one are convolved with the real one.

    The numbers are one for each of the axes convolved along, which may be of kernel length 1. There
    are as many groups as the channels of the source are a multiple of `weight.shape[1]`. That of a
    `transposed` one, `conv_transpose1d` and so on, is (channels, out channels of a group, kernel…).
    The result is row major, or its channels lie innermost: `layout.convolves_channels_last`.
    """

    source: Use
    weight: Use
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()  # of a transposed one
    bias: Use | None = None  # a vector along the channels


class PadBorders(Unary):
    """`pad` of the last axes by entries `before` and `after` each, cut off if negative: a copy.

    `mode` is that of `torch.nn.functional.pad`; all but `constant` (zeros) take a source (N,
    channels, lengths…) and pad its lengths. The result is in the format of the source; a `circular`
    one is row major.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    mode: PadMode


class Crop(Unary, is_view=True):
    """`source` without the first entries `before` and the last ones `after` along an axis."""

    axis: int
    before: int
    after: int


class Times(Unary, is_elementwise=True):
    """A value times an integer: the logarithm of the scale of several equal factors."""

    count: int


class Magnitude(Unary, is_detached=True, is_elementwise=True):
    """A power of two near the largest magnitude over `axes`, which keep the length 1.

    It is a constant for autograd, and a division by it is exact. That of zeros is the smallest
    normal number; that of infinities is infinity.
    """

    axes: tuple[int, ...]


class Divide(Unary, is_elementwise=True):
    """`source / scale`, axes of `scale` of length 1 broadcast; no gradient flows to `scale`.

    The scale is real, also where the source is complex.
    """

    scale: Use


class Log(Unary, is_detached=True, is_elementwise=True):
    """The logarithm of a magnitude, summed over `axes`; in float32 at least."""

    axes: tuple[int, ...]


class Unpack(Unary, has_free_shape=True):
    """Integers of four bits, from -8 to 7, of bytes that hold two each along the last axis.

    The low halves come first, then the high ones: an axis twice as long, in eight bits.
    """


class Dequantize(SingleResult, is_elementwise=True):
    """Integers `codes` times a floating `scale` of equal rank, axes of length 1 broadcast."""

    codes: Use
    scale: Use


Arithmetic = Multiply | Add | Sum | Times | Magnitude | Divide | Log | UnravelIndex | RavelIndex
"""Operations on numbers that are one expression of torch."""


OPERATIONS: tuple[type[Operation], ...] = tuple(
    kind for kind in globals().values()
    if isinstance(kind, type) and issubclass(kind, Operation) and not kind.__subclasses__()
)  # fmt: skip
"""Every operation there is."""
