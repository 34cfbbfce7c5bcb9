"""What a tensor program does, found by running it on ghosts: work, bytes, seconds, peak memory.

`trace` follows the forward pass operation by operation and, for a training step, what autograd
saves, computes and frees on the way back. Parameters require gradients (frozen ones do not), and so
do inputs that other layers may have made; the gradient of the output is a contiguous tensor of its
own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import TensorNetwork
from tncompile.program.operations import Argument
from tncompile.program.program import TensorProgram
from tncompile.simulation import rules as rules  # registers how each operation is simulated
from tncompile.simulation.derivatives import Gradients
from tncompile.simulation.kernels import ID_WIDTH, KernelModel, OpCost
from tncompile.simulation.loops import rerun, run_loop
from tncompile.simulation.tape import PARAMETER, RecomputedIteration, Tape, TapeNode, run_steps
from tncompile.simulation.tensors import Shape, SymbolicTensor

THROUGH = True
"""Training steps go back to inputs unless it is said: layers stand in models. Else what repeats an
input for free is preferred, whose gradient is then summed up over all repetitions."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The work of every step, forward and backward, and the peak of what is alive.

    `held` are the bytes of inputs and parameters, which the peak includes, `overhead` the seconds
    that calling the module and starting the backward pass take. `awkward` are the contractions
    whose gradient arrives in an order that products must copy first.
    """

    forward: tuple[OpCost, ...]
    backward: tuple[OpCost, ...]
    held: int
    peak: int
    overhead: float = 0.0
    awkward: tuple[int, ...] = ()
    overlaps: bool = False  # whether the device works while the host calls on

    @property
    def total(self) -> OpCost:
        """All work together."""
        total = OpCost()
        for work in (*self.forward, *self.backward):
            total.add(work)
        total.spend(self.overhead)
        if self.overlaps:
            total.seconds = total.overlapped()
        return total


def passed_on(network: TensorNetwork) -> frozenset[str]:
    """The inputs that want gradients in the middle of a model.

    Ids have none, and inputs of several slices are features that are made of data.
    """
    return frozenset(
        one.name
        for one in network.inputs
        if not one.integer and not any(axis.kind == "slices" for axis in one.axes)
    )


def trace(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    *,
    training: bool,
    width: int = 4,
    through: bool = THROUGH,
    strides: Mapping[str, Shape] | None = None,
) -> Trace:
    """Run the program on ghosts at these run-time sizes; `width` is the bytes of a number.

    `strides` are those of parameters that are not contiguous, by key.

    With `through` a training step goes back through the module: what another layer may have made
    (`passed_on`) wants gradients, too.
    """
    device = KernelModel(profile, width)
    layouts = strides or {}
    parameters = {
        p.key: device.memory.new(p.shape, width, layouts.get(p.key)) for p in network.parameters
    }
    trainable = frozenset(p.key for p in network.parameters if training and not p.frozen)
    wanting = passed_on(network) if training and through else frozenset()
    state = Tape(device, dict(sizes), parameters, trainable, wanting)
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
    peak, overhead = device.memory.peak, device.overhead
    return Trace(forward, backward, held, peak, overhead, awkward, profile.overlaps)


def _run_forward(state: Tape, program: TensorProgram) -> tuple[OpCost, ...]:
    memory, loop = state.device.memory, program.loop
    works = tuple(OpCost() for _ in program.steps)
    numbers = range(len(program.steps))
    if loop is None:
        run_steps(state, program, numbers, works)
    else:
        run_steps(state, program, numbers[: loop.start], works)
        run_loop(state, program, loop, works)
        run_steps(state, program, numbers[loop.stop :], works)
    if state.positions is not None:
        memory.free(state.positions)
    returned = {program.result, program.log}
    for name in [name for name in state.names if name not in returned]:
        memory.free(state.names.pop(name))
    return works


# ── backward ────────────────────────────────────────────────────────────────────────────────────


def _run_backward(state: Tape, program: TensorProgram) -> tuple[OpCost, ...]:
    """Go back through what was recorded, in the order of autograd's engine: last made, first."""
    device, memory = state.device, state.device.memory
    device.begin_backward()
    works = tuple(OpCost() for _ in program.steps)
    if program.result not in state.differentiable:
        return works
    uses = Counter(
        source
        for node in _recorded(state)
        for source, need in zip(node.sources, node.needs, strict=True)
        if need and source.startswith(PARAMETER)
    )
    gradient = memory.new(state.names[program.result].shape, device.width)  # it is there already
    gradients = {state.origin.get(program.result, program.result): memory.keep(gradient)}
    copies = _Copies(state)
    for held in reversed(state.nodes):
        times = copies.enter(held.turn)
        nodes: tuple[TapeNode, ...] = (held,) if isinstance(held, TapeNode) else ()
        if isinstance(held, RecomputedIteration):
            before = tuple(map(replace, works))
            nodes = rerun(state, program, held, works)
            for work, earlier in zip(works, before, strict=True):
                work.repeat(earlier, times)
        for node in reversed(nodes):
            device.work = works[node.step]
            earlier = replace(device.work) if times > 1 else device.work
            _go_back(state, program, node, gradients, uses)
            device.work.repeat(earlier, times)
            copies.send(node, gradients, times)
    return works


@dataclass(slots=True)
class _Copies:
    """The memory of turns like the one under way, of which it runs as the first.

    They have saved what they made; once it has been gone back through, they have sent gradients of
    their parts, which stay until all are joined. The one goes as the other comes.
    """

    state: Tape
    turn: int | None = None
    saved: SymbolicTensor | None = None
    sent: list[SymbolicTensor] = field(default_factory=list)

    def enter(self, turn: int | None) -> int:
        """The next node is of this turn, None where it is of no loop: how often that one runs."""
        times, saved = self.state.repeated.get(-1 if turn is None else turn, (1, None))
        if turn != self.turn:
            self._forget()
            self.turn, self.saved = turn, saved
        return times

    def send(self, node: TapeNode, gradients: Mapping[str, SymbolicTensor], times: int) -> None:
        """A node of the turn has sent what it sends."""
        memory, cut = self.state.device.memory, self.state.cut
        if node.turn is None:  # all parts are joined
            while self.sent:
                memory.free(self.sent.pop())
        elif times > 1 and (parts := cut.intersection(node.sources) & gradients.keys()):
            self._forget()
            cut -= parts
            held = [gradients[name] for name in sorted(parts)]
            self.sent += [memory.new(((times - 1) * one.count,), one.width) for one in held]

    def _forget(self) -> None:
        if self.saved is not None:
            self.state.device.memory.free(self.saved)
            self.saved = None


def _go_back(
    state: Tape,
    program: TensorProgram,
    node: TapeNode,
    gradients: dict[str, SymbolicTensor],
    uses: Counter[str],
) -> None:
    """One node: from the gradients that have arrived to those of what it read."""
    device = state.device
    arrived = [gradients.pop(name, None) for name in node.results]
    sent: Gradients = [None] * len(node.sources)
    if any(ghost is not None for ghost in arrived):
        sent = node.back(arrived)
        contraction = program.steps[node.step].contraction
        if device.awkward and contraction is not None:
            state.awkward.add(contraction)
        device.awkward = False
    for ghost in (*node.saved, *arrived):
        if ghost is not None:
            device.memory.free(ghost)
    for source, ghost in zip(node.sources, sent, strict=True):
        if ghost is not None:
            _accumulate(device, gradients, source, ghost)
        if source in uses:
            uses[source] -= 1
            if not uses[source] and source in gradients:
                _settle(device, gradients, source)


def _recorded(state: Tape) -> Iterator[TapeNode]:
    """All nodes, those of turns that run again among them."""
    for held in state.nodes:
        yield from held.nodes if isinstance(held, RecomputedIteration) else (held,)


def _accumulate(
    device: KernelModel, gradients: dict[str, SymbolicTensor], source: str, arrived: SymbolicTensor
) -> None:
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


def _settle(device: KernelModel, gradients: dict[str, SymbolicTensor], key: str) -> None:
    """Make a gradient the `.grad` of its parameter: as it is, or copied to the declared layout."""
    device.work.spend(device.profile.gradient)
    gradient = gradients[key]
    if not gradient.contiguous:
        gradients[key] = device.clone(gradient)
        device.memory.free(gradient)
