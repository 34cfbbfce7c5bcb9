"""Operations run on ghosts one after the other, and what autograd remembers of each.

Whoever reads a value holds it; autograd holds what it saves until it has gone back through it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tncompile.program import operations as op
from tncompile.program.operations import Operation, results, sources
from tncompile.program.program import Extent, TensorProgram
from tncompile.program.registry import Registry
from tncompile.simulation.derivatives import SIMULATED, Back, Call, Made
from tncompile.simulation.kernels import ID_WIDTH, KernelModel, OpCost
from tncompile.simulation.stacking import stacked
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


TAPED: Registry[None] = Registry()
"""Operations that take from the tape or leave on it more than operands and results."""

on_tape = TAPED.register


def _step(state: Tape, program: TensorProgram, number: int, operation: Operation) -> None:
    """Run one operation forward and record how to go back."""
    device, names = state.device, state.names
    if (rule := TAPED.get(type(operation))) is not None:
        rule(state, program, number, operation)
        return
    read, targets = sources(operation), results(operation)
    needs = tuple(source in state.differentiable for source in read)
    operands = [names[name] for name in read]
    if isinstance(operation, op.IndexSelect):
        operands.append(_positions(state, operation))
    if len(targets) == 1:  # calls of several results are priced as the one before them
        device.recording = any(needs)
    shape = state.shape(program.values[targets[0]].shape)
    made = SIMULATED[type(operation)](Call(device, operands, needs, shape), operation)
    names.update(zip(targets, (made.result, *made.others), strict=True))
    differentiable = targets[:1] if made.scratch else targets
    _record(state, number, differentiable, read, needs, made)
    for ghost in made.scratch:
        device.memory.free(ghost)


@on_tape(op.Argument)
def _argument(state: Tape, _: TensorProgram, __: int, operation: op.Argument) -> None:
    state.device.call(view=True)
    state.names[operation.result] = state.device.memory.keep(state.inputs[operation.result])
    if operation.input in state.through:
        state.differentiable.add(operation.result)


@on_tape(op.Chunk)
def _chunk(state: Tape, program: TensorProgram, _: int, operation: op.Chunk) -> None:
    state.device.call(view=True)
    whole, shape = state.names[operation.source], program.values[operation.result].shape
    state.names[operation.result] = state.device.view(whole, state.shape(shape), whole.strides)
    if operation.source in state.differentiable:
        state.differentiable.add(operation.result)


@on_tape(op.LoadParameter)
def _load(state: Tape, _: TensorProgram, __: int, operation: op.LoadParameter) -> None:
    key, result = operation.key, operation.result
    state.device.read(key)
    state.names[result] = state.device.memory.keep(state.parameters[key])
    state.origin[result] = _slot(key)
    if key in state.trainable:
        state.differentiable.add(result)


@on_tape(op.StackParameters)
def _stack(state: Tape, _: TensorProgram, number: int, operation: op.StackParameters) -> None:
    keys, result = operation.keys, operation.result
    needs = tuple(key in state.trainable for key in keys)
    state.device.read_several(len(keys))
    made = stacked(state.device, [state.parameters[key] for key in keys], needs)
    state.names[result] = made.result
    _record(state, number, (result,), tuple(map(_slot, keys)), needs, made)


def _positions(state: Tape, operation: op.IndexSelect) -> SymbolicTensor:
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
