"""The harness: everybody computes the same map first; then times, in shuffled rounds."""

from __future__ import annotations

import contextlib
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from benchmarks.contract import Mode, Run

LEAST_SECONDS = 2e-3
"""A sample is at least this long: shorter calls are repeated inside it."""
LAGGING, LAGS_BEHIND, FEW_ROUNDS = 0.05, 2.5, 3
"""Whoever takes more seconds than this and so many times the fastest is in few rounds only."""
LARGE = 31 << 20
"""Freeing one block of so many bytes raises the allocator's thresholds for good."""


@dataclass(frozen=True)
class Timing:
    """Seconds a call: the median over rounds with its quartiles."""

    median: float
    lower: float
    upper: float
    samples: int


@dataclass(frozen=True)
class Step:
    """Something to time; `prepare` runs before every call and is timed along."""

    name: str
    call: Callable[[], object]


def settle_allocator() -> None:
    """Free one large tensor, so that all blocks below are taken from the heap from now on."""
    held = torch.empty(LARGE, dtype=torch.uint8)
    held.fill_(1)
    del held


def inference(run: Run, inputs: Sequence[Tensor]) -> Callable[[], Tensor]:
    """A forward pass without gradients whose output is finished work: contiguous."""

    def call() -> Tensor:
        with torch.no_grad():
            return run(*inputs).contiguous()

    return call


def training(
    run: Run, inputs: Sequence[Tensor], leaves: Sequence[Tensor], gradient: Tensor
) -> Callable[[], None]:
    """A forward and a backward pass; old gradients are dropped first."""
    held = [*leaves, *(x for x in inputs if x.requires_grad)]

    def call() -> None:
        for leaf in held:
            leaf.grad = None
        torch.autograd.backward(run(*inputs).contiguous(), gradient)

    return call


def seconds(call: Callable[[], object], repeats: int) -> float:
    """The mean time of one call among so many in a row.

    Where torch has one thread, it is the time that this thread had: other processes do not count.
    """
    clock = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    begin = clock()
    for _ in range(repeats):
        call()
    return (clock() - begin) / repeats


def repeats_for(call: Callable[[], object], least: float = LEAST_SECONDS) -> tuple[int, float]:
    """How many calls make one sample, and about how long one call is; this warms up as well."""
    once = seconds(call, 1)
    if once > LAGGING:
        return 1, once if once > 10 * LAGGING else min(once, seconds(call, 1))
    once = min(seconds(call, 1) for _ in range(3))
    repeats = max(1, round(least / max(once, 1e-7)))
    return repeats, min(once, seconds(call, repeats)) if repeats > 1 else once


def shuffled_rounds(
    steps: Sequence[Step], budget: float, seed: int = 0, least_rounds: int = 5
) -> dict[str, Timing]:
    """The times of all steps, each once a round, in a new order every round.

    `budget` is in seconds for all of them together; slow steps get their `least_rounds` anyway.
    """
    shuffler = random.Random(seed)
    counts = {step.name: repeats_for(step.call) for step in steps}
    fastest = min((once for _, once in counts.values()), default=0.0)
    lagging = {n for n, (_, once) in counts.items() if once > max(LAGGING, LAGS_BEHIND * fastest)}
    a_round = sum(r * once for name, (r, once) in counts.items() if name not in lagging)
    rounds = min(200, max(least_rounds, int(budget / max(a_round, 1e-9))))
    samples: dict[str, list[float]] = {step.name: [] for step in steps}
    for k in range(rounds):
        order = [step for step in steps if k < FEW_ROUNDS or step.name not in lagging]
        shuffler.shuffle(order)
        for step in order:
            samples[step.name].append(seconds(step.call, counts[step.name][0]))
    return {name: timing(taken) for name, taken in samples.items()}


def timing(taken: Sequence[float]) -> Timing:
    """The median of some samples and the quartiles around it."""
    lower, median, upper = statistics.quantiles(taken, n=4, method="inclusive")
    return Timing(median, lower, upper, len(taken))


def gemm_rate(size: int = 2048, rounds: int = 3) -> float:
    """FLOP/s of a square matrix product in float32 on this machine, right now."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    out = torch.empty(size, size)
    taken = [seconds(lambda: torch.mm(a, b, out=out), 1) for _ in range(rounds + 1)]
    return 2 * size**3 / statistics.median(taken[1:])


def relative_error(found: Tensor, exact: Tensor) -> float:
    """The norm of the difference over the norm of what is exact."""
    scale = float(exact.double().norm())
    return float((found.double() - exact.double()).norm()) / (scale or 1.0)


def matmul_flops(mode: Mode, call: Callable[[], object]) -> int:
    """FLOPs in the matrix products of one call, those of its backward pass included."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, _grad(mode):
        call()
    return int(counter.get_total_flops())


def _grad(mode: Mode) -> contextlib.AbstractContextManager[object]:
    return torch.no_grad() if mode is Mode.INFERENCE else contextlib.nullcontext()


def as_parameters(leaves: Sequence[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Leaves as parameters of their own in a dtype; integers stay as they are."""
    return [
        nn.Parameter(leaf.detach().to(dtype).contiguous().clone())
        if leaf.is_floating_point()
        else leaf
        for leaf in leaves
    ]


def gradients_in(
    parameters: Mapping[str, Tensor],
    leaves: Callable[[Mapping[str, Tensor]], Sequence[Tensor]],
    gradients: Sequence[Tensor | None],
) -> dict[str, Tensor]:
    """Gradients of somebody's leaves carried back to the parameters of the emitted module."""
    held = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
    made = leaves(held)
    pairs = [
        (leaf, gradient)
        for leaf, gradient in zip(made, gradients, strict=True)
        if gradient is not None and leaf.requires_grad
    ]
    found = torch.autograd.grad(
        [leaf for leaf, _ in pairs],
        list(held.values()),
        [gradient.to(leaf.dtype).view_as(leaf) for leaf, gradient in pairs],
        allow_unused=True,
    )
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(held.items(), found, strict=True)
    }
