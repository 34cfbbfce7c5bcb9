"""The cost of each operation and of its derivative, as torch and autograd run them.

Here are the rules of operations that move numbers; `arithmetic` has those that compute some. A rule
allocates what the operation allocates, counts its work, and returns an `OpResult`. A tensor
returned by a rule has one more holder than before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from tncompile.program import operations as op
from tncompile.program.registry import Registry
from tncompile.simulation import tensors
from tncompile.simulation.kernels import ID_WIDTH, KernelModel
from tncompile.simulation.tensors import Shape, SymbolicTensor, elementwise_strides

Gradients = list[SymbolicTensor | None]


@dataclass(slots=True)
class OpResult:
    """The first result of an operation, the derivative, and the tensors that autograd saves.

    `backward` maps the gradients of all results, one argument each and at least one of them not
    None, to one gradient per operand, None where it needs none.
    """

    result: SymbolicTensor
    backward: Callable[..., Gradients] = lambda gradient: []
    saved: tuple[SymbolicTensor, ...] = ()
    others: tuple[SymbolicTensor, ...] = ()  # results after the first


@dataclass(slots=True)
class Call:
    """An operation about to run; `shape` is that of its first result."""

    kernels: KernelModel
    operands: list[SymbolicTensor]
    requires_grad: tuple[bool, ...]  # of each operand
    shape: Shape


MOVES: Registry[OpResult] = Registry()
"""The rule of an operation: a function of its `Call` and the operation."""

simulates = MOVES.register


# ── views and copies ────────────────────────────────────────────────────────────────────────────


@simulates(op.View, op.Copy)
def _reshape(call: Call, _: op.View | op.Copy) -> OpResult:
    kernels, (source,) = call.kernels, call.operands

    def reshaped(tensor: SymbolicTensor, shape: Shape) -> SymbolicTensor:
        result = kernels.reshape(tensor, shape)
        kernels.call(view=True)
        if result.allocation is not tensor.allocation:
            kernels.inner_call()  # a reshape that copies returns a view of the copy
        return result

    return OpResult(
        reshaped(source, call.shape), lambda gradient: [reshaped(gradient, source.shape)]
    )


@simulates(op.Contiguous)
def _contiguous(call: Call, _: op.Contiguous) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    kernels.call(view=source.contiguous)
    return OpResult(kernels.contiguous(source), lambda gradient: [kernels.memory.keep(gradient)])


@simulates(op.ContiguousGrad)
def _contiguous_grad(call: Call, _: op.ContiguousGrad) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    kernels.call()

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        return [kernels.contiguous(gradient)]

    return OpResult(kernels.memory.keep(source), backward)


@simulates(op.Permute)
def _permute(call: Call, operation: op.Permute) -> OpResult:
    def permuted(tensor: SymbolicTensor, order: tuple[int, ...]) -> SymbolicTensor:
        call.kernels.call(view=True)
        shape, strides = (tuple(each[k] for k in order) for each in (tensor.shape, tensor.strides))
        return call.kernels.view(tensor, shape, strides)

    order = operation.order
    inverse = tuple(order.index(k) for k in range(len(order)))
    return OpResult(
        permuted(call.operands[0], order), lambda gradient: [permuted(gradient, inverse)]
    )


@simulates(op.Expand)
def _expand(call: Call, _: op.Expand) -> OpResult:
    kernels, (source,), shape = call.kernels, call.operands, call.shape
    kernels.call(view=True)
    added = len(shape) - len(source.shape)
    wide = source.as_strided((1,) * added + source.shape, (0,) * added + source.strides)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        gradient = kernels.sum_to(gradient, wide.shape, added)
        return [gradient.as_strided(source.shape, gradient.strides[added:])]

    return OpResult(kernels.view(wide, shape, tensors.broadcast_strides(wide, shape)), backward)


@simulates(op.Slice, op.Select, op.Crop)
def _part(call: Call, operation: op.Slice | op.Select | op.Crop) -> OpResult:
    """A view of a part, whose gradient is as large as all of its source."""
    kernels, (source,), axis = call.kernels, call.operands, operation.axis
    kernels.call(view=True)
    *outer, step = source.strides[: axis + 1]
    if isinstance(operation, op.Slice):
        outer.append(step * operation.step)
    elif isinstance(operation, op.Crop):
        outer.append(step)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        result = kernels.zeros(source.shape, source.width)
        kernels.stream(gradient, gradient)
        return [result]

    view = kernels.view(source, call.shape, (*outer, *source.strides[axis + 1 :]))
    return OpResult(view, backward)


@simulates(op.Pad)
def _pad(call: Call, _: op.Pad) -> OpResult:
    kernels, (source,) = call.kernels, call.operands
    result = kernels.new(call.shape, source.width)
    kernels.call()
    kernels.copied(result)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        return [kernels.clone(gradient.as_strided(source.shape, gradient.strides))]

    return OpResult(result, backward)


# ── stacks ──────────────────────────────────────────────────────────────────────────────────────


@simulates(op.Stack)
def stack(call: Call, _: op.Stack | op.StackParameters) -> OpResult:
    """`torch.stack`: a copy; the gradients of its operands are slices of its own."""
    kernels, operands, profile = call.kernels, call.operands, call.kernels.profile
    result = kernels.new((len(operands), *operands[0].shape), operands[0].width)
    kernels.call()
    kernels.copied(result, operands[0].count)
    kernels.work.spend(profile.member * len(operands))

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        kernels.work.spend(profile.backward_member * sum(call.requires_grad))
        shape, strides = gradient.shape[1:], gradient.strides[1:]
        return [
            kernels.view(gradient, shape, strides) if needed else None
            for needed in call.requires_grad
        ]

    return OpResult(result, backward)


@simulates(op.Cat)
def concatenate(call: Call, _: op.Cat | op.ConcatChunks) -> OpResult:
    """`torch.cat`: a copy; the gradients of its operands are views of its own."""
    kernels = call.kernels
    result = kernels.new(call.shape, call.operands[0].width)
    kernels.call()
    kernels.copied(result)

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        return [
            kernels.view(gradient, operand.shape, gradient.strides) if needed else None
            for operand, needed in zip(call.operands, call.requires_grad, strict=True)
        ]

    return OpResult(result, backward)


@simulates(op.Unbind, op.Split)
def _divided(call: Call, operation: op.Unbind | op.Split) -> OpResult:
    """Views that make up all of a tensor, whose gradients are joined.

    Zeros stand in for gradients that never came; `torch.unbind` has the same for all of them.
    """
    kernels, (source,), axis = call.kernels, call.operands, operation.axis
    before, after, strides = source.shape[:axis], source.shape[axis + 1 :], source.strides
    if unbound := isinstance(operation, op.Unbind):
        shapes = [before + after] * source.shape[axis]
        strides = strides[:axis] + strides[axis + 1 :]
    else:
        shapes = [(*before, length, *after) for length in operation.lengths]
    kernels.call(view=True)
    kernels.work.spend(kernels.profile.member * len(shapes))

    def backward(*gradients: SymbolicTensor | None) -> Gradients:
        kernels.call()
        pairs = zip(shapes, gradients, strict=True)
        absent = [shape for shape, gradient in pairs if gradient is None]
        zeros = [
            kernels.zeros(shape, source.width) for shape in (absent[:1] if unbound else absent)
        ]
        result = kernels.new(source.shape, source.width)
        kernels.copied(result, min(math.prod(shape[axis:]) for shape in shapes))
        kernels.work.spend(kernels.profile.backward_member * len(shapes))
        for tensor in zeros:
            kernels.memory.free(tensor)
        return [result]

    first, *others = (kernels.view(source, shape, strides) for shape in shapes)
    return OpResult(first, backward, others=tuple(others))


# ── tables, ids and constants ───────────────────────────────────────────────────────────────────


@simulates(op.IndexSelect, op.Gather, op.Embedding)
def _rows(call: Call, operation: op.IndexSelect | op.Gather | op.Embedding) -> OpResult:
    """Rows of a table by ids, which come second; the table's gradient begins as zeros."""
    kernels, (table, *ids) = call.kernels, call.operands
    if ids and not ids[0].width:  # a number of Python
        part = _part(replace(call, operands=[table]), op.Select("row", "table", 0, 0))
        of_part = part.backward
        return OpResult(part.result, lambda gradient: [*of_part(gradient), None])
    strides: Shape | None = None
    if isinstance(operation, op.Embedding) and len(ids[0].shape) > 1:
        # Leading axes lie in the order of those of the ids.
        by_row = (0,) * len(ids[0].shape) + table.strides[1:]
        by_id = ids[0].strides + (0,) * (len(table.shape) - 1)
        strides = tensors.iterated_strides(call.shape, [by_row, by_id])
    result = kernels.new(call.shape, table.width, strides)
    kernels.call()
    size, row_bytes = result.count * result.width, table.width * math.prod(table.shape[1:])
    kernels.work.copied += size
    kernels.work.moved += 2 * size
    kernels.work.seconds += kernels.profile.gather_seconds(size, row_bytes) if size else 0.0

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call()
        to_table = kernels.zeros(table.shape, table.width)
        kernels.work.flops += gradient.count
        kernels.work.moved += gradient.bytes
        if gradient.bytes:
            kernels.work.seconds += kernels.profile.scatter_seconds(gradient.bytes, row_bytes)
        return [to_table, *[None] * (len(call.requires_grad) - 1)]

    return OpResult(result, backward, tuple(ids))


@simulates(op.UnravelIndex)
def _unravel(call: Call, operation: op.UnravelIndex) -> OpResult:
    """A division and a remainder, either of which may be missing; numbers cost nothing."""
    kernels, (source,) = call.kernels, call.operands
    result = kernels.memory.keep(source)
    if not source.width:
        return OpResult(result)
    for _ in range((operation.divisor != 1) + (not operation.last)):
        previous, result = result, _id_pass(kernels, result)
        kernels.memory.free(previous)
    return OpResult(result)


def _id_pass(kernels: KernelModel, ids: SymbolicTensor) -> SymbolicTensor:
    kernels.call()
    result = kernels.new(ids.shape, ID_WIDTH, elementwise_strides(ids.shape, (ids,)))
    kernels.stream(ids, result)
    return result


@simulates(op.RavelIndex)
def _ravel(call: Call, _: op.RavelIndex) -> OpResult:
    """`major * size + minor`."""
    kernels, (major, minor), shape = call.kernels, call.operands, call.shape
    if not major.width and not minor.width:
        return OpResult(kernels.memory.keep(major))
    kernels.call()
    scaled = _id_pass(kernels, major)
    result = kernels.new(shape, ID_WIDTH, elementwise_strides(shape, (scaled, minor)))
    kernels.stream(scaled, minor, result)
    kernels.memory.free(scaled)
    return OpResult(result)


@simulates(op.Arange)
def _arange(call: Call, _: op.Arange) -> OpResult:
    call.kernels.call()
    return OpResult(call.kernels.new(call.shape, ID_WIDTH))


@simulates(op.OneHot, op.Mask)
def _from_flags(call: Call, _: op.OneHot | op.Mask) -> OpResult:
    kernels = call.kernels
    kernels.call()
    flags = kernels.new(call.shape, 1)
    result = kernels.new(call.shape)
    kernels.stream(flags, result)
    kernels.memory.free(flags)
    return OpResult(result)


@simulates(op.Ones)
def _ones(call: Call, _: op.Ones) -> OpResult:
    call.kernels.call()
    return OpResult(call.kernels.zeros(call.shape))
