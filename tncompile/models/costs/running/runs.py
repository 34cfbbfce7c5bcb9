"""What one run of a part costs, whatever it is, and what a caller sees of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tncompile.language.typing.model import Part
from tncompile.models.costs.operations.job import Job, Outcome, Rule, foreign
from tncompile.simulation.kernels import KernelModel, OpCost
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import Shape, SymbolicTensor


@dataclass(frozen=True, slots=True)
class Outline:
    """A result: new memory, or that of the operand `source`."""

    shape: Shape
    strides: Shape
    width: int
    source: int | None = None


@dataclass(slots=True)
class Share:
    """What the calls of one part cost in a run of its model, all of them together."""

    part: Part
    run: Run
    calls: int = 0
    forward: OpCost = field(default_factory=OpCost)
    backward: OpCost = field(default_factory=OpCost)
    saved: int = 0
    peak: int = 0  # of one call

    def add(self, run: Run, calls: int) -> None:
        """Count more calls."""
        for total, each in ((self.forward, run.forward), (self.backward, run.backward)):
            added = OpCost()
            added.add(each)
            added.repeat(OpCost(), calls)
            total.add(added)
        self.calls += calls
        self.peak = max(self.peak, run.peak, run.backward_peak)


@dataclass(frozen=True, slots=True)
class Contraction:
    """A product, by the path to it, and the predicted seconds of a forward pass that it takes."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a part on operands of some sizes, forward and, in training, backward.

    Bytes are those beyond what was there before the pass. `saved` is what autograd holds beside
    the results, of operands those of these numbers are; `gradients` says which operands get one,
    `parameters` are the bytes of the gradients of parameters. A network was `called` with
    so many rows and other sizes.
    """

    forward: OpCost
    backward: OpCost
    peak: int
    backward_peak: int
    results: tuple[Outline, ...]
    saved: int = 0
    saved_operands: tuple[int, ...] = ()
    saved_results: tuple[int, ...] = ()
    gradients: tuple[bool, ...] = ()
    parameters: int = 0
    shares: tuple[Share, ...] = ()
    largest: Contraction | None = None
    uncounted: frozenset[str] = frozenset()
    called: tuple[int, Mapping[str, int]] | None = None


def outlines(
    results: Sequence[SymbolicTensor], operands: Sequence[SymbolicTensor]
) -> tuple[Outline, ...]:
    """What a caller sees of results."""
    place = {id(each.allocation): k for k, each in reversed(list(enumerate(operands)))}
    return tuple(
        Outline(each.shape, each.strides, each.width, place.get(id(each.allocation)))
        for each in results
    )


def run_alone(kernels: KernelModel, rule: Rule, job: Job, given: int) -> Run:
    """A run of a rule by itself; the operands after the first `given` are parameters."""
    memory = kernels.memory
    kernels.recording = job.recorded
    kernels.work.spend(kernels.profile.forward_start)
    outcome = rule(job)
    held = outcome.saved if job.recorded else ()
    for tensor in held:
        memory.keep(tensor)
    for tensor in outcome.scratch:
        memory.free(tensor)
    forward, peak = kernels.work, memory.peak
    fresh = {id(each.allocation): each.allocation for each in outcome.results}
    own = {id(each.allocation) for each in job.operands}
    saved = memory.live - sum(each.size for key, each in fresh.items() if key not in own)
    numbers = {id(each.allocation): k for k, each in reversed(list(enumerate(job.operands)))}
    kept = {id(each.allocation) for each in held}
    backward, backward_peak = OpCost(), 0
    sent: Gradients = []
    if job.recorded:
        backward = kernels.work = OpCost()
        kernels.backward = True
        before, memory.peak = memory.live, memory.live
        arrived = [foreign(each.shape, each.width) for each in outcome.results]
        sent = outcome.backward(*arrived)
        backward_peak = memory.peak - before
    return Run(
        forward,
        backward,
        peak,
        backward_peak,
        outlines(outcome.results, job.operands[:given]),
        saved,
        tuple(k for key, k in numbers.items() if key in kept and k < given),
        tuple(k for k, each in enumerate(outcome.results) if id(each.allocation) in kept),
        tuple(each is not None for each in sent[:given]),
        sum(each.count * each.width for each in sent[given:] if each is not None),
    )


def called(job: Job, run: Run, tensors: Mapping[str, int], trained: set[str]) -> Outcome:
    """What a run does to the memory and the work of its caller.

    The gradients of parameters stay, unless those of the same key are among the `trained` already:
    then they are added to these. `tensors` are the bytes of all of the part, by key.
    """
    kernels, memory = job.kernels, job.kernels.memory
    memory.free(memory.new((run.peak,), 1))
    kernels.work.add(run.forward)
    results = [
        memory.new(each.shape, each.width, each.strides)
        if each.source is None
        else kernels.view(job.operands[each.source], each.shape, each.strides)
        for each in run.results
    ]
    own = memory.new((run.saved,), 1)
    saved = [own, *(job.operands[k] for k in run.saved_operands)]
    saved += [results[k] for k in run.saved_results]

    def backward(*gradients: SymbolicTensor | None) -> Gradients:
        kernels.work.add(run.backward)
        memory.free(memory.new((run.backward_peak,), 1))
        again = sum(size for key, size in tensors.items() if key in trained)
        again = min(again, run.parameters)
        if again:  # one more for their sum
            memory.free(memory.new((2 * again,), 1))
        if again < run.parameters:
            memory.new((run.parameters - again,), 1)
        trained.update(tensors)
        return [
            memory.new(operand.shape, operand.width) if needed else None
            for operand, needed in zip(job.operands, run.gradients, strict=True)
        ]

    return Outcome(results[0], backward, tuple(saved), tuple(results[1:]), (own,))


def reordered(run: Run, inputs: Sequence[str], given: Sequence[str], job: Job) -> Run:
    """A run of a model, its operands in the order of a call, its results in the call's shapes."""
    place = {name: given.index(name) for name in inputs}
    results = tuple(
        replace(
            each,
            shape=shape,
            strides=each.strides if each.shape == shape else foreign(shape, 1).strides,
            source=None if each.source is None else place[inputs[each.source]],
        )
        for each, shape in zip(run.results, job.shapes, strict=False)
    )
    gradients = [False] * len(given)
    for name, wanted in zip(inputs, run.gradients, strict=True):
        gradients[place[name]] = wanted
    return replace(
        run,
        results=results + run.results[len(results) :],
        saved_operands=tuple(place[inputs[k]] for k in run.saved_operands),
        gradients=tuple(gradients),
    )
