"""A reference interpreter of tensor programs: each operation is the one call of torch it names.

It shares no code with the emitter, drops names as the program says, and checks shapes on the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import torch
from torch import Tensor

from tncompile.network.model import DOTS, Axis, Input, TensorNetwork
from tncompile.program.operations import (
    Add,
    Arange,
    Argument,
    Cat,
    Chunk,
    ConcatChunks,
    Contiguous,
    ContiguousGrad,
    Copy,
    Embedding,
    Expand,
    Gather,
    IndexSelect,
    LoadParameter,
    Mask,
    MatMul,
    Multiply,
    OneHot,
    Ones,
    Operation,
    Pad,
    Permute,
    RavelIndex,
    Rescale,
    Select,
    Slice,
    Split,
    Stack,
    StackParameters,
    Sum,
    Times,
    Unbind,
    UnravelIndex,
    View,
)
from tncompile.program.program import Extent, Step, TensorProgram

Names = dict[str, Tensor]


def bind_sizes(
    network: TensorNetwork, inputs: Mapping[str, Tensor]
) -> tuple[dict[str, int], tuple[int, ...]]:
    """The run-time sizes that these inputs have, and the broadcast shape of `...`."""
    sizes: dict[str, int] = {}
    leading: list[tuple[int, ...]] = []
    for given in network.inputs:
        shape = tuple(inputs[given.name].shape)
        fixed = _fixed_axes(given)
        if len(fixed) != sum(axis.kind != "onehot" for axis in given.axes):
            leading.append(shape[: len(shape) - len(fixed)])
        if fixed:
            for axis, length in zip(fixed, shape[-len(fixed) :], strict=True):
                if axis.kind == "legs" and axis.size is None:
                    sizes[axis.indices[0]] = length
    dots = tuple(torch.broadcast_shapes(*leading)) if leading else ()
    if DOTS in network.index:
        sizes[DOTS] = math.prod(dots)
    return sizes, dots


def _fixed_axes(given: Input) -> list[Axis]:
    return [axis for axis in given.axes if axis.kind in ("legs", "slices")]


def argument(given: Input, value: Tensor, dots: tuple[int, ...]) -> Tensor:
    """An input with its leading axes broadcast to `dots` and flattened to one."""
    if not any(axis.kind == "dots" for axis in given.axes):
        return value
    rest = value.shape[value.dim() - len(_fixed_axes(given)) :]
    return value.expand(*dots, *rest).reshape(math.prod(dots), *rest)


def run(
    network: TensorNetwork,
    program: TensorProgram,
    parameters: Mapping[str, Tensor],
    inputs: Mapping[str, Tensor],
    check: Callable[[str, Tensor], None] | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """What the program computes; `...` stays one flattened axis. `check` sees every value made."""
    sizes, dots = bind_sizes(network, inputs)
    dtype = next(
        (p.dtype for p in parameters.values()),
        next((x.dtype for x in inputs.values() if x.is_floating_point()), torch.float32),
    )
    machine = _Machine(network, program, parameters, inputs, sizes, dots, dtype, check)
    loop = program.loop
    start, stop = (0, 0) if loop is None else (loop.start, loop.stop)
    machine.run(program.steps[:start])
    if loop is not None:
        machine.turns(program.steps[start:stop])
    machine.run(program.steps[stop:])
    names = machine.names
    returned = {program.result, program.log} - {None}
    assert set(names) == returned, f"still alive: {sorted(set(names) - returned)}"
    if program.log is not None:
        return names[program.result], names[program.log]
    return names[program.result]


@dataclass
class _Machine:
    """A program under way: the values that are alive, by name."""

    network: TensorNetwork
    program: TensorProgram
    parameters: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]
    sizes: dict[str, int]
    dots: tuple[int, ...]
    dtype: torch.dtype
    check: Callable[[str, Tensor], None] | None
    names: Names = field(default_factory=dict)

    def run(self, steps: Sequence[Step]) -> None:
        """Run some steps, and forget what is dead after each."""
        for step in steps:
            self.step(step.operation)
            for name in step.drops:
                del self.names[name]

    def turns(self, steps: Sequence[Step]) -> None:
        """Run the loop: `Chunk`s, the steps run for each of them, then one `ConcatChunks`.

        What a turn makes is forgotten in the turn; what it reads of before, at the end.
        """
        loop = self.program.loop
        assert loop is not None
        count = sum(isinstance(step.operation, Chunk) for step in steps)
        parts, body, join = steps[:count], steps[count:-1], steps[-1]
        assert isinstance(join.operation, ConcatChunks)
        assert not any(isinstance(step.operation, Chunk | ConcatChunks) for step in body)
        assert all(isinstance(step.operation, Chunk) for step in parts)
        before = set(self.names)
        whole, kept = self.sizes[loop.index], []
        for first in range(0, whole, loop.rows) or (0,):
            self.sizes[loop.part] = min(loop.rows, whole - first)
            for step in parts:
                operation = step.operation
                assert isinstance(operation, Chunk)
                source = self.names[operation.source]
                assert source.shape[operation.axis] == whole
                part = source.narrow(operation.axis, first, self.sizes[loop.part])
                self.made(operation.result, part)
            self.run(body)
            kept.append(self.names[join.operation.source])
            assert before <= set(self.names), "a turn forgets what the next one reads"
        del self.sizes[loop.part]
        self.made(join.operation.result, torch.cat(kept, join.operation.axis))
        for name in join.drops:
            del self.names[name]

    def step(self, operation: Operation) -> None:
        """Run one operation."""
        names = self.names
        match operation:
            case Argument(result, name):
                value = argument(self.network.input[name], self.inputs[name], self.dots)
                self.made(result, value)
            case LoadParameter(result, key, conjugate):
                self.made(result, _weight(self.parameters[key], conjugate))
            case StackParameters(result, keys, conjugate):
                held = [_weight(self.parameters[key], conjugate) for key in keys]
                self.made(result, torch.stack(held))
            case Unbind(made, source, axis):
                for name, value in zip(made, names[source].unbind(axis), strict=True):
                    self.made(name, value)
            case Split(made, source, axis, lengths):
                for name, value in zip(made, names[source].split(lengths, axis), strict=True):
                    self.made(name, value)
            case Rescale(result, log, source, axes):
                scaled, scale = _rescale(names[source], axes)
                self.made(result, scaled)
                self.made(log, scale)
            case _:
                shape = _shape(self.program.values[operation.result].shape, self.sizes)
                self.made(operation.result, _apply(operation, names, shape, self.dtype))

    def made(self, name: str, value: Tensor) -> None:
        """Keep a value that has just been made."""
        due = _shape(self.program.values[name].shape, self.sizes)
        assert tuple(value.shape) == due, f"{name}: {tuple(value.shape)} not {due}"
        self.names[name] = value
        if self.check is not None:
            self.check(name, value)


def _shape(extents: tuple[Extent, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    return tuple(extent.at(sizes) for extent in extents)


def _weight(parameter: Tensor, conjugate: bool) -> Tensor:
    return parameter.conj().resolve_conj() if conjugate else parameter


def _apply(
    operation: Operation, names: Names, shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    match operation:
        case View(_, source) | Copy(_, source):
            return names[source].reshape(shape)
        case Contiguous(_, source):
            return names[source].contiguous()
        case Permute(_, source, order):
            return names[source].permute(order)
        case Expand(_, source):
            return names[source].expand(shape)
        case ContiguousGrad(_, source):
            return names[source]
        case Slice(_, source, axis, start, stop, step):
            return names[source][(*[slice(None)] * axis, slice(start, stop, step))]
        case Select(_, source, axis, position):
            return names[source].select(axis, position)
        case MatMul(_, left, right, bias):
            product = names[left] @ names[right]
            return product if bias is None else product + names[bias]
        case Multiply(_, left, right):
            return names[left] * names[right]
        case Add(_, left, right):
            return names[left] + names[right]
        case Sum(_, source, axes):
            return names[source].sum(axes)
        case Times(_, source, count):
            return names[source] * count
        case Stack(_, given):
            return torch.stack([names[name] for name in given])
        case Cat(_, given):
            return torch.cat([names[name] for name in given])
        case IndexSelect(_, source, positions):
            return names[source].index_select(0, torch.tensor(positions))
        case Pad(_, source, axis):
            return _pad(names[source], axis, shape[axis])
        case _:
            return _create(operation, names, shape, dtype)


def _create(
    operation: Operation, names: Names, shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    match operation:
        case Mask(_, width):
            return (torch.arange(math.prod(shape)) < width).to(dtype).reshape(shape)
        case Ones():
            return torch.ones(shape, dtype=dtype)
        case Arange(_, length):
            return torch.arange(length).reshape(shape)
        case UnravelIndex(_, source, divisor, size, last):
            digit = names[source] // divisor
            return digit if last else digit % size
        case RavelIndex(_, major, minor, size):
            return names[major] * size + names[minor]
        case Embedding(_, table, ids):
            rows = names[table].index_select(0, names[ids].reshape(-1))
            return rows.reshape(shape)
        case Gather(_, table, ids):
            return names[table].take_along_dim(names[ids], -1).squeeze(-1)
        case OneHot(_, ids, size):
            return torch.nn.functional.one_hot(names[ids], size).to(dtype)
        case (
            Argument() | LoadParameter() | StackParameters() | Unbind() | Rescale() | View()
            | Copy() | Contiguous() | Permute() | Expand() | ContiguousGrad() | Slice() | Select()
            | MatMul() | Multiply() | Add() | Sum() | Stack() | Cat() | IndexSelect() | Pad()
            | Chunk() | Times() | ConcatChunks()
        ):  # fmt: skip
            raise AssertionError(operation)
        case _:
            assert_never(operation)


def _pad(source: Tensor, axis: int, length: int) -> Tensor:
    missing = length - source.shape[axis]
    return torch.nn.functional.pad(source, [0, 0] * (source.dim() - 1 - axis) + [0, missing])


def _rescale(source: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        scale = source.abs().amax(axes, keepdim=True) if axes else source.abs()
        scale = scale.clamp(min=torch.finfo(scale.dtype).tiny)
        log = scale.log()
    return source / scale, log.squeeze(axes) if axes else log
