"""Ghosts of stacks: joined along an axis, and taken apart along one."""

from __future__ import annotations

import math

from tncompile.simulation.derivatives import Back, Gradients, Made, Needs, only
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.tensors import Shape, SymbolicTensor


def stacked(device: KernelModel, given: list[SymbolicTensor], needs: Needs) -> Made:
    """`torch.stack`: a copy, whose gradients are slices of its own."""
    result = device.new((len(given), *given[0].shape), given[0].width)
    device.call()
    device.copied(result, given[0].count)
    device.work.spend(device.profile.member * len(given))

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call()
        device.work.spend(device.profile.backward_member * sum(needs))
        shape, strides = gradient.shape[1:], gradient.strides[1:]
        return [device.view(gradient, shape, strides) if need else None for need in needs]

    return Made(result, (), back)


def concatenated(
    device: KernelModel, given: list[SymbolicTensor], needs: Needs, shape: Shape
) -> Made:
    result = device.new(shape, given[0].width)
    device.call()
    device.copied(result)
    shapes = [ghost.shape for ghost in given]

    def back(gradients: Gradients) -> Gradients:
        gradient = only(gradients)
        device.call()
        return [
            device.view(gradient, part, gradient.strides) if need else None
            for part, need in zip(shapes, needs, strict=True)
        ]

    return Made(result, (), back)


def unbound(
    device: KernelModel, source: SymbolicTensor, axis: int
) -> tuple[list[SymbolicTensor], Back]:
    """`unbind`: views, whose gradients are stacked, zeros standing in for those that never came."""
    shape = source.shape[:axis] + source.shape[axis + 1 :]
    strides = source.strides[:axis] + source.strides[axis + 1 :]
    shapes = [shape] * source.shape[axis]
    back = _taken_apart(device, source, shapes, math.prod(shape[axis:]), shared=True)
    return [device.view(source, shape, strides) for _ in range(source.shape[axis])], back


def divided(
    device: KernelModel, source: SymbolicTensor, axis: int, lengths: tuple[int, ...]
) -> tuple[list[SymbolicTensor], Back]:
    """`split`: views, whose gradients are joined."""
    shapes = [(*source.shape[:axis], length, *source.shape[axis + 1 :]) for length in lengths]
    back = _taken_apart(device, source, shapes, min(math.prod(shape[axis:]) for shape in shapes))
    return [device.view(source, shape, source.strides) for shape in shapes], back


def _taken_apart(
    device: KernelModel,
    source: SymbolicTensor,
    shapes: list[Shape],
    run: int,
    *,
    shared: bool = False,
) -> Back:
    """The way back from views that make up all of a tensor; `run` entries of it lie together.

    Zeros stand in for gradients that never came, the same for all of them where they are `shared`.
    """
    device.call(view=True)
    device.work.spend(device.profile.member * len(shapes))

    def back(gradients: Gradients) -> Gradients:
        device.call()
        never = [k for k, gradient in enumerate(gradients) if gradient is None]
        absent = [device.zeros(shapes[k]) for k in (never[:1] if shared else never)]
        made = device.new(source.shape)
        device.copied(made, run)
        device.work.spend(device.profile.backward_member * len(shapes))
        for zeros in absent:
            device.memory.free(zeros)
        return [made]

    return back
