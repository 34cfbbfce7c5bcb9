"""Programs run step by step on symbolic tensors, and the tape that autograd records of them.

Every reader of a value is a holder of its memory. Autograd holds what it saves until the backward
pass has gone through it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tncompile.program import operations as op
from tncompile.program.operation import Operation, results, sources
from tncompile.program.program import Extent, TensorProgram
from tncompile.program.registry import Registry
from tncompile.simulation.arithmetic import ARITHMETIC
from tncompile.simulation.convolution import CONVOLUTIONS
from tncompile.simulation.kernels import ID_WIDTH, KernelModel, OpCost
from tncompile.simulation.rules import MOVES, Call, Gradients, OpResult, stack
from tncompile.simulation.tensors import Shape, SymbolicTensor


@dataclass(slots=True)
class TapeNode:
    """One recorded operation; results and sources are the slots of their gradients."""

    step: int
    iteration: int | None  # of the loop that it was recorded in
    results: tuple[str, ...]
    sources: tuple[str, ...]
    requires_grad: tuple[bool, ...]  # of each source
    saved: tuple[SymbolicTensor, ...]
    backward: Callable[..., Gradients]


@dataclass(frozen=True, slots=True)
class RecomputedIteration:
    """An iteration that saved nothing and that the backward pass runs again.

    Steps from `stop` on save nothing and are not run again.
    """

    iteration: int
    length: int
    inputs: dict[str, SymbolicTensor]  # what it reads, by name
    nodes: tuple[TapeNode, ...]  # recorded by the first run
    stop: int


LISTED = 0.3
"""Cost of reading one of many members of a family, as a share of reading a parameter."""

PARAMETER = "parameter "
"""What the slot of a parameter's gradient begins with; no value has such a name."""


@dataclass(slots=True)
class Tape:
    """A program under way: the values alive by name, and the nodes of the backward pass.

    The gradient of a value is collected in a slot: that of its parameter where it is one as it
    stands, else its name.
    """

    kernels: KernelModel
    sizes: dict[str, int]
    parameters: dict[str, SymbolicTensor]
    trainable: frozenset[str]
    differentiable_inputs: frozenset[str] = frozenset()
    inputs: dict[str, SymbolicTensor] = field(default_factory=dict)
    values: dict[str, SymbolicTensor] = field(default_factory=dict)
    nodes: list[TapeNode | RecomputedIteration] = field(default_factory=list)
    parameter_slots: dict[str, str] = field(default_factory=dict)  # by the name of the value
    differentiable: set[str] = field(default_factory=set)
    positions: SymbolicTensor | None = None  # of the last `IndexSelect`: emitted code reuses a name
    loop_values: frozenset[str] = frozenset()  # results of the body of the loop
    iteration: int | None = None
    # By iteration: how many it stands for, and the memory that the others leave behind.
    repeated: dict[int, tuple[int, SymbolicTensor]] = field(default_factory=dict)
    noncontiguous_gradients: set[int] = field(default_factory=set)  # of contractions
    chunk_slots: set[str] = field(default_factory=set)

    def slot(self, name: str) -> str:
        """Where the gradient of a value is collected, in the iteration under way."""
        if self.iteration is not None and name in self.loop_values:
            return f"{name} {self.iteration}"
        return self.parameter_slots.get(name, name)

    def shape(self, extents: tuple[Extent, ...]) -> Shape:
        """A shape at the planned run-time sizes."""
        sizes = self.sizes
        return tuple([each.at(sizes) if each.names else each.factor for each in extents])

    def record(
        self,
        step: int,
        results: tuple[str, ...],
        sources: tuple[str, ...],
        requires_grad: tuple[bool, ...],
        outcome: OpResult,
    ) -> None:
        """Record an operation on differentiable sources, and hold what autograd saves of it."""
        if not any(requires_grad):
            return
        self.differentiable.update(results)
        for tensor in outcome.saved:
            self.kernels.memory.keep(tensor)
        slots = tuple(map(self.slot, results)), tuple(map(self.slot, sources))
        node = (step, self.iteration, *slots, requires_grad, outcome.saved, outcome.backward)
        self.nodes.append(TapeNode(*node))


def run_steps(
    tape: Tape, program: TensorProgram, numbers: range, costs: tuple[OpCost, ...]
) -> None:
    """Run steps forward; `costs` has the cost of every step of the program."""
    for number in numbers:
        step = program.steps[number]
        tape.kernels.begin(costs[number])
        _step(tape, program, number, step.operation)
        for name in step.drops:
            tape.kernels.memory.free(tape.values.pop(name))


SIMULATED: Registry[OpResult] = Registry(MOVES | ARITHMETIC | CONVOLUTIONS)
"""The rule of every operation but those in `TAPED`."""

TAPED: Registry[None] = Registry()
"""Operations that use more of the tape than operands and results."""

on_tape = TAPED.register


def _step(tape: Tape, program: TensorProgram, number: int, operation: Operation) -> None:
    """Run one operation forward and record it."""
    kernels, values = tape.kernels, tape.values
    if (rule := TAPED.get(type(operation))) is not None:
        rule(tape, program, number, operation)
        return
    read, targets = sources(operation), results(operation)
    differentiable = () if operation.is_detached else tape.differentiable
    requires_grad = tuple([source in differentiable for source in read])
    operands = [values[name] for name in read]
    if isinstance(operation, op.IndexSelect):  # its positions take the place of those before
        before = tape.positions
        tape.positions = kernels.memory.new((len(operation.positions),), ID_WIDTH)
        if before is not None:
            kernels.memory.free(before)
        operands.append(tape.positions)
    if len(targets) == 1:  # calls of several results are priced as the one before them
        kernels.recording = any(requires_grad)
    shape = tape.shape(program.values[targets[0]].shape)
    call = Call(kernels, operands, requires_grad, shape)
    outcome = SIMULATED[type(operation)](call, operation)
    values.update(zip(targets, (outcome.result, *outcome.others), strict=True))
    tape.record(number, targets, read, requires_grad, outcome)


@on_tape(op.Argument)
def _argument(tape: Tape, _: TensorProgram, __: int, operation: op.Argument) -> None:
    tape.kernels.call(view=True)
    tape.values[operation.result] = tape.kernels.memory.keep(tape.inputs[operation.result])
    if operation.input in tape.differentiable_inputs:
        tape.differentiable.add(operation.result)


@on_tape(op.Chunk)
def _chunk(tape: Tape, program: TensorProgram, _: int, operation: op.Chunk) -> None:
    tape.kernels.call(view=True)
    whole, shape = tape.values[operation.source], program.values[operation.result].shape
    tape.values[operation.result] = tape.kernels.view(whole, tape.shape(shape), whole.strides)
    if operation.source in tape.differentiable:
        tape.differentiable.add(operation.result)


@on_tape(op.LoadParameter)
def _load(tape: Tape, _: TensorProgram, number: int, operation: op.LoadParameter) -> None:
    key, result, kernels = operation.key, operation.result, tape.kernels
    # A member of a family lies one module deeper.
    kernels.work.spend(kernels.profile.parameter * (1 + min(1, key.count("."))))
    parameter = kernels.memory.keep(tape.parameters[key])
    if operation.conjugate and kernels.is_complex(parameter):
        outcome = _conjugated(
            kernels, OpResult(parameter, lambda gradient: [kernels.memory.keep(gradient)])
        )
        tape.values[result] = outcome.result
        requires_grad = (key in tape.trainable,)
        tape.record(number, (result,), (PARAMETER + key,), requires_grad, outcome)
        return
    tape.values[result] = parameter
    tape.parameter_slots[result] = PARAMETER + key
    if key in tape.trainable:
        tape.differentiable.add(result)


def _conjugated(kernels: KernelModel, outcome: OpResult) -> OpResult:
    """The result marked as conjugate, and so its gradients: views."""

    def backward(gradient: SymbolicTensor) -> Gradients:
        kernels.call(view=True)
        return outcome.backward(gradient.conjugated())

    kernels.call(view=True)
    return OpResult(outcome.result.conjugated(), backward)


@on_tape(op.StackParameters)
def _stack(tape: Tape, _: TensorProgram, number: int, operation: op.StackParameters) -> None:
    keys, result = operation.keys, operation.result
    requires_grad = tuple(key in tape.trainable for key in keys)
    tape.kernels.work.spend(tape.kernels.profile.parameter * (1 + LISTED * len(keys)))
    call = Call(tape.kernels, [tape.parameters[key] for key in keys], requires_grad, ())
    outcome = stack(call, operation)
    if operation.conjugate and tape.kernels.is_complex(outcome.result):
        outcome = _conjugated(tape.kernels, outcome)
    tape.values[result] = outcome.result
    tape.record(number, (result,), tuple(PARAMETER + key for key in keys), requires_grad, outcome)
