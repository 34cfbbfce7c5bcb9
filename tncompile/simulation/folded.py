"""What the folded module does: all that depends on parameters alone is there beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import Init, Parameter, TensorNetwork
from tncompile.program.operations import LoadParameter, Operation, results, sources
from tncompile.program.program import Step, TensorProgram
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.trace import Trace, trace


def folded_trace(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
) -> Trace:
    """A forward pass of the folded module: what was folded away takes no time.

    What the rest reads of it is held in buffers, in place of the parameters. The works are those of
    the steps of `program`, none for what was folded away and for views of it.
    """
    held, reduced, numbers = _reduced(network, program, sizes)
    traced = trace(held, reduced, sizes, profile, training=False)
    forward = [OpCost() for _ in program.steps]
    for number, work in zip(numbers, traced.forward, strict=True):
        if number is not None:
            forward[number] = work
    return replace(traced, forward=tuple(forward))


def varies(program: TensorProgram, operation: Operation) -> bool:
    """Whether an operation has to be done anew in each call of the folded module."""
    return any(program.values[name].varying for name in results(operation))


def _reduced(
    network: TensorNetwork, program: TensorProgram, sizes: Mapping[str, int]
) -> tuple[TensorNetwork, TensorProgram, list[int | None]]:
    """The program from the buffers on, a network that declares them, the numbers of its steps."""
    needed = _needed(program)
    steps: list[Step] = []
    numbers: list[int | None] = []
    buffers: list[Parameter] = []
    starts: list[int] = []  # how many steps of the reduced program come before each step
    for number, step in enumerate(program.steps):
        starts.append(len(steps))
        operation = step.operation
        if varies(program, operation):
            steps.append(step)
            numbers.append(number)
        elif operation.is_view and needed.intersection(results(operation)):
            steps.append(step)
            numbers.append(None)
        else:
            for name in results(operation):
                if name in needed:
                    shape = tuple(extent.at(sizes) for extent in program.values[name].shape)
                    buffers.append(_buffer(name, shape))
                    steps.append(Step(LoadParameter(name, name)))
                    numbers.append(None)
    loop = program.loop
    if loop is not None:
        starts.append(len(steps))
        loop = replace(loop, start=starts[loop.start], stop=starts[loop.stop])
    held = network.model_copy(update={"parameters": tuple(buffers)})
    return held, replace(program, steps=_dropping_what_is_there(steps), loop=loop), numbers


def _needed(program: TensorProgram) -> set[str]:
    """What does not vary and is read by what does, through views or at once, or is returned."""
    needed = {name for name in (program.result, program.log) if name is not None}
    for step in reversed(program.steps):
        operation = step.operation
        viewed = operation.is_view and needed.intersection(results(operation))
        if viewed or varies(program, operation):
            needed.update(sources(operation))
    return {name for name in needed if not program.values[name].varying}


def _dropping_what_is_there(steps: list[Step]) -> tuple[Step, ...]:
    """The steps, dropping only names that they made."""
    made: set[str] = set()
    kept: list[Step] = []
    for step in steps:
        made.update(results(step.operation))
        drops = tuple(name for name in step.drops if name in made)
        kept.append(step if drops == step.drops else replace(step, drops=drops))
    return tuple(kept)


def _buffer(name: str, shape: tuple[int, ...]) -> Parameter:
    return Parameter(
        key=name,
        family=name,
        axes=((),) * len(shape),
        shape=shape,
        init=Init(scheme="zeros"),
        frozen=True,
        written=name,
    )
