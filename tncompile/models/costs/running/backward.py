"""The backward pass over what autograd has recorded of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tncompile.language.typing.values import Value
from tncompile.models.costs.operations.job import Outcome
from tncompile.simulation.kernels import KernelModel, OpCost
from tncompile.simulation.rules import Gradients
from tncompile.simulation.tensors import SymbolicTensor
from tncompile.simulation.trace import accumulate


@dataclass(frozen=True, slots=True)
class Node:
    """A recorded operation; `sources` are None where no gradient is wanted.

    `counted` says that its rule has counted FLOPs, `fourier` are those of Fourier transforms.
    """

    outcome: Outcome
    results: tuple[Value | None, ...]
    sources: tuple[Value | None, ...]
    counted: bool
    fourier: int


def run_backward(
    kernels: KernelModel, nodes: Sequence[Node], gradients: dict[Value, SymbolicTensor]
) -> OpCost:
    """Go through the nodes, the last first; `gradients` begin with those of the results.

    In the end they are those of what no node makes.
    """
    kernels.backward = True
    memory, total = kernels.memory, OpCost()
    for node in reversed(nodes):
        kernels.work = OpCost()
        arrived = [None if value is None else gradients.pop(value, None) for value in node.results]
        sent: Gradients = [None] * len(node.sources)
        if any(gradient is not None for gradient in arrived):
            sent = node.outcome.backward(*arrived)
        for tensor in (*node.outcome.saved, *arrived):
            if tensor is not None:
                memory.free(tensor)
        for source, gradient in zip(node.sources, sent, strict=True):
            if gradient is None:
                continue
            if source is None:
                memory.free(gradient)
            else:
                accumulate(kernels, gradients, source, gradient)
        if not node.counted:
            kernels.work.flops = 2 * kernels.work.multiply_adds + node.fourier
        total.add(kernels.work)
    return total
