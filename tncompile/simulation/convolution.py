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

from tncompile.machine.convolution import Convolution, ConvolutionPass, in_blocks
from tncompile.program import operations as op
from tncompile.program.layout import convolves_channels_last, lies_channels_last
from tncompile.program.registry import Registry
from tncompile.simulation import tensors
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Call, Gradients, OpResult
from tncompile.simulation.tensors import Shape, SymbolicTensor

QUARTER = 4
"""The narrowest blocks of channels in groups."""

SCRATCH = 3100
"""Numbers that oneDNN's kernels for channels-last images keep beside their operands."""

CONVOLUTIONS: Registry[OpResult] = Registry()

simulates = CONVOLUTIONS.register


def _sizes(
    source: SymbolicTensor, weight: SymbolicTensor, shape: Shape, operation: op.Convolve
) -> Convolution:
    transposed, channels = operation.transposed, source.shape[1]
    groups = shape[1] // weight.shape[1] if transposed else channels // weight.shape[1]
    each = source.shape[0], groups, channels // groups, shape[1] // groups
    return Convolution(*each, weight.shape[2:], source.shape[2:], shape[2:], transposed)


@dataclass(frozen=True, slots=True)
class _Kernels:
    """One convolution on its kernels: what they copy, allocate and spend."""

    kernels: KernelModel
    sizes: Convolution
    last: bool  # runs with the channels innermost
    onednn: bool
    operation: op.Convolve

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

    def image(self, source: SymbolicTensor) -> SymbolicTensor:
        """The source in the format of the call; along one axis it is made row major in any case."""
        if len(source.shape) > 3:
            return self.formatted(source)
        row_major = self.kernels.contiguous(source)
        image = self.formatted(row_major)
        self.kernels.memory.free(row_major)
        return image

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
            which, sizes, channels_last=self.last, width=self.kernels.width
        )

    def blocked(self, tensor: SymbolicTensor, *, weight: bool = False) -> SymbolicTensor:
        """A copy within the call in which channels lie in blocks, padded to whole ones."""
        groups, width = self.sizes.groups, tensor.width
        one, other, *lengths = tensor.shape
        padded = math.prod(lengths)
        if weight and groups > 1:
            depthwise = tensor.shape[0] == groups and other == 1
            padded *= in_blocks(one) if depthwise else one * other
        elif weight:
            padded *= in_blocks(one) * in_blocks(other)
        else:
            padded *= one * (in_blocks(other) if groups == 1 or other == groups else other)
        return self.kernels.scratch((padded,), width)

    def dense(
        self, blocked: SymbolicTensor, shape: Shape, *, twice: bool = False
    ) -> SymbolicTensor:
        """A blocked result in row-major order, for some kernels by way of another copy."""
        if twice:
            self.kernels.memory.free(self.kernels.scratch(shape, blocked.width))
        result = self.kernels.new(shape)
        if twice:
            self.scratch(result.count)
        self.kernels.memory.free(blocked)
        return result

    def scratch(self, numbers: int) -> None:
        """Memory that a kernel uses for itself."""
        self.kernels.memory.free(self.kernels.scratch((numbers,), self.kernels.width))

    @property
    def by_columns(self) -> bool:
        """Whether oneDNN multiplies matrices itself: row-major images in groups of odd channels."""
        odd = self.sizes.summed % QUARTER or self.sizes.columns % QUARTER
        return self.sizes.groups > 1 and not self.sizes.depthwise and bool(odd) and not self.last

    @property
    def thread_columns(self) -> int:
        """Entries of the images that all threads copy at a time for their products."""
        return self.kernels.profile.threads * self.sizes.column_entries

    def forward(
        self, source: SymbolicTensor, weight: SymbolicTensor, shape: Shape
    ) -> SymbolicTensor:
        """The result."""
        self.count("forward", source.bytes + weight.bytes + math.prod(shape) * source.width)
        if not self.onednn:
            result = self.new(shape)
            self._columns(self._images)
            return result
        if self.last:
            result = self.new(shape)
            copy = self.blocked(weight, weight=True)
            self.scratch(0 if self.sizes.depthwise else SCRATCH)
            self.kernels.memory.free(copy)
            return result
        if self.by_columns:
            made = self.kernels.scratch(shape, source.width)
            self.scratch(self.thread_columns)
            return self.dense(made, shape)
        temporary = [self.blocked(source), self.blocked(weight, weight=True)]
        made = self.blocked(source.as_strided(shape, _strides(shape, last=False)))
        self._free(temporary)
        strided = self.sizes.transposed and max(self.operation.stride) > 1
        deep = self.sizes.depthwise and len(self.sizes.kernel) > 2
        return self.dense(made, shape, twice=strided or deep)

    @property
    def _images(self) -> int:
        """How many images torch copies at a time for a product of matrices."""
        one_by_one = max(self.operation.dilation) > 1 or self.sizes.transposed
        return 1 if one_by_one else self.sizes.rows

    def _columns(self, images: int) -> None:
        operation = self.operation
        moved = max(operation.stride) > 1 or max(operation.padding) > 0 or operation.transposed
        if moved or math.prod(self.sizes.kernel) > 1:
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
        if self.by_columns or (self.sizes.depthwise and len(self.sizes.kernel) > 2):
            made = self.kernels.scratch(source.shape, source.width)
            self.scratch(self.thread_columns)
            return self.dense(made, source.shape)
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
            self._columns(self._images)
            return result
        plain = self.by_columns or (self.sizes.depthwise and len(self.sizes.kernel) > 2)
        temporary = [] if self.last or plain else [self.blocked(gradient), self.blocked(source)]
        made = self.blocked(weight, weight=True)
        if plain:
            self.scratch(self.thread_columns)
        elif self.sizes.groups == 1:  # each thread but the first sums up in memory of its own
            self.scratch(made.count * (self.kernels.profile.threads - 1) + SCRATCH)
        self._free(temporary)
        dense = self.dense(made, weight.shape)
        result = self.formatted(dense)
        self.kernels.memory.free(dense)
        return result

    def _free(self, temporary: list[SymbolicTensor]) -> None:
        for tensor in temporary:
            self.kernels.memory.free(tensor)


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
    pairs = zip(operation.output_padding, operation.stride, strict=bool(operation.output_padding))
    long_ends = any(end >= step for end, step in pairs)  # oneDNN takes no such output padding
    onednn = not long_ends and sizes.in_onednn(kernels.width, kernels.profile.threads)
    last = convolves_channels_last(source.shape, source.strides, weight.shape, weight.strides)
    last = last and (onednn or len(sizes.kernel) < 3)
    convolution = _Kernels(kernels, sizes, last, onednn, operation)
    kernels.call()
    image, factor = convolution.image(source), convolution.formatted(weight)
    result = convolution.forward(image, factor, shape)
    for tensor in (image, factor):
        kernels.memory.free(tensor)
    if bias:  # added by the kernel itself
        kernels.work.flops += result.count

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        image, factor = convolution.image(source), convolution.formatted(weight)
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

    kept = () if circular or constant else (source,)
    return OpResult(result, backward, kept)


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
