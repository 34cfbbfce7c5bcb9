"""What a capability is, the list of all, and how outputs are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tests.support.modules import Subject, tensors

Check = Callable[[Subject], str]
Output = Tensor | Sequence[Tensor]


@dataclass(frozen=True)
class Capability:
    """A column of the table. Without a `check` one test tries all modules at once."""

    chapter: str
    title: str
    meaning: str
    check: Check | None = None
    batched: bool = False  # tried on modules with leading axes only
    plain_names: bool = False  # torch refuses parameters that are named like methods

    def __str__(self) -> str:
        return self.title.replace(" ", "_")

    def applies(self, subject: Subject) -> bool:
        """Whether a module can be asked for it."""
        named_oddly = str(subject) == "Names"
        return (subject.batched or not self.batched) and not (self.plain_names and named_oddly)


CAPABILITIES: list[Capability] = []
SIZED: list[Capability] = []
"""Those tried at the sizes that people use."""


def capability(
    chapter: str,
    title: str,
    *,
    batched: bool = False,
    plain_names: bool = False,
    into: list[Capability] = CAPABILITIES,
) -> Callable[[Check], Check]:
    """Makes a function a capability; its docstring is the legend. It returns what the cell says."""

    def register(check: Check) -> Check:
        meaning = " ".join((check.__doc__ or "").split())
        into.append(Capability(chapter, title, meaning, check, batched, plain_names))
        return check

    return register


def close(made: Output, due: Output, tolerance: float = 1e-5) -> None:
    """Equal outputs, tuples part by part."""
    for one, other in zip(tensors(made), tensors(due), strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def near(made: Output, due: Output, tolerance: float) -> None:
    """Equal outputs up to a part of the largest; of a `log` output the logarithm alone."""
    one, other = tensors(made)[-1], tensors(due)[-1]
    assert one.isfinite().all()
    scale = other.abs().max().clamp(min=0.1)
    assert (one.to(other.dtype) - other).abs().max() <= tolerance * scale


def differentiable(value: Output) -> Tensor:
    """A number that depends on all of an output, on each entry in another way."""
    weighed = (part.flatten() * torch.arange(part.numel()).cos() for part in tensors(value))
    return sum((part.sum() for part in weighed), torch.zeros(()))


def gradients(module: nn.Module, call: Callable[..., Output], inputs: list[Tensor]) -> list[Tensor]:
    """The gradients of the module's parameters where `call`, some form of it, is run."""
    return list(torch.autograd.grad(differentiable(call(*inputs)), list(module.parameters())))
