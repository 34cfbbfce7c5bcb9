"""A tensor program run step by step, each operation timed by itself, forward and backward.

A module that runs the same program also checks its input, and under `no_grad` writes some results
in place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from tncompile.machine.host import synchronize
from tncompile.machine.profile import CPU
from tncompile.network.model import TensorNetwork
from tncompile.program import operations as op
from tncompile.program.interpreter import Interpreter, Tensors
from tncompile.program.operation import parameter_keys, sources
from tncompile.program.program import TensorProgram

T = TypeVar("T")

READINGS = 15
"""How often an operation is timed at most."""

ENOUGH = 0.06
"""Seconds after which an operation is timed no further, three readings at least."""


@dataclass(slots=True)
class Spent:
    """Seconds of one step, forward and backward, all iterations of a loop together."""

    forward: float = 0.0
    backward: float = 0.0


def time_steps(
    network: TensorNetwork,
    program: TensorProgram,
    weights: Tensors,
    inputs: Sequence[Tensor],
    sizes: Mapping[str, int],
    *,
    training: bool,
    device: str = CPU,
) -> tuple[Tensor, tuple[Spent, ...]]:
    """The result of a program, and the seconds of each of its steps; `weights` are by key.

    Inputs and weights are on `device`, whose work is waited for after every step. With `training`
    every operation records what it needs to go back, and goes back once for each reading. In a loop
    the first iteration is timed and counts for all.
    """
    named = {declared.name: x for declared, x in zip(network.inputs, inputs, strict=True)}
    parameters = {key: weight.detach() for key, weight in weights.items()}
    dtype = torch.get_default_dtype()
    timer = _Timer(program, named, parameters, dict(sizes), dtype, device)
    timer.training, timer.spent = training, tuple(Spent() for _ in program.steps)
    return timer.run()[0], timer.spent


class _Timer(Interpreter):
    """Runs each operation several times, its operands cut off from what was before."""

    training: bool
    spent: tuple[Spent, ...]

    def evaluate(self, number: int) -> dict[str, Tensor]:
        operation, loop = self.program.steps[number].operation, self.program.loop
        if self.start or isinstance(operation, op.Chunk):
            return super().evaluate(number)
        leaves: list[Tensor] = []
        parameters = self.parameters
        if self.training:
            for name in dict.fromkeys(sources(operation)):
                value = self.names[name]
                differentiable = value.is_floating_point() or value.is_complex()
                if self.program.values[name].parametric and differentiable:
                    leaves.append(value.detach().requires_grad_())
                    self.names[name] = leaves[-1]
            if isinstance(operation, op.StackParameters):
                keys = parameter_keys(operation)
                tracked = {key: parameters[key].detach().requires_grad_() for key in keys}
                leaves += tracked.values()
                self.parameters = {**parameters, **tracked}
        with torch.set_grad_enabled(bool(leaves)):
            forward, values = _median(lambda: super(_Timer, self).evaluate(number))
            outputs = [value for value in values.values() if value.requires_grad]
            backward = 0.0
            if leaves and outputs:
                gradients = [torch.ones_like(value) for value in outputs]
                backward, _ = _median(
                    lambda: torch.autograd.grad(
                        outputs, leaves, gradients, retain_graph=True, allow_unused=True
                    )
                )
        self.parameters = parameters
        count = 1.0
        if loop is not None and loop.start <= number < loop.stop - 1:
            count = self.sizes[loop.index] / loop.rows
            backward += forward if loop.recompute and self.training else 0.0
        self.spent[number].forward += forward * count
        self.spent[number].backward += backward * count
        return {name: value.detach() for name, value in values.items()}


def _median(action: Callable[[], T]) -> tuple[float, T]:
    """The median seconds of some runs, and what the last one returned."""
    value = action()
    synchronize()
    readings: list[float] = []
    while len(readings) < 3 or (len(readings) < READINGS and sum(readings) < ENOUGH):
        start = perf_counter()
        value = action()
        synchronize()
        readings.append(perf_counter() - start)
    return median(readings), value
