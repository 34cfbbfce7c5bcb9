"""The cost of a program, found by running it on symbolic tensors.

`trace` follows the forward pass operation by operation and, for a training step, what autograd
saves, computes and frees in the backward pass. Parameters require gradients unless frozen, and so
do inputs that another layer may have made. The gradient of the output is row-major.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tncompile.machine.profile import MachineProfile
from tncompile.network.model import Parameter, TensorNetwork
from tncompile.network.packing import Codes
from tncompile.program.operations import Argument
from tncompile.program.program import TensorProgram
from tncompile.simulation.kernels import ID_WIDTH, KernelModel, OpCost
from tncompile.simulation.loops import recompute, run_loop
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tape import PARAMETER, RecomputedIteration, Tape, TapeNode, run_steps
from tncompile.simulation.tensors import Shape, SymbolicTensor, shared_run

Slot = TypeVar("Slot")  # where a gradient is collected


@dataclass(frozen=True, slots=True)
class Trace:
    """The cost of every step, forward and backward, and the peak of the bytes alive.

    `backward` is empty without training; `overhead` are the seconds of calling the module and of
    starting the backward pass. `held` are the bytes beyond the resident ones at the end of the
    forward pass: results, and what autograd saves. It saves the inputs `saved_inputs`, too.
    """

    forward: tuple[OpCost, ...]
    backward: tuple[OpCost, ...]
    resident: int  # bytes of inputs and parameters, part of the peak
    parameters: int  # of those, the bytes of parameters
    overhead: float = 0.0
    noncontiguous_gradients: tuple[int, ...] = ()  # contractions that copy theirs
    overlaps: bool = False  # whether the device computes while the host calls on
    held: int = 0
    saved_inputs: frozenset[str] = frozenset()

    @property
    def forward_peak(self) -> int:
        """The most bytes alive at once up to the end of the forward pass."""
        return max(self.resident, max((work.peak for work in self.forward), default=0))

    @property
    def peak(self) -> int:
        """The most bytes alive at once: the largest peak of a step."""
        return max(self.forward_peak, max((work.peak for work in self.backward), default=0))

    @property
    def total(self) -> OpCost:
        """The sum of all steps."""
        total = OpCost()
        for cost in (*self.forward, *self.backward):
            total.add(cost)
        total.spend(self.overhead)
        if self.overlaps:
            total.seconds = total.overlapped()
        return total


def passed_on(network: TensorNetwork) -> frozenset[str]:
    """The inputs that require gradients in the middle of a model.

    Ids have none, and inputs of several slices are features computed from data.
    """
    return frozenset(
        each.name
        for each in network.inputs
        if not each.integer and not any(axis.kind == "slices" for axis in each.axes)
    )


def entry_width(parameter: Parameter, width: int) -> int:
    """The bytes of an entry of a parameter, at so many for a real number."""
    return 1 if isinstance(parameter, Codes) else width * (1 + parameter.complex)


def trace(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    profile: MachineProfile,
    *,
    training: bool,
    width: int = 4,
    through: bool = True,
    strides: Mapping[str, Shape] | None = None,
    numbers: Collection[str] = (),
) -> Trace:
    """Run the program on symbolic tensors at these run-time sizes.

    `width` is the bytes of a real number, `strides` are those of parameters that are not row-major,
    by key. With `through` a training step computes the gradients of inputs (`passed_on`), too, as
    that of a layer inside a model does; otherwise plans are preferred that expand an input, whose
    gradient sums over all repetitions. Inputs are taken to be real; those of ids that are `numbers`
    of Python have no memory, and a row that they pick is a view.
    """
    kernels = KernelModel(profile, width)
    memory = kernels.memory
    layouts = strides or {}
    parameters = {
        p.key: memory.new(p.shape, entry_width(p, width), layouts.get(p.key))
        for p in network.parameters
    }
    trainable = frozenset(p.key for p in network.parameters if training and not p.frozen)
    inputs = passed_on(network) if training and through else frozenset()
    stored = memory.live
    tape = Tape(kernels, dict(sizes), parameters, trainable, inputs)
    for step in program.steps:
        if isinstance(step.operation, Argument):
            value = program.values[step.operation.result]
            bytes_each = ID_WIDTH if value.integer else width
            if step.operation.input in numbers:
                bytes_each = 0
            tape.inputs[value.name] = memory.new(tape.shape(value.shape), bytes_each)
    resident = memory.live
    kernels.begin_forward()
    forward = _run_forward(tape, program)
    kernels.begin(OpCost())
    held = memory.live - resident
    saved = frozenset(
        step.operation.input
        for step in program.steps
        if isinstance(step.operation, Argument)
        and tape.inputs[step.operation.result].allocation.holders > 1
    )
    backward: tuple[OpCost, ...] = ()
    if training:
        gradients: dict[str, SymbolicTensor] = {}
        backward = _run_backward(tape, program, gradients)
        if network.windows:
            _hand_on_images(tape, program, gradients, backward)
        kernels.begin(OpCost())
    return Trace(
        forward,
        backward,
        resident,
        stored,
        kernels.overhead,
        tuple(sorted(tape.noncontiguous_gradients)),
        profile.overlaps,
        held,
        saved,
    )


def _run_forward(tape: Tape, program: TensorProgram) -> tuple[OpCost, ...]:
    memory, loop = tape.kernels.memory, program.loop
    costs = tuple(OpCost() for _ in program.steps)
    numbers = range(len(program.steps))
    run_steps(tape, program, numbers if loop is None else numbers[: loop.start], costs)
    if loop is not None:
        run_loop(tape, program, loop, costs)
        run_steps(tape, program, numbers[loop.stop :], costs)
    if tape.positions is not None:
        memory.free(tape.positions)
    for name in [name for name in tape.values if name not in program.returns]:
        memory.free(tape.values.pop(name))
    return costs


# ── backward ────────────────────────────────────────────────────────────────────────────────────


def _run_backward(
    tape: Tape, program: TensorProgram, gradients: dict[str, SymbolicTensor]
) -> tuple[OpCost, ...]:
    """Go through the nodes in the order of autograd's engine: the last recorded first.

    `gradients` are filled with those of what no node makes.
    """
    kernels, memory = tape.kernels, tape.kernels.memory
    kernels.begin_backward()
    costs = tuple(OpCost() for _ in program.steps)
    if tape.differentiable.isdisjoint(program.returns):
        return costs
    kernels.begin(costs[-1])  # the gradient of the result arrives
    uses = Counter(
        source
        for recorded in tape.nodes
        for node in (recorded.nodes if isinstance(recorded, RecomputedIteration) else (recorded,))
        for source, needed in zip(node.sources, node.requires_grad, strict=True)
        if needed and source.startswith(PARAMETER)
    )
    results = {name: tape.values[name] for name in program.returns if name in tape.differentiable}
    gradients |= {
        tape.slot(name): memory.keep(memory.received(result.shape, result.width))
        for name, result in results.items()
    }
    others = _LikeIterations(tape)
    for recorded in reversed(tape.nodes):
        times = others.enter(recorded.iteration)
        if isinstance(recorded, RecomputedIteration):
            before = tuple(map(replace, costs))
            nodes = recompute(tape, program, recorded, costs)
            for cost, earlier in zip(costs, before, strict=True):
                cost.repeat(earlier, times)
        else:
            nodes = (recorded,)
        for node in reversed(nodes):
            kernels.begin(costs[node.step])
            earlier = replace(kernels.work) if times > 1 else kernels.work
            _run_node(tape, program, node, gradients, uses)
            kernels.work.repeat(earlier, times)
            others.send(node, gradients, times)
    return costs


def _hand_on_images(
    tape: Tape,
    program: TensorProgram,
    gradients: Mapping[str, SymbolicTensor],
    costs: tuple[OpCost, ...],
) -> None:
    """Count the copies of gradients of images that do not lie in memory as the images do.

    Whatever is before the module makes them: images are large, and convolutions, norms and sums of
    gradients ask for one format.
    """
    for step, cost in zip(program.steps, costs, strict=True):
        if not isinstance(step.operation, Argument):
            continue
        value = program.values[step.operation.result]
        gradient, due = gradients.get(tape.slot(value.name)), tape.shape(value.strides)
        if gradient is not None and (run := shared_run(gradient, due)) < gradient.count:
            size = gradient.bytes
            cost.seconds += tape.kernels.profile.copy_seconds(size, run * gradient.width)


@dataclass(slots=True)
class _LikeIterations:
    """The memory of the iterations that the one under way stands for.

    Each holds what it saved until the backward pass has gone through it, then the gradients of its
    chunks until those of all iterations are joined.
    """

    tape: Tape
    iteration: int | None = None
    saved: SymbolicTensor | None = None
    sent: list[SymbolicTensor] = field(default_factory=list)

    def enter(self, iteration: int | None) -> int:
        """How many iterations this one stands for, which the next node is of; None is no loop."""
        times, saved = self.tape.repeated.get(-1 if iteration is None else iteration, (1, None))
        if iteration != self.iteration:
            self._free_saved()
            self.iteration, self.saved = iteration, saved
        return times

    def send(self, node: TapeNode, gradients: Mapping[str, SymbolicTensor], times: int) -> None:
        """Take note of the gradients that a node has sent to its sources."""
        memory, chunks = self.tape.kernels.memory, self.tape.chunk_slots
        if node.iteration is None:  # all chunks are joined
            while self.sent:
                memory.free(self.sent.pop())
        elif times > 1 and (slots := chunks.intersection(node.sources) & gradients.keys()):
            self._free_saved()
            chunks -= slots
            for gradient in (gradients[slot] for slot in sorted(slots)):
                self.sent.append(memory.new(((times - 1) * gradient.count,), gradient.width))

    def _free_saved(self) -> None:
        if self.saved is not None:
            self.tape.kernels.memory.free(self.saved)
            self.saved = None


def _run_node(
    tape: Tape,
    program: TensorProgram,
    node: TapeNode,
    gradients: dict[str, SymbolicTensor],
    uses: Counter[str],
) -> None:
    """One node: from the gradients of its results to those of its sources."""
    kernels = tape.kernels
    arrived = [gradients.pop(slot, None) for slot in node.results]
    sent: Gradients = [None] * len(node.sources)
    if any(gradient is not None for gradient in arrived):
        sent = node.backward(*arrived)
        contraction = program.steps[node.step].contraction
        if kernels.noncontiguous_gradient and contraction is not None:
            tape.noncontiguous_gradients.add(contraction)
        kernels.noncontiguous_gradient = False
    for tensor in (*node.saved, *arrived):
        if tensor is not None:
            kernels.memory.free(tensor)
    for source, gradient in zip(node.sources, sent, strict=True):
        if gradient is not None:
            accumulate(kernels, gradients, source, gradient)
        if source in uses:
            uses[source] -= 1
            if not uses[source] and source in gradients:  # it becomes the `.grad`, row-major
                kernels.work.spend(kernels.profile.gradient)
                total, gradients[source] = gradients[source], kernels.contiguous(gradients[source])
                kernels.memory.free(total)


def accumulate(
    kernels: KernelModel,
    gradients: dict[Slot, SymbolicTensor],
    source: Slot,
    arrived: SymbolicTensor,
) -> None:
    """Add a gradient to what has arrived before: in place where that has no other holder.

    One that is marked as conjugate shares its memory with what it is the conjugate of.
    """
    before = gradients.get(source)
    if before is None:
        gradients[source] = arrived
        return
    kernels.inner_call()
    if before.dense and before.allocation.holders == 1 and not before.conjugate:
        added = kernels.resolved(arrived)
        kernels.stream(before, added, before, flops=before.count)
        kernels.memory.free(added)
    else:
        gradients[source] = kernels.elementwise(before, arrived)
        kernels.memory.free(before)
    kernels.memory.free(arrived)
