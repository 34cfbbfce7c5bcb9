"""What a tensor program does, found by running it on ghosts: work, bytes, seconds, peak memory.

`trace` follows the forward pass operation by operation and, for a training step, what autograd
saves, computes and frees on the way back. Parameters require gradients (frozen ones do not), inputs
do not; the gradient of the output is a contiguous tensor of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tncompile.lowering.program import (
    Argument,
    Extent,
    Gather,
    Operation,
    Rescale,
    StackWeights,
    TensorProgram,
    Unbind,
    Weight,
    sources,
)
from tncompile.network.model import TensorNetwork
from tncompile.planning.derivatives import Back, Made
from tncompile.planning.device import ID_WIDTH, Device, Work
from tncompile.planning.formulas import apply, rescaled, stacked, unbound
from tncompile.planning.ghosts import Ghost, Shape
from tncompile.planning.machine import MachineProfile


@dataclass(frozen=True, slots=True)
class Trace:
    """The work of every step, forward and backward, and the peak of what is alive.

    `held` are the bytes of inputs and parameters, which the peak includes.
    """

    forward: tuple[Work, ...]
    backward: tuple[Work, ...]
    held: int
    peak: int

    @property
    def total(self) -> Work:
        """All work together."""
        total = Work()
        for work in (*self.forward, *self.backward):
            total.add(work)
        return total


@dataclass(frozen=True, slots=True)
class Node:
    """What autograd remembers of one operation: the tensors it saves and how it goes back."""

    step: int
    results: tuple[str, ...]
    sources: tuple[str, ...]
    needs: tuple[bool, ...]
    saved: tuple[Ghost, ...]
    back: Back


PARAMETER = "parameter "


def _slot(key: str) -> str:
    """Where the gradient of a parameter is collected; no value has such a name."""
    return PARAMETER + key


@dataclass(slots=True)
class State:
    """A program under way: who is alive by name, and what was recorded for the way back.

    The gradient of a value is collected under its name; that of a parameter under its slot,
    the `origin` of every value that is the parameter as it stands.
    """

    device: Device
    sizes: Mapping[str, int]
    parameters: dict[str, Ghost]
    trainable: frozenset[str]
    inputs: dict[str, Ghost] = field(default_factory=dict)
    names: dict[str, Ghost] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    differentiable: set[str] = field(default_factory=set)
    positions: Ghost | None = None  # those of the last gather: a name that the source uses again

    def shape(self, extents: tuple[Extent, ...]) -> Shape:
        """A shape at the planned run-time sizes."""
        return tuple(extent.at(self.sizes) for extent in extents)


def trace(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    *,
    training: bool,
    width: int = 4,
) -> Trace:
    """Run the program on ghosts at these run-time sizes; `width` is the bytes of a number."""
    device = Device(profile, width)
    parameters = {p.key: device.memory.new(p.shape, width) for p in network.parameters}
    trainable = frozenset(p.key for p in network.parameters if training and not p.frozen)
    state = State(device, sizes, parameters, trainable)
    for step in program.steps:
        if isinstance(step.operation, Argument):
            value = program.values[step.operation.result]
            own = ID_WIDTH if value.integer else width
            state.inputs[value.name] = device.memory.new(state.shape(value.shape), own)
    held = device.memory.live
    forward = _run_forward(state, program)
    backward = _run_backward(state, program) if training else ()
    return Trace(forward, backward, held, device.memory.peak)


# ── forward ─────────────────────────────────────────────────────────────────────────────────────


def _run_forward(state: State, program: TensorProgram) -> tuple[Work, ...]:
    device, memory = state.device, state.device.memory
    works: list[Work] = []
    for number, step in enumerate(program.steps):
        device.work = Work()
        works.append(device.work)
        _step(state, program, number, step.operation)
        for name in step.drops:
            memory.free(state.names.pop(name))
    if state.positions is not None:
        memory.free(state.positions)
    returned = {program.result, program.log}
    for name in [name for name in state.names if name not in returned]:
        memory.free(state.names.pop(name))
    return tuple(works)


def _step(state: State, program: TensorProgram, number: int, operation: Operation) -> None:
    """Run one operation forward and record how to go back."""
    device, names = state.device, state.names
    match operation:
        case Argument(result, _):
            device.call(view=True)
            names[result] = device.memory.keep(state.inputs[result])
        case Weight(result, key, _):
            names[result] = device.memory.keep(state.parameters[key])
            state.origin[result] = _slot(key)
            if key in state.trainable:
                state.differentiable.add(result)
        case StackWeights(result, keys, _):
            needs = tuple(key in state.trainable for key in keys)
            made = stacked(device, [state.parameters[key] for key in keys], needs)
            names[result] = made.result
            _record(state, number, (result,), tuple(map(_slot, keys)), needs, made)
        case Unbind(found, source, axis):
            ghosts, back = unbound(device, names[source], axis)
            needs = (source in state.differentiable,)
            names.update(zip(found, ghosts, strict=True))
            _record(state, number, found, (source,), needs, Made(ghosts[0], (), back))
        case Rescale(result, log, source, axes):
            made, names[log] = rescaled(device, names[source], axes)
            names[result] = made.result
            needs = (source in state.differentiable,)
            _record(state, number, (result,), (source,), needs, made)
            device.memory.free(made.saved[0])
        case _:
            read = sources(operation)
            needs = tuple(source in state.differentiable for source in read)
            shape = state.shape(program.values[operation.result].shape)
            given = [names[name] for name in read]
            if isinstance(operation, Gather):
                given.append(_positions(state, operation))
            made = apply(device, operation, given, needs, shape)
            names[operation.result] = made.result
            _record(state, number, (operation.result,), read, needs, made)


def _positions(state: State, operation: Gather) -> Ghost:
    """The positions of a gather as a tensor, in place of those of the gather before."""
    made = state.device.memory.new((len(operation.positions),), ID_WIDTH)
    if state.positions is not None:
        state.device.memory.free(state.positions)
    state.positions = made
    return made


def _record(
    state: State,
    step: int,
    results: tuple[str, ...],
    sources: tuple[str, ...],
    needs: tuple[bool, ...],
    made: Made,
) -> None:
    """Remember an operation that some parameter lies before, and keep what it saves."""
    if not any(needs):
        return
    state.differentiable.update(results)
    for ghost in made.saved:
        state.device.memory.keep(ghost)
    origins = tuple(state.origin.get(source, source) for source in sources)
    state.nodes.append(Node(step, results, origins, needs, made.saved, made.back))


# ── backward ────────────────────────────────────────────────────────────────────────────────────


def _run_backward(state: State, program: TensorProgram) -> tuple[Work, ...]:
    """Go back through what was recorded, in the order of autograd's engine: last made, first."""
    device, memory = state.device, state.device.memory
    device.backward = True
    works = tuple(Work() for _ in program.steps)
    if program.result not in state.differentiable:
        return works
    uses = Counter(
        source
        for node in state.nodes
        for source, need in zip(node.sources, node.needs, strict=True)
        if need and source.startswith(PARAMETER)
    )
    gradient = device.new(state.names[program.result].shape)
    gradients = {state.origin.get(program.result, program.result): memory.keep(gradient)}
    for node in reversed(state.nodes):
        device.work = works[node.step]
        arrived = [gradients.pop(name, None) for name in node.results]
        if any(ghost is not None for ghost in arrived):
            sent = node.back(arrived)
        else:
            sent = [None] * len(node.sources)
        for ghost in (*node.saved, *arrived):
            if ghost is not None:
                memory.free(ghost)
        for source, ghost in zip(node.sources, sent, strict=True):
            if ghost is not None:
                _accumulate(device, gradients, source, ghost)
            if source in uses:
                uses[source] -= 1
                if not uses[source] and source in gradients:
                    _settle(device, gradients, source)
    return works


def _accumulate(device: Device, gradients: dict[str, Ghost], source: str, arrived: Ghost) -> None:
    """Add a gradient to what has arrived before: in place where nobody else sees it."""
    before = gradients.get(source)
    if before is None:
        gradients[source] = arrived
        return
    device.call()
    if before.dense and before.block.holders == 1:
        device.stream(before, arrived, before, flops=before.count)
    else:
        gradients[source] = device.elementwise(before, arrived)
        device.memory.free(before)
    device.memory.free(arrived)


def _settle(device: Device, gradients: dict[str, Ghost], key: str) -> None:
    """Make a gradient the `.grad` of its parameter: as it is, or copied to the declared layout."""
    device.call(view=True)
    gradient = gradients[key]
    if not gradient.contiguous:
        gradients[key] = device.clone(gradient)
        device.memory.free(gradient)
