"""What recurrent layers cost: a product for all steps, then one a step."""

from __future__ import annotations

from tncompile.language.typing.layers.entry import Settings
from tncompile.models.costs.operations.job import Job, Outcome, others
from tncompile.models.costs.operations.products import multiplied
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import SymbolicTensor

"""Rows of a weight for each entry of the state: `RNN`, `GRU`, `LSTM`."""

CALLS = {1: 4, 3: 12, 4: 16}
"""Calls of torch for each step."""

SAVED = {1: 3, 3: 10, 4: 20}
"""Numbers that autograd saves for each entry of the state in each step."""


def recurrent(job: Job, settings: Settings) -> Outcome:
    """`nn.RNN`, `nn.GRU` and `nn.LSTM`."""
    kernels, source = job.kernels, job.operands[0]
    batch, steps, inputs = source.shape
    hidden, layers = settings.number("hidden_size"), settings.number("num_layers")
    directions = 2 if settings.flag("bidirectional") else 1
    weights = [each for each in job.operands if len(each.shape) == 2]
    gates = weights[0].shape[0] // hidden
    projected = hidden
    if "proj_size" in settings.values:
        projected = settings.number("proj_size") or hidden
    wide = kernels.scratch(((gates + 1) * batch * steps * hidden,), 4)  # all gates of a layer

    def products() -> None:
        for layer in range(layers):
            taken = inputs if layer == 0 else directions * projected
            for _ in range(directions):
                multiplied(kernels, 1, batch * steps, taken, gates * hidden)
                before = kernels.work.seconds
                multiplied(kernels, 1, batch, projected, gates * hidden)
                kernels.work.multiply_adds += (steps - 1) * batch * projected * gates * hidden
                kernels.work.seconds += (steps - 1) * (kernels.work.seconds - before)

    products()
    runs = layers * directions
    kernels.work.spend(runs * steps * CALLS[gates] * kernels.profile.call)
    kernels.work.moved += runs * (source.bytes + 2 * gates * 4 * batch * steps * hidden)
    saved = kernels.memory.new((job.recorded * runs * SAVED[gates] * batch * steps * hidden,), 4)
    result = job.result()

    def backward(gradient: SymbolicTensor, *_: SymbolicTensor | None) -> Gradients:
        products()
        products()
        kernels.work.spend(runs * steps * CALLS[gates] * kernels.profile.backward_call)
        pairs = zip(job.operands, job.requires_grad, strict=True)
        return [kernels.new(each.shape) if needed else None for each, needed in pairs]

    scratch = (wide, saved)
    return Outcome(result, backward, (source, saved), others(job), scratch)
