"""One operation of a model about to run on symbolic tensors, and the rules that many share.

A rule is as those of `simulation.rules`: it allocates what torch allocates, counts the work, and
says what autograd saves. It counts no FLOPs of its own: those are the products' (`products`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import (
    Allocation,
    Shape,
    SymbolicTensor,
    broadcast_strides,
    contiguous_strides,
    elementwise_strides,
)


@dataclass(frozen=True, slots=True)
class Job:
    """Operands, parameters of a layer behind them, and the shapes of the results.

    `widths` are the bytes of an entry of each result; `training` says that the module trains, be
    it that nothing here wants a gradient.
    """

    kernels: KernelModel
    operands: list[SymbolicTensor]
    requires_grad: tuple[bool, ...]
    shapes: tuple[Shape, ...]
    widths: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    training: bool = False

    @property
    def recorded(self) -> bool:
        """Whether autograd records it."""
        return any(self.requires_grad)

    def result(self, strides: Shape | None = None) -> SymbolicTensor:
        """Memory for the first result."""
        return self.kernels.new(self.shapes[0], self.widths[0], strides)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule gives: results, the derivative, and what autograd saves.

    `backward` maps the gradients of all results to one for each operand. `scratch` is what the
    rule lets go of once autograd holds what it saves.
    """

    result: SymbolicTensor
    backward: Callable[..., Gradients]
    saved: tuple[SymbolicTensor, ...] = ()
    others: tuple[SymbolicTensor, ...] = ()
    scratch: tuple[SymbolicTensor, ...] = ()

    @property
    def results(self) -> tuple[SymbolicTensor, ...]:
        """All of them."""
        return self.result, *self.others


Rule = Callable[[Job], Outcome]
Saved = Literal["nothing", "operand", "result", "both"]


def foreign(shape: Shape, width: int, strides: Shape | None = None) -> SymbolicTensor:
    """A tensor in memory that is there all the time and counted elsewhere."""
    size = width * math.prod(shape)
    return SymbolicTensor(shape, strides or contiguous_strides(shape), Allocation(size, 1), width)


def padded(tensor: SymbolicTensor, rank: int) -> SymbolicTensor:
    """The tensor with axes of length 1 in front."""
    more = rank - len(tensor.shape)
    return tensor.as_strided((1,) * more + tensor.shape, (0,) * more + tensor.strides)


def no_grad(job: Job) -> Callable[..., Gradients]:
    """The derivative of what has none."""
    return lambda *gradients: [None] * len(job.operands)


def kept(job: Job) -> Outcome:
    """The first operand as it is."""
    memory = job.kernels.memory

    def backward(gradient: SymbolicTensor) -> Gradients:
        return [memory.keep(gradient), *[None] * (len(job.operands) - 1)]

    return Outcome(memory.keep(job.operands[0]), backward)


def entrywise(saved: Saved = "nothing", passes: int = 1, scratch: int = 0) -> Rule:
    """A function of each entry of one operand.

    It goes over its entries `passes` times, the gradient too, and `scratch` tensors of the size of
    the result are alive meanwhile.
    """

    def rule(job: Job) -> Outcome:
        kernels, source = job.kernels, job.operands[0]
        kernels.call()
        result = job.result(elementwise_strides(source.shape, (source,)))
        _passes(job, passes, scratch, source, result)
        held = {"nothing": (), "operand": (source,), "result": (result,), "both": (source, result)}

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call()
            sent = kernels.new(source.shape, source.width, source.strides if source.dense else None)
            _passes(job, passes, scratch, gradient, sent, *held[saved])
            return [sent, *[None] * (len(job.operands) - 1)]

        return Outcome(result, backward, held[saved])

    return rule


def _passes(job: Job, passes: int, scratch: int, *streamed: SymbolicTensor) -> None:
    kernels = job.kernels
    size = streamed[0].count
    temporary = [kernels.scratch((size,), streamed[0].width) for _ in range(scratch)]
    for _ in range(passes):
        kernels.stream(*streamed)
    for tensor in temporary:
        kernels.memory.free(tensor)


def joined(factors: bool = False, saved: int | None = None) -> Rule:
    """A function of the entries of several operands, broadcast.

    Of a product, with `factors`, each is saved whose partner wants a gradient; otherwise the first
    `saved` operands are where anything does.
    """

    def rule(job: Job) -> Outcome:
        kernels, shape = job.kernels, job.shapes[0]
        kernels.call()
        operands = [padded(operand, len(shape)) for operand in job.operands]
        result = job.result(elementwise_strides(shape, tuple(operands)))
        streamed = [tensor for tensor in operands if tensor.count > 1]
        kernels.stream(*streamed, result)
        held: tuple[SymbolicTensor, ...] = tuple(job.operands[:saved]) if saved else ()
        if factors:
            pairs = zip(job.operands, reversed(job.requires_grad), strict=True)
            held = tuple(operand for operand, needed in pairs if needed)
        shared = not factors and not saved  # of a sum, the gradient is handed on

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call(view=shared)
            return [
                _gradient_for(job, gradient, operand, shared) if needed else None
                for operand, needed in zip(job.operands, job.requires_grad, strict=True)
            ]

        return Outcome(result, backward, held)

    return rule


def _gradient_for(
    job: Job, gradient: SymbolicTensor, operand: SymbolicTensor, shared: bool
) -> SymbolicTensor:
    """The gradient of an operand of an elementwise function, summed where it was repeated."""
    kernels = job.kernels
    sent = gradient
    if shared:
        kernels.memory.keep(gradient)
    else:
        sent = kernels.new(
            gradient.shape, gradient.width, elementwise_strides(gradient.shape, (gradient,))
        )
        kernels.stream(gradient, gradient, sent)
    wide = padded(operand, len(gradient.shape))
    if wide.shape == sent.shape:
        return sent
    kernels.inner_call()
    added = len(gradient.shape) - len(operand.shape)
    summed = kernels.sum_to(sent, wide.shape, added)
    kernels.memory.free(sent)
    return summed.as_strided(operand.shape, summed.strides[added:])


def reduced(saved: Saved = "nothing", repeated: bool = False) -> Rule:
    """A function of all entries along some axes; `repeated`: its gradient is that one, expanded."""

    def rule(job: Job) -> Outcome:
        kernels, source = job.kernels, job.operands[0]
        kernels.call()
        result = job.result()
        kernels.stream(source, result)
        held = {"nothing": (), "operand": (source,), "result": (result,), "both": (source, result)}

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call(view=repeated)
            if repeated:
                strides = (0,) * len(source.shape)
                return [kernels.view(gradient, source.shape, strides)]
            sent = kernels.new(source.shape, source.width)
            kernels.stream(*held[saved], sent)
            return [sent, *[None] * (len(job.operands) - 1)]

        return Outcome(result, backward, held[saved], others(job))

    return rule


def others(job: Job) -> tuple[SymbolicTensor, ...]:
    """Memory for the results after the first."""
    pairs = zip(job.shapes[1:], job.widths[1:], strict=True)
    return tuple(job.kernels.new(shape, width) for shape, width in pairs)


def made(job: Job) -> Outcome:
    """A new tensor, filled in one pass; nothing is differentiated."""
    job.kernels.call()
    result = job.result()
    job.kernels.stream(*job.operands, result)
    return Outcome(result, no_grad(job), others=others(job))


def copied(job: Job) -> Outcome:
    """A new tensor that operands are copied to; gradients are parts of its own."""
    kernels = job.kernels
    kernels.call()
    result = job.result()
    kernels.copied(result)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        sent: Gradients = [None] * len(job.operands)
        for k, (operand, needed) in enumerate(zip(job.operands, job.requires_grad, strict=True)):
            if needed and operand.count < gradient.count:
                strides = broadcast_strides(operand, operand.shape)
                sent[k] = kernels.view(gradient, operand.shape, strides)
            elif needed:
                sent[k] = part = kernels.new(operand.shape, operand.width)
                kernels.copied(part)
        return sent

    return Outcome(result, backward)


def viewed(shape: Shape, strides: Shape) -> Rule:
    """The memory of the operand under another shape; its gradient has all of it."""

    def rule(job: Job) -> Outcome:
        kernels, source = job.kernels, job.operands[0]
        kernels.call(view=True)
        whole = math.prod(shape) == source.count

        def backward(gradient: SymbolicTensor) -> Gradients:
            kernels.call(view=whole)
            if whole:
                return [kernels.view(gradient, source.shape, contiguous_strides(source.shape))]
            sent = kernels.zeros(source.shape, source.width)
            kernels.stream(gradient, gradient)
            return [sent]

        view = kernels.view(source, shape, strides)
        return Outcome(replace(view, width=job.widths[0]), backward)

    return rule
