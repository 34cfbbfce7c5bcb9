"""The dense map that a network stands for: its size and its work, from the declaration alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tncompile.network.model import Axis, Input, TensorNetwork
from tncompile.planning.candidates import DENSE_LIMIT
from tncompile.planning.device import ID_WIDTH, Device
from tncompile.planning.lookups import picked_rows
from tncompile.planning.machine import MachineProfile
from tncompile.planning.tracing import THROUGH


@dataclass(frozen=True, slots=True)
class Run:
    """What running the dense map once is predicted to take."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True, slots=True)
class DenseMap:
    """A layer with the same inputs and output and one dense weight (and bias).

    `parameters` is the product of the features of all inputs and of the output: `nn.Linear`'s for
    one input, `nn.Embedding`'s for ids, a multilinear map's for several inputs, the whole tensor
    where there is no input. `flops` are those of a forward pass: 0 for ids, which are looked up.
    """

    parameters: int
    flops: int


def dense_map(network: TensorNetwork, sizes: Mapping[str, int]) -> DenseMap:
    """The dense map at these run-time sizes."""
    given = math.prod(_features(network, one) for one in network.inputs)
    made = _outputs(network)
    floats = [one for one in network.inputs if not one.integer]
    samples = math.prod(sizes.values())
    flops = 2 * samples * math.prod(_features(network, one) for one in floats) * made
    return DenseMap(given * made + _biases(network), flops if floats else 0)


def dense_run(
    network: TensorNetwork, sizes: Mapping[str, int], profile: MachineProfile, *, training: bool
) -> Run | None:
    """The dense map run as one layer of torch; None where no machine would hold it.

    Ids beside other inputs have no such layer either: each sample would take a weight of its own.
    """
    given = math.prod(_features(network, one) for one in network.inputs)
    made, samples = _outputs(network), math.prod(sizes.values())
    kinds = {one.integer for one in network.inputs}
    if len(kinds) != 1 or max(given * made, given * samples, made * samples) > DENSE_LIMIT:
        return None
    device = Device(profile, width=4)
    if kinds == {True}:
        _look_up(device, given, made, samples, training)
    else:
        _multiply(device, given, made, samples, _is_formed(network), training)
        if _biases(network):  # added by the product itself; its gradient is a sum
            device.stream(device.new((made,)), flops=made * samples)
    work = device.work
    work.spend(device.overhead)
    return Run(work.overlapped() if profile.overlaps else work.seconds, device.memory.peak)


def _look_up(device: Device, given: int, made: int, samples: int, training: bool) -> None:
    """`nn.Embedding`."""
    table, ids = device.memory.new((given, made), 4), device.memory.new((samples,), ID_WIDTH)
    device.begin_forward()
    device.recording = training
    looked_up = picked_rows(device, [table, ids], device.new((samples, made)), 1)
    if training:
        device.begin_backward()
        looked_up.back([device.new((samples, made))])
        device.work.spend(device.profile.gradient)


def _multiply(
    device: Device, given: int, made: int, samples: int, formed: bool, training: bool
) -> None:
    """`nn.Linear`; `formed` inputs are products of data themselves, and want no gradient."""
    memory = device.memory
    features, weight = memory.new((samples, given), 4), memory.new((given, made), 4, (1, given))
    device.begin_forward()
    if formed:
        device.call()
        device.stream(features, flops=features.count)
    device.recording = training
    device.call()
    device.matmul(features, weight)
    if training:
        device.begin_backward()
        device.call()
        gradient = device.new((made, samples), strides=(1, made))
        if THROUGH and not formed:
            device.inner_call()
            arrived = device.view(gradient, (samples, made), (made, 1))
            device.matmul(arrived, device.view(weight, (made, given), (given, 1)))
        device.matmul(gradient, features)
        device.work.spend(device.profile.gradient)


def _is_formed(network: TensorNetwork) -> bool:
    """Whether what the weight is multiplied with is a product of several inputs or slices."""
    slices = [axis for one in network.inputs for axis in one.axes if axis.kind == "slices"]
    return len(network.inputs) > 1 or any((axis.length or 1) > 1 for axis in slices)


def _biases(network: TensorNetwork) -> int:
    """The numbers of a dense bias, where the network has one."""
    return _outputs(network) if network.biases else 0


def _features(network: TensorNetwork, given: Input) -> int:
    """The features of an input: of all its slices, if it has some, multiplied."""
    slices = math.prod(axis.length or 1 for axis in given.axes if axis.kind == "slices")
    features = math.prod(
        _length(network, axis) for axis in given.axes if axis.kind in ("legs", "onehot")
    )
    return int(features**slices)


def _outputs(network: TensorNetwork) -> int:
    return math.prod(_length(network, axis) for axis in network.output.axes if axis.kind == "legs")


def _length(network: TensorNetwork, axis: Axis) -> int:
    """The length of an axis, 1 for one that is only known at run time."""
    return 1 if any(network.index[name].size is None for name in axis.indices) else axis.length or 1
