"""The dense map that a network stands for, and the layer of torch that would compute it.

One function, `dense_twin`, says which layer that is or why there is none; costs, crossings and
`tncompile explain-slow` all ask it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, assert_never

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import Axis, Input, TensorNetwork
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.lookups import picked_rows
from tncompile.simulation.tensors import SymbolicTensor
from tncompile.simulation.trace import THROUGH

Kind = Literal["nn.Linear", "nn.Bilinear", "nn.Embedding"]


@dataclass(frozen=True, slots=True)
class Run:
    """What running the dense map once is predicted to take."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class Twin:
    """A layer of torch with the inputs and the output of a network, and one dense weight.

    `given` are the features of each input (of ids, how many there are), `made` those of the output,
    `samples` the product of all run-time sizes.
    """

    kind: Kind
    given: tuple[int, ...]
    made: int
    bias: bool
    samples: int

    @property
    def weight(self) -> int:
        """The numbers of the weight."""
        return math.prod(self.given) * self.made

    def largest(self, *, training: bool) -> int:
        """The numbers of the largest tensor: the weight, an input, the output or a gradient."""
        widest = 1 if self.kind == "nn.Embedding" else max(self.given)
        if training and self.kind == "nn.Bilinear":
            widest = math.prod(self.given)
        return max(self.weight, widest * self.samples, self.made * self.samples)

    def flops(self, *, training: bool) -> int:
        """The operations of a forward pass or of a training step, biases apart.

        A training step goes back to the inputs, as it does in the middle of a model.
        """
        match self.kind:
            case "nn.Embedding":
                return 0
            case "nn.Linear":
                product = 2 * self.samples * self.weight
                return product * ((3 if THROUGH else 2) if training else 1)
            case "nn.Bilinear":
                # For each output x · W[o] is a product, whose rows meet those of z. Going back, W
                # is once a product with x, once with z, and is itself repeated over the batch.
                first, second = self.given
                flops = 2 * first * second + 2 * second
                if training:
                    flops += 2 * first * second + first
                    if THROUGH:
                        flops += 5 * first * second + second
                return self.samples * self.made * flops
            case _:
                assert_never(self.kind)


def dense_parameters(network: TensorNetwork) -> int:
    """The numbers of the dense map that a network stands for, weight and bias.

    The weight has the product of the features of all inputs and of the output: as that of the twin
    where there is one, of a multilinear map for more inputs or slices, of the tensor without any.
    """
    given = math.prod(_all_features(network, one) for one in network.inputs)
    made = _outputs(network)
    return given * made + (made if network.biases else 0)


def dense_twin(network: TensorNetwork, sizes: Mapping[str, int]) -> Twin | str:
    """The layer of torch that is like the network, or why there is none.

    Ids in one input are those of `nn.Embedding`, numbers in one input are taken by `nn.Linear`, in
    two that share their leading axes by `nn.Bilinear`.
    """
    if not network.inputs:
        return "the block has no input"
    if network.output.log:
        return "no layer of torch returns the logarithm of a product"
    for one in network.inputs:
        slices = math.prod(axis.length or 1 for axis in one.axes if axis.kind == "slices")
        if slices > 1:
            return (
                f"a dense map of the {slices:,} slices of `{one.name}` would be multilinear, and"
                " torch has no such layer"
            )
    ids = [one for one in network.inputs if one.integer]
    if len(network.inputs) > 2:
        return f"torch has no layer of {len(network.inputs)} inputs"
    if len(network.inputs) == 2:
        if ids:
            return f"torch has no layer of ids and {'other ids' if len(ids) > 1 else 'numbers'}"
        left, right = (_leading(network, one) for one in network.inputs)
        if left != right:
            return "its inputs have different leading axes, and those of nn.Bilinear share them"
    kind: Kind = "nn.Embedding" if ids else "nn.Linear"
    return Twin(
        kind if len(network.inputs) == 1 else "nn.Bilinear",
        tuple(_features(network, one) for one in network.inputs),
        _outputs(network),
        bool(network.biases) and kind != "nn.Embedding",
        math.prod(sizes.values()),
    )


def dense_run(
    network: TensorNetwork, sizes: Mapping[str, int], profile: MachineProfile, *, training: bool
) -> Run | None:
    """The twin run once; None where there is none, or where no machine would hold it."""
    twin = dense_twin(network, sizes)
    if isinstance(twin, str) or twin.largest(training=training) > DENSE_LIMIT:
        return None
    device = KernelModel(profile, width=4)
    match twin.kind:
        case "nn.Embedding":
            _look_up(device, twin, training)
        case "nn.Linear":
            _multiply(device, twin, training)
        case "nn.Bilinear":
            _multiply_twice(device, twin, training)
        case _:
            assert_never(twin.kind)
    if twin.bias:  # added by the product itself in nn.Linear; its gradient is a sum
        device.stream(device.new((twin.made,)), flops=twin.made * twin.samples)
    work = device.work
    work.spend(device.overhead)
    return Run(work.overlapped() if profile.overlaps else work.seconds, device.memory.peak)


def _look_up(device: KernelModel, twin: Twin, training: bool) -> None:
    """`nn.Embedding`."""
    (rows,), made, samples = twin.given, twin.made, twin.samples
    table, ids = device.memory.new((rows, made), 4), device.memory.new((samples,), ID_WIDTH)
    device.begin_forward()
    device.recording = training
    looked_up = picked_rows(device, [table, ids], device.new((samples, made)), 1)
    if training:
        device.begin_backward()
        looked_up.back([device.new((samples, made))])
        device.work.spend(device.profile.gradient)


def _multiply(device: KernelModel, twin: Twin, training: bool) -> None:
    """`nn.Linear`."""
    memory = device.memory
    (given,), made, samples = twin.given, twin.made, twin.samples
    features, weight = memory.new((samples, given), 4), memory.new((given, made), 4, (1, given))
    device.begin_forward()
    device.recording = training
    device.call()
    device.matmul(features, weight)
    if training:
        device.begin_backward()
        device.call()
        gradient = device.new((made, samples), strides=(1, made))
        if THROUGH:
            device.inner_call()
            arrived = device.view(gradient, (samples, made), (made, 1))
            device.matmul(arrived, device.view(weight, (made, given), (given, 1)))
        device.matmul(gradient, features)
        device.work.spend(device.profile.gradient)


def _multiply_twice(device: KernelModel, twin: Twin, training: bool) -> None:
    """`nn.Bilinear`, which goes through the outputs one by one: x · W[o], and that times z."""
    memory = device.memory
    (first, second), made, samples = twin.given, twin.made, twin.samples
    weight = memory.new((made, first, second), 4)
    slice_of_weight = device.view(weight, (1, first, second), (first * second, second, 1))
    left, right = memory.new((samples, first), 4), memory.new((samples, second), 4)
    one = device.view(left, (1, samples, first), (samples * first, first, 1))
    other = device.view(right, (samples, second, 1), (second, 1, 1))
    row = device.view(right, (1, samples, second), (samples * second, second, 1))

    def meet(left_one: SymbolicTensor, right_one: SymbolicTensor) -> SymbolicTensor:
        device.inner_call()
        return device.matmul(left_one, right_one)

    device.begin_forward()
    device.recording = training
    device.call()
    device.zeros((samples, made))
    start = replace(device.work)
    product = meet(one, slice_of_weight)
    lined = device.view(product, (samples, 1, second), (second, second, 1))
    memory.free(meet(lined, other))
    memory.free(lined)
    memory.free(product)
    device.work.repeat(start, made)
    if not training:
        return
    device.begin_backward()
    device.call()
    gradient = device.new((samples, 1))
    if THROUGH:
        device.zeros((samples, first))
        device.zeros((samples, second))
    device.zeros((made, first, second))
    start = replace(device.work)
    if THROUGH:  # to x: the weight times the gradient, for each sample, and that times z
        device.inner_call()
        wide = device.new((samples, first * second))
        device.stream(gradient, wide, flops=wide.count)
        cubes = device.view(wide, (samples, first, second), (first * second, second, 1))
        memory.free(meet(cubes, other))
        memory.free(cubes)
        memory.free(wide)
        product = meet(one, slice_of_weight)  # to z
        device.inner_call()
        device.stream(product, gradient, product, flops=product.count)
        memory.free(product)
    device.inner_call()
    scaled = device.elementwise(left, device.repeat(gradient, (samples, first)))
    turned = device.view(scaled, (1, first, samples), (samples * first, 1, first))
    memory.free(meet(turned, row))
    memory.free(turned)
    memory.free(scaled)
    device.work.repeat(start, made)
    device.work.spend(device.profile.gradient)


# ── sizes ───────────────────────────────────────────────────────────────────────────────────────


def _features(network: TensorNetwork, given: Input) -> int:
    """The features of an input, of one slice if it has some, or the number of its ids."""
    return math.prod(
        _length(network, axis) for axis in given.axes if axis.kind in ("legs", "onehot")
    )


def _all_features(network: TensorNetwork, given: Input) -> int:
    """The features of all slices of an input multiplied."""
    slices = math.prod(axis.length or 1 for axis in given.axes if axis.kind == "slices")
    return int(_features(network, given) ** slices)


def _leading(network: TensorNetwork, given: Input) -> tuple[str, ...]:
    """The run-time indices of an input."""
    indices = (name for axis in given.axes for name in axis.indices)
    return tuple(name for name in indices if network.index[name].size is None)


def _outputs(network: TensorNetwork) -> int:
    return math.prod(_length(network, axis) for axis in network.output.axes if axis.kind == "legs")


def _length(network: TensorNetwork, axis: Axis) -> int:
    """The length of an axis, 1 for one that is only known at run time."""
    return 1 if any(network.index[name].size is None for name in axis.indices) else axis.length or 1


DENSE_LIMIT = 2**31
"""Elements of a dense weight that is still worth considering."""
