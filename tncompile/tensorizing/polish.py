"""All parameters at once, by limited-memory BFGS on the residual itself.

Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989, in torch's
implementation. The distance is that of the dense result: its square is exact down to rounding,
where that from norms and inner products is lost at half of the digits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from tncompile.tensorizing.product import Values
from tncompile.tensorizing.target import Problem

CHUNK = 20
"""Iterations after which it is asked whether they gain enough."""

REMEMBERED = 20


def polished(
    problem: Problem,
    start: Values,
    chunks: int,
    stall: float,
    goal: float,
    report: Callable[[float], None],
) -> tuple[Values, float]:
    """The best parameters that were seen, and their relative error; `start` if nothing is better.

    It ends after so many `chunks` of iterations, at the `goal`, and where a chunk lowers the error
    by less than its part `stall`. `report` is called with the error after each chunk.
    """
    best, error = dict(start), problem.error(start)
    scale = problem.norm**2 or 1.0
    leaves = {key: _leaf(tensor) for key, tensor in start.items()}

    def values() -> Values:
        return {
            key: torch.view_as_complex(leaf) if start[key].is_complex() else leaf
            for key, leaf in leaves.items()
        }

    optimizer = torch.optim.LBFGS(
        list(leaves.values()),
        max_iter=CHUNK,
        max_eval=2 * CHUNK,
        history_size=REMEMBERED,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        residual = problem.residual(values())
        loss = (
            residual.abs().square().sum() / scale
            if residual.is_complex()
            else (residual.square().sum() / scale)
        )
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(chunks):
        if error <= goal:
            break
        with torch.enable_grad():
            optimizer.step(closure)  # type: ignore[no-untyped-call]
        found = {key: value.detach().clone() for key, value in values().items()}
        now = problem.error(found)
        report(min(now, error))
        if not now < error:  # NaN included
            break
        slow = error - now < stall * error
        best, error = found, now
        if slow:
            break
    return best, error


def _leaf(tensor: torch.Tensor) -> torch.Tensor:
    real = torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
    # torch's LBFGS flattens gradients, which lie as their leaves do
    return real.detach().clone(memory_format=torch.contiguous_format).requires_grad_()
