"""What an operation on ghosts leaves behind: its result, what autograd saves, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tncompile.program.registry import Registry
from tncompile.simulation.kernels import KernelModel
from tncompile.simulation.tensors import Shape, SymbolicTensor

Gradients = list[SymbolicTensor | None]
Back = Callable[[Gradients], Gradients]
Needs = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A result, the tensors saved for its derivative, and the derivative."""

    result: SymbolicTensor
    saved: tuple[SymbolicTensor, ...] = ()
    back: Back = lambda gradients: []
    others: tuple[SymbolicTensor, ...] = ()  # results after the first
    scratch: tuple[SymbolicTensor, ...] = ()  # let go once the operation is recorded


@dataclass(frozen=True, slots=True)
class Call:
    """An operation about to run: its operands, which of them want gradients, its first shape."""

    device: KernelModel
    operands: list[SymbolicTensor]
    needs: Needs
    shape: Shape


SIMULATED: Registry[Made] = Registry()
"""What each operation costs: a function of `Call` and the operation."""

simulates = SIMULATED.register


def only(gradients: Gradients) -> SymbolicTensor:
    """The gradient of an operation with one result."""
    (gradient,) = gradients
    assert gradient is not None
    return gradient
