"""What `scan` costs: its cell as often as there are steps."""

from __future__ import annotations

import math

from tncompile.models.costs.operations.job import Job, Outcome, others
from tncompile.models.costs.running.runs import Run
from tncompile.simulation.kernels import OpCost
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import SymbolicTensor


def scanned(job: Job, run: Run, steps: int, outputs: int) -> Outcome:
    """The cell once an entry, each output stacked; `outputs` is their number.

    In training, what every step saves is held, and the state that the next one takes.
    """
    kernels, memory = job.kernels, job.kernels.memory
    kernels.call(view=True)
    kernels.work.spend(kernels.profile.member * steps)
    recorded = job.recorded or run.parameters > 0
    state = sum(each.width * math.prod(each.shape) for each in run.results)
    each_step = run.saved + (state if recorded else 0)
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
