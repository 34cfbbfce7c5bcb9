"""Predicted seconds of convolutions, from a few costs for each kernel, format and pass.

What governs the time on a CPU is how many multiply-adds there are once the channels of the result
fill whole blocks, how many short sums they form, what is read and written, and how many numbers the
weight has, which is brought into another order in every call.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from tncompile.machine.grid import LARGEST, STRICT

ConvolutionPass = Literal["forward", "input", "weight"]
"""A convolution, the gradient of its input or that of its weight."""

ConvolutionKernel = Literal["dense", "grouped", "depthwise", "other depthwise", "columns"]
"""How a convolution is computed.

dense            all channels at once, or in groups of whole blocks of channels
grouped          in groups of other numbers of channels
depthwise        each channel by itself
other depthwise  the same where oneDNN has no kernel of its own for it
columns          as a product of matrices, on an image that is copied for each entry of the kernel
"""

PASSES: tuple[ConvolutionPass, ...] = get_args(ConvolutionPass)

MIRRORED: dict[ConvolutionPass, ConvolutionPass] = {
    "forward": "input",
    "input": "forward",
    "weight": "weight",
}
"""Which pass of the convolution that it mirrors computes each pass of a transposed one."""

BLOCK = 16
"""Channels that oneDNN computes at a time, and that lie together in its blocked format."""

SMALL_IMAGE = 20480
"""Numbers of a single image up to which torch multiplies matrices instead of calling oneDNN."""

WIDEST = 3
"""The longest row of a depthwise kernel whose gradient oneDNN has a kernel for."""


@dataclass(frozen=True, slots=True)
class Convolution:
    """The sizes of a convolution, in whatever format its operands are.

    It takes `rows` images of `groups` · `summed` channels to `groups` · `columns` channels.
    """

    rows: int
    groups: int
    summed: int
    columns: int
    kernel: tuple[int, ...]
    lengths_in: tuple[int, ...]
    lengths_out: tuple[int, ...]
    transposed: bool = False

    @property
    def multiply_adds(self) -> int:
        """The products that are added up, those with padding included."""
        positions = math.prod(self.lengths_in if self.transposed else self.lengths_out)
        channels = self.groups * self.summed * self.columns
        return self.rows * channels * math.prod(self.kernel) * positions

    @property
    def column_entries(self) -> int:
        """The entries of one image copied for a product of matrices, a group at a time."""
        if self.transposed:
            return self.columns * math.prod((*self.kernel, *self.lengths_in))
        return self.summed * math.prod((*self.kernel, *self.lengths_out))

    @property
    def numbers(self) -> int:
        """Those of the image and of the result."""
        image = self.groups * self.summed * math.prod(self.lengths_in)
        return self.rows * (image + self.groups * self.columns * math.prod(self.lengths_out))

    def streamed(self, channels_last: bool, width: int) -> float:
        """Bytes of image and result that a call goes through; it copies row-major ones."""
        return self.numbers * width * (1.0 if channels_last else 2.0)

    @property
    def depthwise(self) -> bool:
        """Whether each channel is convolved by itself."""
        return self.groups > 1 and self.summed == self.columns == 1

    @property
    def mirrored(self) -> Convolution:
        """The convolution whose gradient of the input a transposed one is."""
        return Convolution(
            self.rows,
            self.groups,
            self.columns,
            self.summed,
            self.kernel,
            self.lengths_out,
            self.lengths_in,
        )

    def in_onednn(self, width: int, threads: int) -> bool:
        """Whether torch calls oneDNN on a CPU (`use_mkldnn` in its `Convolution.cpp`).

        `width` is the bytes of a number.
        """
        if width != 4:
            return False
        kernel, lengths = (1, *self.kernel)[-2:], (1, *self.lengths_in)
        first = lengths[2 - len(self.kernel) :] if len(self.kernel) < 3 else self.lengths_in
        numbers = self.rows * self.groups * self.summed * math.prod(first[:2])
        large = self.groups > 1 or min(kernel) > 3 or self.rows > 1 or numbers > SMALL_IMAGE
        if not large or threads > 1 or self.rows >= 16 or kernel != (1, 1):
            return large
        return self.lengths_in != self.lengths_out


@dataclass(frozen=True, slots=True)
class ConvolutionCost:
    """Seconds of convolutions by one kernel, in one format, in one pass.

    They are those of a call beside its work and those of each of what `amounts` counts.
    """

    kernel: ConvolutionKernel
    channels_last: bool
    which: ConvolutionPass
    start: float
    product: float
    short_sum: float
    number: float
    weight: float

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    def __post_init__(self) -> None:
        if not all(0 <= figure <= LARGEST for figure in self.figures):
            raise ValueError("its figures must be positive numbers")

    @property
    def figures(self) -> tuple[float, ...]:
        """The seconds of each of the `amounts`."""
        return self.start, self.product, self.short_sum, self.number, self.weight

    def seconds(self, amounts: tuple[float, ...]) -> float:
        """The seconds of a convolution of these amounts."""
        return sum(figure * amount for figure, amount in zip(self.figures, amounts, strict=True))


def expected_costs(*, columns: bool) -> set[tuple[ConvolutionKernel, bool, ConvolutionPass]]:
    """Kernel, format and pass of each cost that a profile has; `columns` are those of CPUs."""
    kernels: tuple[ConvolutionKernel, ...] = get_args(ConvolutionKernel)
    return {
        (kernel, last, which)
        for kernel in kernels
        for last in (False, True)
        for which in PASSES
        if (columns or kernel != "columns") and (kernel != "other depthwise" or which != "forward")
    }


def kernel_for(sizes: Convolution, which: ConvolutionPass, onednn: bool) -> ConvolutionKernel:
    """The kernel that computes a pass of a convolution that is not transposed."""
    if not onednn:
        return "columns"
    if not sizes.depthwise:
        whole = sizes.summed % BLOCK == sizes.columns % BLOCK == 0
        return "dense" if sizes.groups == 1 or whole else "grouped"
    wide = which == "weight" and sizes.kernel[-1] > WIDEST
    three = which != "forward" and len(sizes.kernel) > 2
    return "other depthwise" if wide or three else "depthwise"


def amounts(
    sizes: Convolution, which: ConvolutionPass, kernel: ConvolutionKernel
) -> tuple[float, ...]:
    """What a pass of a convolution that is not transposed consists of.

    One call; multiply-adds, with channels of the result in whole blocks; sums over the channels of
    a group alone, but for `dense` entries of the copied image; numbers of image and result; those
    of the weight.
    """
    positions = sizes.rows * math.prod(sizes.lengths_out)
    area, numbers = math.prod(sizes.kernel), sizes.numbers
    weight = sizes.groups * sizes.summed * sizes.columns * area
    if kernel in ("depthwise", "other depthwise"):
        wide = in_blocks(sizes.groups) / sizes.groups
        return 1, wide * positions * sizes.groups * area, 0, wide * numbers, 0
    entries = positions * sizes.groups * sizes.summed * area
    if kernel == "columns":
        return 1, sizes.multiply_adds, entries, numbers, weight
    summed, columns = sizes.summed, sizes.columns
    if which == "input":
        summed, columns = columns, summed
    sums = positions * area * sizes.groups * in_blocks(columns)
    return 1, sums * summed, sums if kernel == "dense" else entries, numbers, weight


def in_blocks(channels: int) -> int:
    """As many channels as whole blocks hold."""
    return -(-channels // BLOCK) * BLOCK
