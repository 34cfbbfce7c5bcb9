"""The convolution of torch that a network with windows is like, its kernel materialized."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tncompile.network.model import TensorNetwork
from tncompile.network.windows import Window
from tncompile.program.operation import Operation
from tncompile.program.operations import Convolve, PadBorders, PadMode
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Call, OpResult
from tncompile.simulation.tape import SIMULATED
from tncompile.simulation.tensors import Shape, SymbolicTensor

ConvolutionKind = Literal[
    "nn.Conv1d",
    "nn.Conv2d",
    "nn.Conv3d",
    "nn.ConvTranspose1d",
    "nn.ConvTranspose2d",
    "nn.ConvTranspose3d",
]

KINDS: tuple[tuple[ConvolutionKind, ...], tuple[ConvolutionKind, ...]] = (
    ("nn.Conv1d", "nn.Conv2d", "nn.Conv3d"),
    ("nn.ConvTranspose1d", "nn.ConvTranspose2d", "nn.ConvTranspose3d"),
)
"""Layers by the number of windows: first plain ones, then transposed ones."""


@dataclass(frozen=True, slots=True)
class ConvolutionTwin:
    """`nn.ConvNd` or `nn.ConvTransposeNd` with the input, the output and the windows of a network.

    Indices that input, kernel and output share are groups. Where the layer cannot pad or cut off as
    the windows say, that is done before or after it.
    """

    windows: tuple[Window, ...]
    in_channels: int
    out_channels: int
    groups: int
    bias: bool
    samples: int  # the product of all leading sizes
    lengths: Shape  # of the input

    @property
    def transposed(self) -> bool:
        """Whether it is a transposed convolution."""
        return self.windows[0].transposed

    @property
    def kind(self) -> ConvolutionKind:
        """The name of the layer."""
        return KINDS[self.transposed][len(self.windows) - 1]

    @property
    def kernel(self) -> Shape:
        """The lengths of the kernel."""
        return tuple(window.size for window in self.windows)

    @property
    def weight(self) -> int:
        """The number of elements of the kernel."""
        return self.in_channels * self.out_channels // self.groups * math.prod(self.kernel)

    @property
    def weight_shape(self) -> Shape:
        """The shape of the kernel, as the layer has it."""
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel)

    @property
    def before(self) -> tuple[Shape, PadMode] | None:
        """Entries that are appended in front of the call and behind, pairs, by axis."""
        pairs = [(0, 0) if w.padding is not None else (w.left, w.right) for w in self.windows]
        if not any(map(sum, pairs)):
            return None
        mode = next(w.mode for w, pair in zip(self.windows, pairs, strict=True) if any(pair))
        flat = tuple(entries for pair in pairs for entries in pair)
        return flat, "constant" if mode == "zeros" else mode

    @property
    def padded(self) -> Shape:
        """The lengths of what the call is given."""
        pads = self.before[0] if self.before else (0,) * 2 * len(self.windows)
        return tuple(n + pads[2 * k] + pads[2 * k + 1] for k, n in enumerate(self.lengths))

    @property
    def padding(self) -> Shape:
        """The padding of the call."""
        return tuple(window.padding or 0 for window in self.windows)

    @property
    def output_padding(self) -> Shape:
        """The output padding of a transposed one."""
        return tuple(max(0, window.output_padding) for window in self.windows)

    @property
    def results(self) -> Shape:
        """The lengths of the output."""
        pairs = zip(self.windows, self.lengths, strict=True)
        return tuple(window.output_length(length) for window, length in pairs)

    @property
    def made(self) -> Shape:
        """The lengths of what the call returns, from which entries may be cut off."""
        pairs = zip(self.windows, self.results, strict=True)
        return tuple(length + sum(window.crop) for window, length in pairs)

    def largest(self, *, training: bool) -> int:
        """Elements of the largest tensor: the kernel, the input, the output or a gradient."""
        image = self.in_channels * math.prod(self.padded)
        result = self.out_channels * math.prod(self.made)
        return max(self.weight, self.samples * max(image, result))

    def flops(self, *, training: bool) -> int:
        """The operations of a forward pass or of a training step, without biases."""
        positions = math.prod(self.lengths if self.transposed else self.results)
        return 2 * self.samples * positions * self.weight * (3 if training else 1)


def convolution_twin(
    network: TensorNetwork, sizes: Mapping[str, int], features: tuple[int, int], bias: bool
) -> ConvolutionTwin | str:
    """The convolution that a network of one input is like, or why there is none.

    `features` are the channels of input and output.
    """
    windows = network.windows
    if len(windows) > len(KINDS[0]):
        return "torch convolves along three axes at most"
    if len({window.transposed for window in windows}) > 1:
        return "some of its windows are transposed, and others are not"
    if len({window.mode for window in windows if window.padding is None}) > 1:
        return "its windows pad in several modes"
    groups = shared_features(network)
    if any(channels % groups for channels in features):  # `as` cuts a group
        groups = 1
    return ConvolutionTwin(
        windows,
        *features,
        groups,
        bias,
        math.prod(size for name, size in sizes.items() if _leads(network, name)),
        tuple(sizes[window.input_leg] for window in windows),
    )


def shared_features(network: TensorNetwork) -> int:
    """The product of the indices that an input and the output share: groups of channels."""
    shared = {leg for each in network.inputs for axis in each.axes for leg in axis.indices}
    shared &= set(network.output.legs)
    return math.prod(network.index[leg].size or 1 for leg in shared)


def _leads(network: TensorNetwork, name: str) -> bool:
    index = network.index.get(name)
    return index is not None and index.kind in ("batch", "dots")


def _negative(numbers: Shape) -> Shape:
    return tuple(-number for number in numbers)


# ── one run ─────────────────────────────────────────────────────────────────────────────────────


def run_convolution(kernels: KernelModel, twin: ConvolutionTwin, training: bool) -> None:
    """One run of the layer on a row-major input; in training with gradients of all it reads."""
    image = kernels.memory.new((twin.samples, twin.in_channels, *twin.lengths), 4)
    operands = [image, kernels.memory.new(twin.weight_shape, 4)]
    if twin.bias:
        operands.append(kernels.memory.new((twin.out_channels,), 4))
    kernels.begin_forward()
    kernels.recording = training
    calls: list[OpResult] = []

    def run(operation: Operation, operands: list[SymbolicTensor], shape: Shape) -> SymbolicTensor:
        call = Call(kernels, operands, (training,) * len(operands), shape)
        calls.append(SIMULATED[type(operation)](call, operation))
        for tensor in calls[-1].saved if training else ():
            kernels.memory.keep(tensor)
        return calls[-1].result

    if twin.before is not None:
        pads, mode = twin.before
        borders = PadBorders("padded", "x", pads[::2], pads[1::2], mode)
        operands[0] = run(borders, operands[:1], (*image.shape[:2], *twin.padded))
    convolve = Convolve(
        "y",
        "x",
        "weight",
        stride=tuple(window.stride for window in twin.windows),
        padding=twin.padding,
        dilation=tuple(window.dilation for window in twin.windows),
        transposed=twin.transposed,
        output_padding=twin.output_padding if twin.transposed else (),
        bias="bias" if twin.bias else None,
    )
    result = run(convolve, operands, (twin.samples, twin.out_channels, *twin.made))
    if operands[0] is not image:
        kernels.memory.free(operands[0])
    if any(any(window.crop) for window in twin.windows):
        before, after = zip(*(window.crop for window in twin.windows), strict=True)
        cut = PadBorders("cut", "y", _negative(before), _negative(after), "constant")
        whole, result = result, run(cut, [result], (*result.shape[:2], *twin.results))
        kernels.memory.free(whole)
    if not training:
        return
    kernels.begin_backward()
    gradient = kernels.memory.received(result.shape, 4)
    for outcome in reversed(calls):
        gradient, *others = (sent for sent in outcome.backward(gradient) if sent is not None)
        for tensor in outcome.saved:
            kernels.memory.free(tensor)
        for _ in others:
            kernels.work.spend(kernels.profile.gradient)
