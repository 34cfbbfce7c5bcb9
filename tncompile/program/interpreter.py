"""A tensor program run operation by operation on real tensors, each timed by itself.

One of the files that import torch. The times are those of the operations alone: a module that runs
the same program also checks its input, and under `no_grad` writes some results in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter
from typing import cast

import torch
from torch import Tensor

from tncompile.machine.host import synchronize
from tncompile.machine.profile import CPU
from tncompile.network.model import TensorNetwork
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
    results,
    sources,
)
from tncompile.program.program import Extent, TensorProgram

READINGS = 15
"""Times that an operation is run, …"""

ENOUGH = 0.06
"""… fewer, three at least, where that takes longer than so many seconds."""


@dataclass(slots=True)
class Spent:
    """Seconds of one step, forward and backward, all turns of a loop together."""

    forward: float = 0.0
    backward: float = 0.0


@dataclass(slots=True)
class _State:
    program: TensorProgram
    inputs: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    sizes: dict[str, int]
    dtype: torch.dtype
    device: str
    names: dict[str, Tensor] = field(default_factory=dict)

    def shape(self, name: str) -> tuple[int, ...]:
        extents: tuple[Extent, ...] = self.program.values[name].shape
        return tuple(extent.at(self.sizes) for extent in extents)


def time_steps(
    network: TensorNetwork,
    program: TensorProgram,
    weights: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    sizes: Mapping[str, int],
    *,
    training: bool,
    device: str = CPU,
) -> tuple[Tensor, tuple[Spent, ...]]:
    """The result of a program, and what each of its steps took; `weights` are by key.

    Inputs and weights are on `device`, whose work is waited for after every step. With `training`
    every operation records what it needs to go back, and goes back once for each reading. In a loop
    the first turn is timed and counts for all.
    """
    given = {one.name: value for one, value in zip(network.inputs, inputs, strict=True)}
    held = {key: weight.detach() for key, weight in weights.items()}
    state = _State(program, given, held, dict(sizes), torch.get_default_dtype(), device)
    spent = tuple(Spent() for _ in program.steps)
    loop = program.loop
    stop = len(program.steps) if loop is None else loop.start
    _run(state, range(stop), spent, training)
    if loop is not None:
        _run_loop(state, spent, training)
        _run(state, range(loop.stop, len(program.steps)), spent, training)
    return state.names[program.result], spent


def _run(state: _State, numbers: range, spent: Sequence[Spent], training: bool) -> None:
    for number in numbers:
        step = state.program.steps[number]
        made, took = _timed(state, step.operation, training)
        state.names.update(made)
        spent[number].forward += took.forward
        spent[number].backward += took.backward
        for name in step.drops:
            state.names.pop(name, None)


def _run_loop(state: _State, spent: Sequence[Spent], training: bool) -> None:
    """The first turn timed, for all of them; then the joining."""
    loop = state.program.loop
    assert loop is not None
    last = loop.stop - 1
    join = state.program.steps[last].operation
    assert isinstance(join, ConcatChunks)
    size = state.sizes[loop.index]
    before = dict(state.names)
    parts: list[Tensor] = []
    for start in range(0, max(size, 1), loop.rows):
        state.names = dict(before)
        state.sizes[loop.part] = min(loop.rows, size - start)
        for number in range(loop.start, last):
            operation = state.program.steps[number].operation
            if isinstance(operation, Chunk):
                length = state.sizes[loop.part]
                whole = state.names[operation.source]
                state.names[operation.result] = whole.narrow(operation.axis, start, length)
            elif start == 0:
                made, took = _timed(state, operation, training)
                state.names.update(made)
                turns = size / loop.rows
                again = took.forward if loop.recompute and training else 0.0
                spent[number].forward += took.forward * turns
                spent[number].backward += (took.backward + again) * turns
            else:
                state.names.update(_made(state, operation))
        parts.append(state.names[join.source])
    state.names = before
    synchronize()
    started = perf_counter()
    state.names[join.result] = torch.cat(parts, join.axis)
    synchronize()
    spent[last].forward += perf_counter() - started


# ── one operation ───────────────────────────────────────────────────────────────────────────────


def _timed(state: _State, operation: Operation, training: bool) -> tuple[dict[str, Tensor], Spent]:
    """What an operation makes and takes, its operands cut off from what was before."""
    values = state.program.values
    wanting = [
        name
        for name in dict.fromkeys(sources(operation))
        if training and values[name].parametric and state.names[name].is_floating_point()
    ]
    keys = _keys(operation) if training else ()
    for name in wanting:
        state.names[name] = state.names[name].detach().requires_grad_()
    weights = {key: state.weights[key].detach().requires_grad_() for key in keys}
    leaves = [*(state.names[name] for name in wanting), *weights.values()]
    held = replace(state, weights={**state.weights, **weights})

    def forward() -> dict[str, Tensor]:
        return _made(held, operation)

    with torch.set_grad_enabled(bool(leaves)):
        seconds, made = _median(forward)
        backward = 0.0
        tails = [one for one in made.values() if one.requires_grad]
        if leaves and tails:
            arriving = [torch.ones_like(one) for one in tails]

            def back() -> dict[str, Tensor]:
                torch.autograd.grad(tails, leaves, arriving, retain_graph=True, allow_unused=True)
                return {}

            backward, _ = _median(back)
    return {name: one.detach() for name, one in made.items()}, Spent(seconds, backward)


class Settled(torch.autograd.Function):
    """The value itself; going back, its gradient is made row major."""

    @staticmethod
    def forward(ctx: object, held: Tensor) -> Tensor:
        return held.view_as(held)

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient.contiguous()


_SETTLED: Callable[[Tensor], object] = Settled.apply


def _keys(operation: Operation) -> tuple[str, ...]:
    """The parameters that an operation reads and does something with."""
    return operation.keys if isinstance(operation, StackParameters) else ()


def _median(action: Callable[[], dict[str, Tensor]]) -> tuple[float, dict[str, Tensor]]:
    """The median time of some runs, and what the last one made."""
    made = action()
    synchronize()
    readings: list[float] = []
    while len(readings) < 3 or (len(readings) < READINGS and sum(readings) < ENOUGH):
        start = perf_counter()
        made = action()
        synchronize()
        readings.append(perf_counter() - start)
    return median(readings), made


def _made(state: _State, operation: Operation) -> dict[str, Tensor]:
    """The values that an operation makes, by name."""
    names = state.names
    match operation:
        case Argument(result, name):
            given = state.inputs[name]
            return {result: given.reshape(state.shape(result))}
        case LoadParameter(result, key, conjugate):
            weight = state.weights[key]
            return {result: weight.conj().resolve_conj() if conjugate else weight}
        case StackParameters(result, keys, _):
            return {result: torch.stack([state.weights[key] for key in keys])}
        case Unbind(made, source, axis):
            return dict(zip(made, names[source].unbind(axis), strict=True))
        case Split(made, source, axis, lengths):
            return dict(zip(made, torch.split(names[source], list(lengths), axis), strict=True))
        case Rescale(result, log, source, axes):
            scale = names[source].detach().abs()
            scale = scale.amax(axes, keepdim=True) if axes else scale
            scale = scale.clamp(min=torch.finfo(scale.dtype).tiny)
            return {result: names[source] / scale, log: scale.log().squeeze(axes)}
        case _:
            (result,) = results(operation)
            return {result: _value(state, operation, state.shape(result))}


def _value(state: _State, operation: Operation, shape: tuple[int, ...]) -> Tensor:
    names = state.names
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
            return cast(Tensor, _SETTLED(names[source]))
        case Slice(_, source, axis, start, stop, step):
            return names[source][(*[slice(None)] * axis, slice(start, stop, step))]
        case Select(_, source, axis, position):
            return names[source].select(axis, position)
        case MatMul(_, left, right, str(bias)):
            one, other = names[left], names[right]
            added = torch.baddbmm if one.dim() == 3 else torch.addmm
            return added(names[bias], one, other)
        case MatMul(_, left, right):
            one, other = names[left], names[right]
            return torch.bmm(one, other) if one.dim() == 3 else torch.mm(one, other)
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
            return names[source].index_select(0, torch.tensor(positions, device=state.device))
        case Pad(_, source, axis):
            missing = shape[axis] - names[source].shape[axis]
            after = [0, 0] * (len(shape) - 1 - axis)
            return torch.nn.functional.pad(names[source], [*after, 0, missing])
        case _:
            return _created(state, operation, shape)


def _created(state: _State, operation: Operation, shape: tuple[int, ...]) -> Tensor:
    names, device = state.names, state.device
    match operation:
        case Mask(_, width):
            ones = torch.arange(math.prod(shape), device=device) < width
            return ones.to(state.dtype).reshape(shape)
        case Ones():
            return torch.ones(shape, device=device)
        case Arange(_, length):
            return torch.arange(length, device=device).reshape(shape)
        case UnravelIndex(_, source, divisor, size, last):
            digit = names[source] // divisor
            return digit if last else digit % size
        case RavelIndex(_, major, minor, size):
            return names[major] * size + names[minor]
        case Embedding(_, table, ids):
            return names[table].index_select(0, names[ids].reshape(-1)).reshape(shape)
        case Gather(_, table, ids):
            return names[table].take_along_dim(names[ids], -1).squeeze(-1)
        case OneHot(_, ids, size):
            return (names[ids].unsqueeze(-1) == torch.arange(size, device=device)).to(state.dtype)
        case _:
            raise AssertionError(f"{operation} is run elsewhere")
