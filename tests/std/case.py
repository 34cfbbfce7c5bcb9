"""What a case of a model of the library is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from tests.acceptance.models.case import Result


@dataclass(frozen=True, eq=False)
class Case:
    """A block with its arguments, what to call it with, and what it must return.

    inputs: draws the arguments of `forward`; its other arguments are run-time sizes.
    twin: the result, from the state dict and the inputs; it reads every key but counts of batches.
    loose: other sizes for a second call.
    frozen: beginnings of the keys that are not trained.
    held: positions of the inputs that every step is given whole.
    text: a program that hands parts to the block, which is then not the one that is compiled.
    """

    file: str
    target: str
    inputs: Callable[..., tuple[Tensor, ...]]
    twin: Callable[..., Result]
    loose: Mapping[str, int] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    held: tuple[int, ...] = ()
    text: str = ""
