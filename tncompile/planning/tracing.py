"""What a tensor program does, found by running it on ghosts: work, bytes, seconds, peak memory.

`trace` follows the forward pass operation by operation and, for a training step, what autograd saves,
computes and frees on the way back. Parameters require gradients (frozen ones do not), inputs do not;
the gradient of the output is a contiguous tensor of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tncompile.lowering.program import Argument, TensorProgram, Weight
from tncompile.network.model import TensorNetwork
from tncompile.planning.ghosts import Ghost, Memory, Shape, batch_takes, blas_takes
from tncompile.planning.machine import MachineProfile

ID_WIDTH = 8
"""Bytes of an integer id."""

SMALL_PRODUCT = 400
"""`bmm` computes matrix products of fewer multiply-adds by itself, whatever the strides."""


@dataclass(slots=True)
class Work:
    """What one step of the program costs; seconds are predicted, the rest is counted."""

    multiply_adds: int = 0
    flops: int = 0
    moved: int = 0  # bytes read and written
    copied: int = 0  # bytes written only to change a layout
    largest: int = 0  # elements of the largest tensor made
    seconds: float = 0.0

    def add(self, other: Work) -> None:
        """Count the other's work as well."""
        self.multiply_adds += other.multiply_adds
        self.flops += other.flops
        self.moved += other.moved
        self.copied += other.copied
        self.largest = max(self.largest, other.largest)
        self.seconds += other.seconds


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


class Device:
    """Ghost kernels: they allocate what torch's allocate and count the work they would do."""

    def __init__(self, profile: MachineProfile, width: int) -> None:
        self.profile = profile
        self.width = width
        self.memory = Memory()
        self.work = Work()
        self.backward = False

    # ── bookkeeping ────────────────────────────────────────────────────────────────────────────

    def call(self, *, view: bool = False) -> None:
        """Count the overhead of one operation."""
        overhead = self.profile.view_call if view else self.profile.call
        if self.backward:
            overhead = self.profile.backward_view_call if view else self.profile.backward_call
        self.work.seconds += overhead

    def stream(self, *ghosts: Ghost, flops: int = 0) -> None:
        """Count one pass over these tensors."""
        moved = sum(ghost.bytes for ghost in ghosts)
        self.work.moved += moved
        self.work.flops += flops
        self.work.seconds += self.profile.pass_seconds(moved)

    def copied(self, made: Ghost, rate: float | None = None) -> None:
        """Count the bytes of a copy (a tensor read and written once)."""
        size = made.count * made.width
        self.work.copied += size
        self.work.moved += 2 * size
        within = 2 * size <= self.profile.cache
        bandwidth = self.profile.cached_bandwidth / 4 if within else self.profile.copy_bandwidth
        self.work.seconds += size / (rate or bandwidth)

    def new(self, shape: Shape, width: int | None = None, strides: Shape | None = None) -> Ghost:
        """Allocate a tensor."""
        made = self.memory.new(shape, self.width if width is None else width, strides)
        self.work.largest = max(self.work.largest, made.count)
        return made

    def view(self, source: Ghost, shape: Shape, strides: Shape) -> Ghost:
        """Another look at the same memory."""
        return self.memory.keep(Ghost(shape, strides, source.block, source.width))

    # ── kernels ────────────────────────────────────────────────────────────────────────────────

    def clone(self, source: Ghost) -> Ghost:
        """A contiguous copy."""
        made = self.new(source.shape, source.width)
        self.copied(made)
        return made

    def zeros(self, shape: Shape) -> Ghost:
        """A tensor filled with zeros."""
        made = self.new(shape)
        self.stream(made)
        return made

    def matmul(self, left: Ghost, right: Ghost) -> Ghost:
        """`mm` or `bmm`, what it copies inside included."""
        batch, (rows, inner), columns = left.shape[:-2], left.shape[-2:], right.shape[-1]
        matrices = batch[0] if batch else 1
        made = self.new((*batch, rows, columns))
        own = bool(batch) and rows * inner * columns < SMALL_PRODUCT
        fits = batch_takes(left) and batch_takes(right) if batch else True
        for ghost in (left, right):
            if own or (fits if batch else blas_takes(ghost)) or blas_takes(ghost):
                continue
            inside = self.memory.new(ghost.shape[-2:], ghost.width)  # one matrix at a time
            self.memory.free(inside)
            size = ghost.count * ghost.width
            self.work.copied += size
            self.work.moved += 2 * size
            self.work.seconds += size / self.profile.copy_bandwidth
        multiply_adds = matrices * rows * inner * columns
        moved = left.bytes + right.bytes + made.bytes
        rate = self.profile.gemm_rate(max(1, min(rows, inner, columns)))
        self.work.multiply_adds += multiply_adds
        self.work.flops += 2 * multiply_adds
        self.work.moved += moved
        self.work.seconds += max(2 * multiply_adds / rate, self.profile.pass_seconds(moved))
        self.work.seconds += self.profile.matrix * matrices if batch else 0.0
        return made


@dataclass(slots=True)
class Node:
    """What autograd remembers of one operation: the tensors it saves and how it goes back.

    `back` takes the gradients of the results (None where nothing came) and gives one for each of
    `sources`, all held once; None where none is needed.
    """

    step: int
    results: tuple[str, ...]
    sources: tuple[str, ...]
    back: Callable[[list[Ghost | None]], list[Ghost | None]]
    saved: tuple[Ghost, ...] = ()


@dataclass(slots=True)
class Tape:
    """The forward pass as recorded: nodes in order, and the parameter behind a name."""

    nodes: list[Node] = field(default_factory=list)
    parameters: dict[str, str] = field(default_factory=dict)  # value name to parameter key
    differentiable: set[str] = field(default_factory=set)


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
    from tncompile.planning.backward import run_backward
    from tncompile.planning.forward import run_forward

    device = Device(profile, width)
    tape = Tape()
    held = _hold(network, program, sizes, device, training, tape)
    before = device.memory.live
    works, names = run_forward(device, program, sizes, held, tape, training)
    backward: list[Work] = [Work() for _ in program.steps]
    if training:
        run_backward(device, program, names, tape, held, backward)
    return Trace(tuple(works), tuple(backward), before, device.memory.peak)


def _hold(
    network: TensorNetwork,
    program: TensorProgram,
    sizes: Mapping[str, int],
    device: Device,
    training: bool,
    tape: Tape,
) -> dict[str, Ghost]:
    """Inputs (by value name) and parameters (by key), which are there before and after."""
    held: dict[str, Ghost] = {}
    for step in program.steps:
        if isinstance(step.operation, Argument):
            value = program.values[step.operation.result]
            shape = tuple(extent.at(sizes) for extent in value.shape)
            held[value.name] = device.memory.new(
                shape, ID_WIDTH if value.integer else device.width
            )
    for parameter in network.parameters:
        held[parameter.key] = device.memory.new(parameter.shape, device.width)
        if training and not parameter.frozen:
            tape.differentiable.add(parameter.key)
    return held


def weights(program: TensorProgram) -> dict[str, str]:
    """The parameter key of every value that is a parameter as it stands."""
    return {
        step.operation.result: step.operation.key
        for step in program.steps
        if isinstance(step.operation, Weight)
    }
