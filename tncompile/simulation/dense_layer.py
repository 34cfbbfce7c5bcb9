"""The dense map that a network stands for, and the layer of torch that computes it.

`dense_twin` says which layer that is or why there is none, for costs, crossings and
`tncompile explain-slow` alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from tncompile.machine.profile import MachineProfile
from tncompile.network.features import DENSE_LIMIT
from tncompile.network.model import Axis, Input, Output, TensorNetwork
from tncompile.program.operation import Operation
from tncompile.program.operations import IndexSelect, MatMul
from tncompile.simulation.dense_convolution import (
    ConvolutionKind,
    ConvolutionTwin,
    convolution_twin,
    run_convolution,
    shared_features,
)
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.rules import Call
from tncompile.simulation.tape import SIMULATED
from tncompile.simulation.tensors import SymbolicTensor

Kind = Literal["nn.Linear", "nn.Bilinear", "nn.Embedding"] | ConvolutionKind


@dataclass(frozen=True, slots=True)
class Run:
    """The predicted seconds and peak bytes of one run of the dense layer."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Twin:
    """A layer of torch with the inputs and the output of a network, and one dense weight."""

    kind: Kind
    in_features: tuple[int, ...]  # of each input; of ids their number
    out_features: int
    bias: bool
    samples: int  # the product of all run-time sizes

    @property
    def weight(self) -> int:
        """The number of elements of the weight."""
        return math.prod(self.in_features) * self.out_features

    def largest(self, *, training: bool) -> int:
        """Elements of the largest tensor: the weight, an input, the output or a gradient."""
        widest = 1 if self.kind == "nn.Embedding" else max(self.in_features)
        if training and self.kind == "nn.Bilinear":
            widest = math.prod(self.in_features)
        return max(self.weight, widest * self.samples, self.out_features * self.samples)

    def flops(self, *, training: bool) -> int:
        """The operations of a forward pass or of a training step, without biases.

        A training step computes the gradients of the inputs, as it does in the middle of a model.
        """
        if self.kind == "nn.Embedding":
            return 0
        if self.kind == "nn.Linear":
            return 2 * self.samples * self.weight * (3 if training else 1)
        # Each output o forms x · W[o] and multiplies its rows by those of z. In backward, W meets x
        # once and z once, and is itself repeated over the batch.
        first, second = self.in_features
        flops = 2 * first * second + 2 * second
        if training:
            flops += 7 * first * second + first + second
        return self.samples * self.out_features * flops


DenseTwin = Twin | ConvolutionTwin


def dense_parameters(network: TensorNetwork) -> int:
    """The number of elements of the dense map that a network stands for, weight and bias.

    The weight has the product of the features of all inputs and of the output: that of the twin
    where there is one, of a multilinear map for more inputs or slices, of the tensor without any.
    With windows it is the kernel of a convolution, in as many groups as the input and the output
    share indices for.
    """
    inputs = math.prod(_features(network, each) ** _slices(each) for each in network.inputs)
    outputs = _features(network, network.output)
    weight = int(inputs) * outputs
    if network.windows:
        kernel = math.prod(window.size for window in network.windows)
        weight = weight // shared_features(network) * kernel
    return weight + (outputs if network.biases else 0)


def dense_twin(network: TensorNetwork, sizes: Mapping[str, int]) -> DenseTwin | str:
    """The layer of torch that is like the network, or why there is none.

    One input of ids is that of `nn.Embedding`, one of numbers that of `nn.Linear`, two of numbers
    with the same leading axes those of `nn.Bilinear`; one with windows is that of `nn.Conv2d` and
    its like.
    """
    inputs = network.inputs
    if not inputs:
        return "the block has no input"
    if network.output.log:
        return "no layer of torch returns the logarithm of a product"
    for each in inputs:
        if (slices := _slices(each)) > 1:
            dense = f"a dense map of the {slices:,} slices of `{each.name}`"
            return f"{dense} would be multilinear, and torch has no such layer"
    ids = [each for each in inputs if each.integer]
    if len(inputs) > 2:
        return f"torch has no layer of {len(inputs)} inputs"
    if len(inputs) == 2:
        if ids:
            return f"torch has no layer of ids and {'other ids' if len(ids) > 1 else 'numbers'}"
        left, right = (_leading(network, each) for each in inputs)
        if left != right:
            return "its inputs have different leading axes, and those of nn.Bilinear share them"
    if network.windows:
        if len(inputs) > 1 or ids:
            return f"torch has no convolution of {'ids' if ids else f'{len(inputs)} inputs'}"
        channels = _features(network, inputs[0]), _features(network, network.output)
        return convolution_twin(network, sizes, channels, bool(network.biases))
    kind: Kind = "nn.Embedding" if ids else "nn.Linear"
    return Twin(
        kind if len(inputs) == 1 else "nn.Bilinear",
        tuple(_features(network, each) for each in inputs),
        _features(network, network.output),
        bool(network.biases) and kind != "nn.Embedding",
        math.prod(sizes.values()),
    )


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────


def _features(network: TensorNetwork, place: Input | Output) -> int:
    """The features of an input or the output, of one slice if it has some; or the number of ids."""
    axes = [axis for axis in place.axes if axis.kind in ("legs", "onehot")]
    return math.prod(_length(network, axis) for axis in axes)


def _slices(source: Input) -> int:
    return math.prod(axis.length or 1 for axis in source.axes if axis.kind == "slices")


def _leading(network: TensorNetwork, source: Input) -> tuple[str, ...]:
    """The run-time indices of an input."""
    indices = (name for axis in source.axes for name in axis.indices)
    return tuple(name for name in indices if network.index[name].size is None)


def _length(network: TensorNetwork, axis: Axis) -> int:
    """The length of an axis, 1 for one that is only known at run time."""
    return 1 if any(network.index[name].size is None for name in axis.indices) else axis.length or 1


# ── one run ─────────────────────────────────────────────────────────────────────────────────────


def dense_run(
    network: TensorNetwork, sizes: Mapping[str, int], profile: MachineProfile, *, training: bool
) -> Run | None:
    """One run of the twin; None where there is none, or where it exceeds `DENSE_LIMIT`."""
    twin = dense_twin(network, sizes)
    if isinstance(twin, str) or twin.largest(training=training) > DENSE_LIMIT:
        return None
    kernels = KernelModel(profile, width=4)
    if isinstance(twin, ConvolutionTwin):
        run_convolution(kernels, twin, training)
    elif twin.kind == "nn.Bilinear":
        _run_bilinear(kernels, twin, training)
    else:
        _run_rule(kernels, twin, training)
    if isinstance(twin, Twin) and twin.bias:  # added in the product; its gradient is a sum
        kernels.stream(kernels.new((twin.out_features,)), flops=twin.out_features * twin.samples)
    work = kernels.work
    work.spend(kernels.overhead)
    return Run(work.overlapped() if profile.overlaps else work.seconds, kernels.memory.peak)


def _run_rule(kernels: KernelModel, twin: Twin, training: bool) -> None:
    """`nn.Linear` and `nn.Embedding`, which are one operation of a program."""
    (inputs,), outputs, samples = twin.in_features, twin.out_features, twin.samples
    new = kernels.memory.new
    operation: Operation
    if twin.kind == "nn.Linear":
        operation = MatMul("y", "x", "weight")
        operands = [new((samples, inputs), 4), new((inputs, outputs), 4, (1, inputs))]
    else:
        operation = IndexSelect("rows", "table", ())
        operands = [new((inputs, outputs), 4), new((samples,), ID_WIDTH)]
    kernels.begin_forward()
    kernels.recording = training
    call = Call(kernels, operands, (training, training), (samples, outputs))
    outcome = SIMULATED[type(operation)](call, operation)
    if training:
        kernels.begin_backward()
        outcome.backward(kernels.memory.received(call.shape, 4))
        kernels.work.spend(kernels.profile.gradient)


def _run_bilinear(kernels: KernelModel, twin: Twin, training: bool) -> None:
    """`nn.Bilinear`, which computes the outputs one by one: x · W[o], and that times z."""
    memory = kernels.memory
    (first, second), outputs, samples = twin.in_features, twin.out_features, twin.samples
    weight = memory.new((outputs, first, second), 4)
    slice_of_weight = kernels.view(weight, (1, first, second), (first * second, second, 1))
    left, right = memory.new((samples, first), 4), memory.new((samples, second), 4)
    x = kernels.view(left, (1, samples, first), (samples * first, first, 1))
    z = kernels.view(right, (samples, second, 1), (second, 1, 1))
    rows = kernels.view(right, (1, samples, second), (samples * second, second, 1))

    def product(first: SymbolicTensor, second: SymbolicTensor) -> SymbolicTensor:
        kernels.inner_call()
        return kernels.matmul(first, second)

    kernels.begin_forward()
    kernels.recording = training
    kernels.call()
    kernels.zeros((samples, outputs))
    start = replace(kernels.work)
    by_x = product(x, slice_of_weight)
    by_sample = kernels.view(by_x, (samples, 1, second), (second, second, 1))
    memory.free(product(by_sample, z))
    memory.free(by_sample)
    memory.free(by_x)
    kernels.work.repeat(start, outputs)
    if not training:
        return
    kernels.begin_backward()
    kernels.call()
    gradient = memory.received((samples, 1), 4)
    kernels.zeros((samples, first))
    kernels.zeros((samples, second))
    kernels.zeros((outputs, first, second))
    start = replace(kernels.work)
    kernels.inner_call()  # to x: the weight times the gradient, for each sample, and that times z
    wide = kernels.new((samples, first * second))
    kernels.stream(gradient, wide, flops=wide.count)
    cubes = kernels.view(wide, (samples, first, second), (first * second, second, 1))
    memory.free(product(cubes, z))
    memory.free(cubes)
    memory.free(wide)
    by_x = product(x, slice_of_weight)  # to z
    kernels.inner_call()
    kernels.stream(by_x, gradient, by_x, flops=by_x.count)
    memory.free(by_x)
    kernels.inner_call()
    scaled = kernels.elementwise(left, kernels.view(gradient, (samples, first), (1, 0)))
    scaled_by_row = kernels.view(scaled, (1, first, samples), (samples * first, 1, first))
    memory.free(product(scaled_by_row, rows))
    memory.free(scaled_by_row)
    memory.free(scaled)
    kernels.work.repeat(start, outputs)
    kernels.work.spend(kernels.profile.gradient)
