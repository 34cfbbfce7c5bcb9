"""What a tensor program does, found by running it on ghosts: work, bytes, seconds, peak memory.

`trace` follows the forward pass operation by operation and, for a training step, what autograd
saves, computes and frees on the way back. Parameters require gradients (frozen ones do not), inputs
do not; the gradient of the output is a contiguous tensor of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tncompile.lowering.program import (
    Argument,
    Extent,
    Gather,
    Join,
    Loop,
    Operation,
    Part,
    Rescale,
    StackWeights,
    TensorProgram,
    Unbind,
    Weight,
    results,
    sources,
)
from tncompile.network.model import TensorNetwork
from tncompile.planning.derivatives import Back, Made, only
from tncompile.planning.device import ID_WIDTH, Device, Work
from tncompile.planning.formulas import apply, rescaled, stacked, unbound
from tncompile.planning.ghosts import Ghost, Shape
from tncompile.planning.machine import MachineProfile


@dataclass(frozen=True, slots=True)
class Trace:
    """The work of every step, forward and backward, and the peak of what is alive.

    `held` are the bytes of inputs and parameters, which the peak includes, `overhead` the seconds
    that calling the module and starting the backward pass take. `awkward` are the contractions
    whose gradient arrives in an order that products must copy first.
    """

    forward: tuple[Work, ...]
    backward: tuple[Work, ...]
    held: int
    peak: int
    overhead: float = 0.0
    awkward: tuple[int, ...] = ()

    @property
    def total(self) -> Work:
        """All work together."""
        total = Work()
        for work in (*self.forward, *self.backward):
            total.add(work)
        total.seconds += self.overhead
        return total


@dataclass(frozen=True, slots=True)
class Node:
    """What autograd remembers of one operation: the tensors it saves and how it goes back.

    `turn` is the turn of the loop that it was recorded in.
    """

    step: int
    turn: int | None
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
    sizes: dict[str, int]
    parameters: dict[str, Ghost]
    trainable: frozenset[str]
    inputs: dict[str, Ghost] = field(default_factory=dict)
    names: dict[str, Ghost] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    origin: dict[str, str] = field(default_factory=dict)
    differentiable: set[str] = field(default_factory=set)
    positions: Ghost | None = None  # those of the last gather: a name that the source uses again
    inside: frozenset[str] = frozenset()  # what is made anew in each turn of the loop
    turn: int | None = None
    repeated: dict[int, tuple[int, Ghost]] = field(default_factory=dict)  # see `_run_loop`
    awkward: set[int] = field(default_factory=set)

    def slot(self, name: str) -> str:
        """Under which name the gradient of a value is collected, in the turn under way."""
        if self.turn is not None and name in self.inside:
            return f"{name} {self.turn}"
        return self.origin.get(name, name)

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
    state = State(device, dict(sizes), parameters, trainable)
    for step in program.steps:
        if isinstance(step.operation, Argument):
            value = program.values[step.operation.result]
            own = ID_WIDTH if value.integer else width
            state.inputs[value.name] = device.memory.new(state.shape(value.shape), own)
    held = device.memory.live
    device.begin_forward()
    forward = _run_forward(state, program)
    backward = _run_backward(state, program) if training else ()
    awkward = tuple(sorted(state.awkward))
    return Trace(forward, backward, held, device.memory.peak, device.overhead, awkward)


# ── forward ─────────────────────────────────────────────────────────────────────────────────────


def _run_forward(state: State, program: TensorProgram) -> tuple[Work, ...]:
    memory, loop = state.device.memory, program.loop
    works = tuple(Work() for _ in program.steps)
    numbers = range(len(program.steps))
    if loop is None:
        _run_steps(state, program, numbers, works)
    else:
        _run_steps(state, program, numbers[: loop.start], works)
        _run_loop(state, program, loop, works)
        _run_steps(state, program, numbers[loop.stop :], works)
    if state.positions is not None:
        memory.free(state.positions)
    returned = {program.result, program.log}
    for name in [name for name in state.names if name not in returned]:
        memory.free(state.names.pop(name))
    return works


def _run_steps(
    state: State, program: TensorProgram, numbers: range, works: tuple[Work, ...]
) -> None:
    for number in numbers:
        step = program.steps[number]
        state.device.work = works[number]
        _step(state, program, number, step.operation)
        for name in step.drops:
            state.device.memory.free(state.names.pop(name))


def _run_loop(state: State, program: TensorProgram, loop: Loop, works: tuple[Work, ...]) -> None:
    """Every turn of the loop, then the joining of what they made.

    One turn stands for all that are like it: its work counts as often, and so does the memory
    that it leaves behind.
    """
    device, memory = state.device, state.device.memory
    *body, last = range(loop.start, loop.stop)
    join = program.steps[last].operation
    assert isinstance(join, Join)
    state.inside = frozenset(name for k in body for name in results(program.steps[k].operation))
    made: list[Ghost] = []
    copies: list[Ghost] = []
    for turn, (length, times) in enumerate(_turns(state.sizes[loop.index], loop.rows)):
        state.sizes[loop.part], state.turn = length, turn
        before, live = tuple(replace(works[k]) for k in body), memory.live
        _run_steps(state, program, range(loop.start, last), works)
        part = state.names.pop(join.source)
        made.append(part)
        for name in [name for name in state.names if name in state.inside]:
            memory.free(state.names.pop(name))
        if times == 1:
            continue
        for k, held in zip(body, before, strict=True):
            works[k].repeat(held, times)
        left = memory.live - live - part.bytes
        copies.append(memory.new(((times - 1) * part.count,), part.width))
        state.repeated[turn] = times, memory.new((max(left, 0) * (times - 1),), 1)
    state.turn = None
    device.work = works[last]
    _join(state, program, last, join, made)
    for ghost in (*made, *copies):
        memory.free(ghost)
    for name in program.steps[last].drops:
        if name in state.names:
            memory.free(state.names.pop(name))


def _turns(size: int, rows: int) -> tuple[tuple[int, int], ...]:
    """Lengths of the turns worth running, and how many turns each stands for.

    The first and the last are run as they are: what they allocate and free shows in the peak.
    """
    whole, rest = divmod(size, rows)
    if not rest and whole:
        whole, rest = whole - 1, rows
    last = ((rest, 1),) if rest else ((0, 1),)
    if whole <= 1:
        return ((rows, 1),) * whole + last
    return ((rows, 1), (rows, whole - 1), *last)


def _join(state: State, program: TensorProgram, number: int, join: Join, made: list[Ghost]) -> None:
    """`torch.cat` of the parts; the gradients of the parts are views of its own."""
    device = state.device
    result = device.new(state.shape(program.values[join.result].shape), made[0].width)
    device.call()
    device.copied(result)
    state.names[join.result] = result
    shapes = [ghost.shape for ghost in made]

    def back(gradients: list[Ghost | None]) -> list[Ghost | None]:
        gradient = only(gradients)
        device.call()
        return [device.view(gradient, shape, gradient.strides) for shape in shapes]

    if join.source in state.differentiable:
        state.differentiable.add(join.result)
        sources = tuple(f"{join.source} {turn}" for turn in range(len(made)))
        needs = (True,) * len(made)
        state.nodes.append(Node(number, None, (join.result,), sources, needs, (), back))


def _step(state: State, program: TensorProgram, number: int, operation: Operation) -> None:
    """Run one operation forward and record how to go back."""
    device, names = state.device, state.names
    match operation:
        case Argument(result, _):
            device.call(view=True)
            names[result] = device.memory.keep(state.inputs[result])
        case Part(result, source, _):
            device.call(view=True)
            whole = names[source]
            names[result] = device.view(
                whole, state.shape(program.values[result].shape), whole.strides
            )
        case Weight(result, key, _):
            device.read(key)
            names[result] = device.memory.keep(state.parameters[key])
            state.origin[result] = _slot(key)
            if key in state.trainable:
                state.differentiable.add(result)
        case StackWeights(result, keys, _):
            needs = tuple(key in state.trainable for key in keys)
            for key in keys:
                device.read(key)
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
    origins = tuple(state.slot(source) for source in sources)
    slots = tuple(state.slot(result) for result in results)
    state.nodes.append(Node(step, state.turn, slots, origins, needs, made.saved, made.back))


# ── backward ────────────────────────────────────────────────────────────────────────────────────


def _run_backward(state: State, program: TensorProgram) -> tuple[Work, ...]:
    """Go back through what was recorded, in the order of autograd's engine: last made, first."""
    device, memory = state.device, state.device.memory
    device.begin_backward()
    works = tuple(Work() for _ in program.steps)
    if program.result not in state.differentiable:
        return works
    uses = Counter(
        source
        for node in state.nodes
        for source, need in zip(node.sources, node.needs, strict=True)
        if need and source.startswith(PARAMETER)
    )
    gradient = memory.new(state.names[program.result].shape, device.width)  # it is there already
    gradients = {state.origin.get(program.result, program.result): memory.keep(gradient)}
    for node in reversed(state.nodes):
        times, left = state.repeated.get(-1 if node.turn is None else node.turn, (1, None))
        if left is not None and left.block.holders:
            memory.free(left)
        device.work = works[node.step]
        before = replace(device.work)
        arrived = [gradients.pop(name, None) for name in node.results]
        if any(ghost is not None for ghost in arrived):
            sent = node.back(arrived)
            contraction = program.steps[node.step].contraction
            if device.awkward and contraction is not None:
                state.awkward.add(contraction)
            device.awkward = False
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
        device.work.repeat(before, times)
    return works


def _accumulate(device: Device, gradients: dict[str, Ghost], source: str, arrived: Ghost) -> None:
    """Add a gradient to what has arrived before: in place where nobody else sees it."""
    before = gradients.get(source)
    if before is None:
        gradients[source] = arrived
        return
    device.inner_call()
    if before.dense and before.block.holders == 1:
        device.stream(before, arrived, before, flops=before.count)
    else:
        gradients[source] = device.elementwise(before, arrived)
        device.memory.free(before)
    device.memory.free(arrived)


def _settle(device: Device, gradients: dict[str, Ghost], key: str) -> None:
    """Make a gradient the `.grad` of its parameter: as it is, or copied to the declared layout."""
    device.work.seconds += device.profile.gradient
    gradient = gradients[key]
    if not gradient.contiguous:
        gradients[key] = device.clone(gradient)
        device.memory.free(gradient)
