"""What `scan` costs: its cell as often as there are steps."""

from __future__ import annotations

import math

from tncompile.language.typing.model import ResolvedModel
from tncompile.language.typing.operations import Scan
from tncompile.language.typing.values import Shape
from tncompile.models.costs.operations.job import Job, Outcome, others
from tncompile.models.costs.running.runs import Run
from tncompile.models.graph.hoisting import Split
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import SymbolicTensor


def ahead_of_step(scan: Scan, split: Split, entry: SymbolicTensor) -> int:
    """The bytes that a step reads of what was computed ahead; `entry` is of the first sequence."""
    callee, name = scan.part.callee, scan.step.inputs[0]
    assert isinstance(callee, ResolvedModel)
    (own,) = (each.shape for each in callee.inputs if each.name == name)
    rows = math.prod(entry.shape) // _entries(own)
    return entry.width * rows * sum(_entries(x.shape) for x in split.crossing if x.shape.dots)


def _entries(shape: Shape) -> int:
    return math.prod(size.at({}) for size in shape.sizes)


def scanned(job: Job, run: Run, steps: int, outputs: int, ahead: int) -> Outcome:
    """The cell once an entry, each output stacked; `outputs` is their number.

    What was computed `ahead`, so many bytes, lives as long as the loop.
    In training, what every step saves is held, and the state that the next one takes.
    """
    kernels, memory = job.kernels, job.kernels.memory
    kernels.call(view=True)
    kernels.work.spend(kernels.profile.member * steps)
    recorded = job.recorded or run.parameters > 0
    state = sum(each.width * math.prod(each.shape) for each in run.results)
    each_step = run.saved + (state if recorded else 0)
    early = memory.new((ahead,), 1)
    memory.free(memory.new((run.peak,), 1))
    _add(kernels.work, run.forward, steps)
    written = [
        memory.new((steps, shape_bytes), 1)
        for shape_bytes in (
            width * math.prod(shape) // max(1, steps)
            for shape, width in zip(job.shapes[:outputs], job.widths[:outputs], strict=True)
        )
    ]
    result, *more = [job.result(), *others(job)]
    for tensor in (result, *more)[:outputs]:
        kernels.call()
        kernels.copied(tensor)
    held = memory.new((each_step * steps if recorded else 0,), 1)
    memory.free(early)

    def backward(*gradients: SymbolicTensor | None) -> Gradients:
        _add(kernels.work, run.backward, steps)
        kernels.work.spend(kernels.profile.backward_member * steps * outputs)
        memory.free(memory.new((run.backward_peak + run.parameters,), 1))
        memory.new((run.parameters,), 1)
        pairs = zip(job.operands, job.requires_grad, strict=True)
        return [memory.new(each.shape, each.width) if needed else None for each, needed in pairs]

    return Outcome(result, backward, (held, *job.operands), tuple(more), (*written, held))


def _add(work: OpCost, once: OpCost, times: int) -> None:
    total = OpCost()
    total.add(once)
    total.repeat(OpCost(), times)
    work.add(total)
