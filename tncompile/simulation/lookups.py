"""Ids, tables and constants on ghosts: what carries no gradient, and rows picked by number."""

from __future__ import annotations

import math

from tncompile.simulation.derivatives import Gradients, Made, only
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.strides import elementwise_strides, iterated_strides
from tncompile.simulation.tensors import Shape, SymbolicTensor


def looked_up(device: KernelModel, given: list[SymbolicTensor], shape: Shape) -> SymbolicTensor:
    """Memory for `table[ids]`, whose leading axes lie in the order in which those of the ids do."""
    table, ids = given
    if len(ids.shape) == 1:
        return device.new(shape, table.width)
    inner = len(table.shape) - 1
    rows = (0,) * len(ids.shape) + table.strides[1:]
    return device.new(
        shape, table.width, iterated_strides(shape, [rows, ids.strides + (0,) * inner])
    )


def picked_rows(
    device: KernelModel, given: list[SymbolicTensor], result: SymbolicTensor, sources: int
) -> Made:
    """Entries of a table by the ids that come second; its gradient begins as zeros."""
    device.call()
    table = given[0]
    before = table.shape
    size, row = result.count * result.width, table.width * math.prod(before[1:])
    device.work.copied += size
    device.work.moved += 2 * size
    device.work.seconds += device.profile.gather_seconds(size, row) if size else 0.0

    def back(gradients: Gradients) -> Gradients:
        device.call()
        made = device.zeros(before)
        gradient = only(gradients)
        device.work.flops += gradient.count
        device.work.moved += gradient.bytes
        if gradient.bytes:
            device.work.seconds += device.profile.scatter_seconds(gradient.bytes, row)
        return [made, *(None for _ in range(sources - 1))]

    return Made(result, tuple(given[1:]), back)


def digits(device: KernelModel, source: SymbolicTensor, passes: int) -> SymbolicTensor:
    """One or two passes over ids, the first result let go after the second."""
    made = device.memory.keep(source)
    for _ in range(passes):
        device.call()
        following = device.new(source.shape, ID_WIDTH, elementwise_strides(made.shape, (made,)))
        device.stream(made, following)
        device.memory.free(made)
        made = following
    return made


def raveled(
    device: KernelModel, major: SymbolicTensor, minor: SymbolicTensor, shape: Shape
) -> SymbolicTensor:
    """`major * size + minor`."""
    device.call()
    scaled = digits(device, major, 1)
    made = device.new(shape, ID_WIDTH, elementwise_strides(shape, (scaled, minor)))
    device.stream(scaled, minor, made)
    device.memory.free(scaled)
    return made
