"""What an operation on ghosts leaves behind: its result, what autograd saves, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tncompile.simulation.tensors import SymbolicTensor

Gradients = list[SymbolicTensor | None]
Back = Callable[[Gradients], Gradients]
Needs = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Made:
    """A result, the tensors saved for its derivative, and the derivative."""

    result: SymbolicTensor
    saved: tuple[SymbolicTensor, ...] = ()
    back: Back = lambda gradients: []


def only(gradients: Gradients) -> SymbolicTensor:
    """The gradient of an operation with one result."""
    (gradient,) = gradients
    assert gradient is not None
    return gradient
