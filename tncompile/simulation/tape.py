"""Operations run on ghosts one after the other, and what autograd remembers of each.

Whoever reads a value holds it; autograd holds what it saves until it has gone back through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tncompile.program.operations import (
    Argument,
    Chunk,
    IndexSelect,
    LoadParameter,
    Operation,
    Rescale,
    Split,
    StackParameters,
    Unbind,
    sources,
)
from tncompile.program.program import Extent, TensorProgram
from tncompile.simulation.derivatives import Back, Made
from tncompile.simulation.kernels import ID_WIDTH, KernelModel, OpCost
from tncompile.simulation.rules import apply, rescaled
from tncompile.simulation.stacking import divided, stacked, unbound
from tncompile.simulation.tensors import Shape, SymbolicTensor


@dataclass(frozen=True, slots=True)
class TapeNode:
    """What autograd remembers of one operation: the tensors it saves and how it goes back.

    `turn` is the turn of the loop that it was recorded in.
    """

    step: int
    turn: int | None
    results: tuple[str, ...]
    sources: tuple[str, ...]
    needs: tuple[bool, ...]
    saved: tuple[SymbolicTensor, ...]
    back: Back


@dataclass(frozen=True, slots=True)
class RecomputedIteration:
    """A turn of which nothing was saved: the backward pass runs it again.

    `given` is what it reads, by name; `nodes` are those of the first run, `stop` is the last step
    that saves anything: nothing is run from there on, since what it saves is there already.
    """

    turn: int
    length: int
    given: dict[str, SymbolicTensor]
    nodes: tuple[TapeNode, ...]
    stop: int


PARAMETER = "parameter "


def _slot(key: str) -> str:
    """Where the gradient of a parameter is collected; no value has such a name."""
    return PARAMETER + key


@dataclass(slots=True)
class Tape:
    """A program under way: who is alive by name, and what was recorded for the way back.

    The gradient of a value is collected under its name; that of a parameter under its slot,
    the `origin` of every value that is the parameter as it stands.
    """

    device: KernelModel
    sizes: dict[str, int]
    parameters: dict[str, SymbolicTensor]
    trainable: frozenset[str]
    through: frozenset[str] = frozenset()  # inputs that want gradients
    inputs: dict[str, SymbolicTensor] = field(default_factory=dict)
    names: dict[str, SymbolicTensor] = field(default_factory=dict)
    nodes: list[TapeNode | RecomputedIteration] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    differentiable: set[str] = field(default_factory=set)
    positions: SymbolicTensor | None = (
        None  # those of the last gather: a name that the source uses again
    )
    inside: frozenset[str] = frozenset()  # what is made anew in each turn of the loop
    turn: int | None = None
    repeated: dict[int, tuple[int, SymbolicTensor]] = field(
        default_factory=dict
    )  # see `turning.run_loop`
    awkward: set[int] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)  # slots of parts whose gradients are joined again

    def slot(self, name: str) -> str:
        """Under which name the gradient of a value is collected, in the turn under way."""
        if self.turn is not None and name in self.inside:
            return f"{name} {self.turn}"
        return self.origin.get(name, name)

    def shape(self, extents: tuple[Extent, ...]) -> Shape:
        """A shape at the planned run-time sizes."""
        return tuple(extent.at(self.sizes) for extent in extents)


def run_steps(
    state: Tape, program: TensorProgram, numbers: range, works: tuple[OpCost, ...]
) -> None:
    """Run some steps; their work is counted where `works` has it."""
    for number in numbers:
        step = program.steps[number]
        state.device.work = works[number]
        _step(state, program, number, step.operation)
        for name in step.drops:
            state.device.memory.free(state.names.pop(name))


def _step(state: Tape, program: TensorProgram, number: int, operation: Operation) -> None:
    """Run one operation forward and record how to go back."""
    device, names = state.device, state.names
    match operation:
        case Argument(result, name):
            device.call(view=True)
            names[result] = device.memory.keep(state.inputs[result])
            if name in state.through:
                state.differentiable.add(result)
        case Chunk(result, source, _):
            device.call(view=True)
            whole = names[source]
            names[result] = device.view(
                whole, state.shape(program.values[result].shape), whole.strides
            )
            if source in state.differentiable:
                state.differentiable.add(result)
        case LoadParameter(result, key, _):
            device.read(key)
            names[result] = device.memory.keep(state.parameters[key])
            state.origin[result] = _slot(key)
            if key in state.trainable:
                state.differentiable.add(result)
        case StackParameters(result, keys, _):
            needs = tuple(key in state.trainable for key in keys)
            device.read_several(len(keys))
            made = stacked(device, [state.parameters[key] for key in keys], needs)
            names[result] = made.result
            _record(state, number, (result,), tuple(map(_slot, keys)), needs, made)
        case Unbind(found, source, axis):
            ghosts, back = unbound(device, names[source], axis)
            needs = (source in state.differentiable,)
            names.update(zip(found, ghosts, strict=True))
            _record(state, number, found, (source,), needs, Made(ghosts[0], (), back))
        case Split(found, source, axis, lengths):
            ghosts, back = divided(device, names[source], axis, lengths)
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
            if isinstance(operation, IndexSelect):
                given.append(_positions(state, operation))
            made = apply(device, operation, given, needs, shape)
            names[operation.result] = made.result
            _record(state, number, (operation.result,), read, needs, made)


def _positions(state: Tape, operation: IndexSelect) -> SymbolicTensor:
    """The positions of a gather as a tensor, in place of those of the gather before."""
    made = state.device.memory.new((len(operation.positions),), ID_WIDTH)
    if state.positions is not None:
        state.device.memory.free(state.positions)
    state.positions = made
    return made


def _record(
    state: Tape,
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
    origins = tuple(state.slot(source) for source in sources)
    slots = tuple(state.slot(result) for result in results)
    state.nodes.append(TapeNode(step, state.turn, slots, origins, needs, made.saved, made.back))
