"""The cost of convolutions and borders, and of their derivatives: rules as those in `rules`.

On a CPU most convolutions run in oneDNN, which takes and gives row-major or channels-last tensors.
It copies row-major ones to blocks of channels and back within the call. Small ones, and those in
double precision, are matrix products on a copy of the image with an entry for every multiply-add of
a channel (`im2col`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tncompile.machine.profile import ConvolutionPass
from tncompile.program import operations as op
from tncompile.program.layout import convolves_channels_last, lies_channels_last
from tncompile.program.registry import Registry
from tncompile.simulation import tensors
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Call, Gradients, OpResult
from tncompile.simulation.tensors import Shape, SymbolicTensor

BLOCK = 16
"""Channels that lie together in the blocked format of oneDNN."""

SMALL_IMAGE = 20480
"""Numbers of a single image up to which torch multiplies matrices instead of calling oneDNN."""

CONVOLUTIONS: Registry[OpResult] = Registry()

simulates = CONVOLUTIONS.register


@dataclass(frozen=True, slots=True)
class Convolution:
    """The sizes of a convolution, in whatever format its operands are."""

    rows: int
    groups: int
    summed: int  # channels of the source of a group
    columns: int  # channels of the result of a group
    kernel: Shape
    lengths_in: Shape
    lengths_out: Shape
    strided: bool
    dilated: bool
    padded: bool
    transposed: bool
    long_ends: bool  # a transposed one with more output padding than torch's kernels take

    @property
    def multiply_adds(self) -> int:
        """The products that are added up."""
        positions = math.prod(self.lengths_in if self.transposed else self.lengths_out)
        channels = self.groups * self.summed * self.columns
        return self.rows * channels * math.prod(self.kernel) * positions

    @property
    def column_entries(self) -> int:
        """The entries of one image copied for a product of matrices, a group at a time."""
        if self.transposed:
            return self.columns * math.prod((*self.kernel, *self.lengths_in))
        return self.summed * math.prod((*self.kernel, *self.lengths_out))

    def in_onednn(self, width: int, threads: int) -> bool:
        """Whether torch calls oneDNN (`ConvParams::use_mkldnn` of its `Convolution.cpp`)."""
        if width != 4 or self.long_ends:
            return False
        kernel = (1, *self.kernel)[-2:]
        numbers = self.rows * self.groups * self.summed * math.prod((1, *self.lengths_in)[-2:][:2])
        if len(self.kernel) == 3:
            numbers = self.rows * self.groups * self.summed * math.prod(self.lengths_in[:2])
        large = self.groups > 1 or min(kernel) > 3 or self.rows > 1 or numbers > SMALL_IMAGE
        several = self.strided or self.dilated or self.rows >= 16 or kernel != (1, 1) or threads > 1
        return large and several


def _sizes(
    source: SymbolicTensor, weight: SymbolicTensor, shape: Shape, operation: op.Convolve
) -> Convolution:
    transposed, channels = operation.transposed, source.shape[1]
    groups = shape[1] // weight.shape[1] if transposed else channels // weight.shape[1]
    pairs = zip(operation.output_padding, operation.stride, strict=bool(operation.output_padding))
    return Convolution(
        source.shape[0],
        groups,
        channels // groups,
        shape[1] // groups,
        weight.shape[2:],
        source.shape[2:],
        shape[2:],
        strided=max(operation.stride) > 1,
        dilated=max(operation.dilation) > 1,
        padded=max(operation.padding) > 0,
        transposed=transposed,
        long_ends=any(end >= stride for end, stride in pairs),
    )


@dataclass(frozen=True, slots=True)
class _Kernels:
    """One convolution on its kernels: what they copy, allocate and spend."""

    kernels: KernelModel
    sizes: Convolution
    last: bool  # runs with the channels innermost
    onednn: bool

    def formatted(self, tensor: SymbolicTensor) -> SymbolicTensor:
        """The tensor in the format of the call: itself, or a copy."""
        due = _strides(tensor.shape, last=self.last)
        pairs = zip(tensor.strides, due, tensor.shape, strict=True)
        if all(own == wanted or length == 1 for own, wanted, length in pairs):
            return self.kernels.memory.keep(tensor)
        copy = self.kernels.new(tensor.shape, tensor.width, due)
        self.kernels.copied(copy, tensors.shared_run(tensor, due))
        self.kernels.inner_call()
        return copy

    def new(self, shape: Shape) -> SymbolicTensor:
        """A result in the format of the call."""
        return self.kernels.new(shape, strides=_strides(shape, last=self.last))

    def count(self, which: ConvolutionPass, moved: int) -> None:
        """The work of one pass, which reads and writes so many bytes."""
        work, sizes = self.kernels.work, self.sizes
        work.multiply_adds += sizes.multiply_adds
        work.flops += 2 * sizes.multiply_adds
        work.moved += moved
        work.seconds += self.kernels.profile.convolution_seconds(
            which,
            rows=sizes.rows,
            groups=sizes.groups,
            summed=sizes.summed,
            columns=sizes.columns,
            kernel=sizes.kernel,
            lengths_in=sizes.lengths_in,
            lengths_out=sizes.lengths_out,
            channels_last=self.last,
            transposed=sizes.transposed,
            width=self.kernels.width,
        )

    def blocked(self, tensor: SymbolicTensor, *, weight: bool = False) -> SymbolicTensor:
        """A copy within the call in which channels lie in blocks, padded to whole ones."""
        groups, width = self.sizes.groups, tensor.width
        one, other, *lengths = tensor.shape
        padded = math.prod(lengths)
        if weight and groups > 1:
            depthwise = tensor.shape[0] == groups and other == 1
            padded *= _whole(one) if depthwise else one * other
        elif weight:
            padded *= _whole(one) * _whole(other)
        else:
            padded *= one * (_whole(other) if groups == 1 or other == groups else other)
        return self.kernels.memory.new((padded,), width)

    def dense(self, blocked: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        """A blocked result in row-major order."""
        result = self.kernels.new(shape)
        self.kernels.memory.free(blocked)
        return result

    def forward(
        self, source: SymbolicTensor, weight: SymbolicTensor, shape: Shape
    ) -> SymbolicTensor:
        """The result."""
        self.count("forward", source.bytes + weight.bytes + math.prod(shape) * source.width)
        if not self.onednn:
            result = self.new(shape)
            images = 1 if self.sizes.dilated or self.sizes.transposed else self.sizes.rows
            self._columns(images)
            return result
        if self.last:
            result = self.new(shape)
            self.kernels.memory.free(self.blocked(weight, weight=True))
            return result
        temporary = [self.blocked(source), self.blocked(weight, weight=True)]
        made = self.blocked(source.as_strided(shape, _strides(shape, last=False)))
        self._free(temporary)
        return self.dense(made, shape)

    def _columns(self, images: int) -> None:
        plain = math.prod(self.sizes.kernel) == 1
        if not plain or self.sizes.strided or self.sizes.padded or self.sizes.transposed:
            columns = self.kernels.new((images * self.sizes.column_entries,))
            self.kernels.memory.free(columns)

    def to_source(
        self, gradient: SymbolicTensor, source: SymbolicTensor, weight: SymbolicTensor
    ) -> SymbolicTensor:
        """The gradient of the source."""
        self.count("input", gradient.bytes + weight.bytes + source.bytes)
        if not self.onednn:
            return self.new(source.shape)
        if self.last:
            result = self.new(source.shape)
            self.kernels.memory.free(self.blocked(weight, weight=True))
            return result
        temporary = [self.blocked(gradient), self.blocked(weight, weight=True)]
        made = self.blocked(source)
        self._free(temporary)
        return self.dense(made, source.shape)

    def to_weight(
        self, gradient: SymbolicTensor, source: SymbolicTensor, weight: SymbolicTensor
    ) -> SymbolicTensor:
        """The gradient of the weight."""
        self.count("weight", gradient.bytes + source.bytes + weight.bytes)
        if not self.onednn:
            result = self.new(weight.shape)
            self._columns(1)
            return result
        temporary = [] if self.last else [self.blocked(gradient), self.blocked(source)]
        made = self.blocked(weight, weight=True)
        self._free(temporary)
        dense = self.dense(made, weight.shape)
        result = self.formatted(dense)
        self.kernels.memory.free(dense)
        return result

    def _free(self, temporary: list[SymbolicTensor]) -> None:
        for tensor in temporary:
            self.kernels.memory.free(tensor)


def _whole(channels: int) -> int:
    """As many channels as whole blocks hold."""
    return -(-channels // BLOCK) * BLOCK


def _strides(shape: Shape, *, last: bool) -> Shape:
    """The strides of (N, channels, lengths…) in one of the two formats."""
    if not last:
        return tensors.contiguous_strides(shape)
    rows, *lengths, channels = tensors.contiguous_strides((shape[0], *shape[2:], shape[1]))
    return (rows, channels, *lengths)


@simulates(op.Convolve)
def _convolve(call: Call, operation: op.Convolve) -> OpResult:
    if any(map(call.kernels.is_complex, call.operands)):
        return _of_parts(call, operation)
    return _real(call, operation)


def _of_parts(call: Call, operation: op.Convolve) -> OpResult:
    """A convolution of complex numbers: three of their parts, or two where one operand is real."""
    kernels, width = call.kernels, call.kernels.width
    wide = [kernels.is_complex(operand) for operand in call.operands]
    times = 3 if all(wide[:2]) else 2
    parts = [replace(operand, width=width) for operand in call.operands]

    def repeated(convolve: Callable[[], OpResult | Gradients]) -> OpResult | Gradients:
        before = replace(kernels.work)
        copies = [kernels.new(part.shape) for part, each in zip(parts, wide, strict=True) if each]
        for copy in copies:
            kernels.copied(copy, 1)
        result = convolve()
        kernels.work.repeat(before, times)
        for copy in copies:
            kernels.memory.free(copy)
        return result

    def joined(part: SymbolicTensor) -> SymbolicTensor:
        other = kernels.new(part.shape, strides=part.strides)
        result = kernels.new(part.shape, 2 * width, part.strides)
        kernels.stream(part, other, result)
        for tensor in (part, other):
            kernels.memory.free(tensor)
        return result

    real = Call(kernels, parts, call.requires_grad, call.shape)
    outcome = repeated(lambda: _real(real, operation))
    assert isinstance(outcome, OpResult)

    def backward(gradient: SymbolicTensor) -> Gradients:
        part = replace(gradient, width=width)
        held = [kernels.new(gradient.shape)]  # a part of it, which lies apart
        kernels.copied(held[0], 1)
        # The gradient of a real operand is the sum of those that the parts of the other one give.
        single = zip(call.operands, wide, call.requires_grad, strict=True)
        held += [kernels.new(k.shape) for k, each, needed in single if needed and not each]
        sent = repeated(lambda: outcome.backward(part))
        assert isinstance(sent, list)
        for tensor in held:
            kernels.memory.free(tensor)
        pairs = zip(sent, wide, strict=True)
        return [joined(k) if k is not None and each else k for k, each in pairs]

    return OpResult(joined(outcome.result), backward, tuple(call.operands[:2]))


def _real(call: Call, operation: op.Convolve) -> OpResult:
    kernels, shape = call.kernels, call.shape
    source, weight, *bias = call.operands
    sizes = _sizes(source, weight, shape, operation)
    onednn = sizes.in_onednn(kernels.width, kernels.profile.threads)
    last = convolves_channels_last(source.shape, source.strides, weight.shape, weight.strides)
    last = last and (onednn or len(sizes.kernel) < 3)
    convolution = _Kernels(kernels, sizes, last, onednn)
    kernels.call()
    image, factor = convolution.formatted(source), convolution.formatted(weight)
    result = convolution.forward(image, factor, shape)
    for tensor in (image, factor):
        kernels.memory.free(tensor)
    if bias:  # added by the kernel itself
        kernels.work.flops += result.count

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        image, factor = convolution.formatted(source), convolution.formatted(weight)
        arrived = convolution.formatted(gradient)
        kernels.noncontiguous_gradient = not last and arrived.allocation is not gradient.allocation
        sent: Gradients = [None] * len(call.operands)
        if call.requires_grad[0]:
            sent[0] = convolution.to_source(arrived, image, factor)
        if any(call.requires_grad[1:]):
            to_weight = convolution.to_weight(arrived, image, factor)
            if call.requires_grad[1]:
                sent[1] = to_weight
            else:
                kernels.memory.free(to_weight)
        if bias and call.requires_grad[2]:
            sent[2] = kernels.new(bias[0].shape)
            kernels.work.flops += gradient.count
        for tensor in (arrived, factor, image):
            kernels.memory.free(tensor)
        return sent

    return OpResult(result, backward, (source, weight))


# ── borders ─────────────────────────────────────────────────────────────────────────────────────


@simulates(op.PadBorders)
def _pad_borders(call: Call, operation: op.PadBorders) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    kernels.call()
    circular, constant = operation.mode == "circular", operation.mode == "constant"
    last = not circular and lies_channels_last(source.shape, source.strides)
    read = source
    result = kernels.new(call.shape, source.width, _strides(call.shape, last=last))
    if not circular and not constant and not last:
        read = kernels.contiguous(source)
        kernels.memory.free(read)
    kernels.copied(result, tensors.shared_run(source, _strides(source.shape, last=last)))

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        if circular:
            return [_unwrapped(kernels, gradient, source.shape)]
        to_source = kernels.new(source.shape, strides=_strides(source.shape, last=last))
        if not constant and not last:
            kernels.memory.free(kernels.contiguous(gradient))
        kernels.copied(to_source)
        if not constant:  # zeros first, to which entries are added
            kernels.stream(to_source, flops=gradient.count)
        return [to_source]

    return OpResult(result, backward)


def _unwrapped(kernels: KernelModel, gradient: SymbolicTensor, shape: Shape) -> SymbolicTensor:
    """The gradient of what was padded as a circle, which autograd undoes slice by slice."""
    copies = [kernels.new(gradient.shape) for _ in range(2)]
    result = kernels.new(shape)
    for _ in range(3):
        for _ in range(4):
            kernels.inner_call()
        kernels.stream(gradient, copies[0])
        kernels.stream(copies[0], copies[1], flops=gradient.count)
    for tensor in copies:
        kernels.memory.free(tensor)
    return result
