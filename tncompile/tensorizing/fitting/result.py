"""What a fit found, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Step(NamedTuple):
    """What was reached: from which start, by what, the relative error that is minimized."""

    start: str
    method: str
    error: float


@dataclass(frozen=True)
class Fit:
    """A weight as a network.

    state_dict    what `module.load_state_dict` takes, in the dtype and on the device of the weight;
                  frozen tensors are in it, biases are zeros
    error         ‖W − W'‖ / ‖W‖ in the Frobenius norm
    metric_error  the same in the metric, damped as it was; None without one
    bound         no fit onto the network has a smaller error (in the metric where it was solved in
                  closed form); None where none is known
    history       steps `(start, method, error)` in order, of all starts; errors are those minimized
    method        how the best was found: "peel", "peel, ALS, LBFGS"

    >>> import torch
    >>> found = arch.fit(torch.ones(32, 32))
    >>> found.method, found.error < 1e-12
    ('peel', True)
    """

    state_dict: dict[str, torch.Tensor] = field(repr=False)
    error: float
    metric_error: float | None
    bound: float | None
    history: tuple[Step, ...] = field(repr=False)
    method: str
