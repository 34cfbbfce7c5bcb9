"""Steps in proportion to the size of each tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tncompile.tensorizing.calibrating.patterns import matching
from tncompile.tensorizing.healing.distilling.coordinates import Coordinates

WARMUP = 0.05
"""The part of a training over which the rate grows."""

FIRST = 20
"""Steps over which it grows at least: Adam knows little of gradients in the first ones, and steps
that are too long then take the loss up by a half, from which a short training does not recover."""

SHORT = 0.3
"""The part of a training after which it has grown, be it of few steps."""

LAST = 0.02
"""The part of the rate that is left at the end."""

LONGEST = 1.0
"""Gradients are clipped to this norm, each tensor in units of its size."""

LEAST = 0.1
"""The size of a tensor counts as at least this part of the median of all: zeros can grow."""

BETAS = (0.9, 0.98)
SMALLEST = 1e-12


def rate_at(done: float, step: int) -> float:
    """The part of the rate at a part of the training: a warmup, then a cosine (Loshchilov, 2017).

    >>> [round(rate_at(done, 99), 2) for done in (0.0, 0.025, 0.05, 0.5, 1.0)]
    [0.1, 0.5, 1.0, 0.55, 0.02]
    >>> round(rate_at(0.2, 4), 2)  # the fifth step of 20
    0.63
    """
    grown = min(1.0, max(done / WARMUP, 0.1), max((step + 1) / FIRST, done / SHORT))
    cosine = (1 + math.cos(math.pi * max(0.0, done - WARMUP) / (1 - WARMUP))) / 2
    return grown * (LAST + (1 - LAST) * cosine)


def trained(model: nn.Module, patterns: Sequence[str] | None) -> dict[str, nn.Parameter]:
    """The parameters that are trained, by first names. Raises ValueError where there are none."""
    named = {
        name: each
        for name, each in model.named_parameters()
        if each.requires_grad and (each.is_floating_point() or each.is_complex())
    }
    if patterns is not None:
        none = "no parameter that can be trained is called {pattern}"
        named = {name: named[name] for name in matching(patterns, list(named), none=none)}
    if not named:
        raise ValueError("the model has no parameter that can be trained: all are frozen")
    if any(each.is_complex() for each in named.values()):
        name = next(name for name, each in named.items() if each.is_complex())
        raise ValueError(f"{name} is complex: leave it out of `parameters`")
    return named


class Stepper:
    """Adam (Kingma and Ba, 2015), whose steps are parts of the size of each tensor.

    Tensors that have coordinates are measured and stepped in them. Parameters of 16 bits have a
    copy in float32, which is stepped.
    """

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        rate: float,
        coordinates: Mapping[str, Coordinates] | None = None,
    ) -> None:
        self.parameters = dict(parameters)
        self.masters: dict[str, torch.Tensor] = {}
        for name, each in self.parameters.items():
            wide = each.dtype in (torch.float32, torch.float64)
            self.masters[name] = each.detach() if wide else each.detach().float()
        self.coordinates = dict(coordinates or {})
        sizes = []
        for name, master in self.masters.items():
            own = self.coordinates.get(name)
            sizes.append(float(master.square().mean().sqrt()) if own is None else own.size)
        median = sorted(sizes)[len(sizes) // 2]
        self.sizes = [max(size, LEAST * median) or 1.0 for size in sizes]
        self.rate = rate
        self.mean = {name: torch.zeros_like(each) for name, each in self.masters.items()}
        self.square = {name: torch.zeros_like(each) for name, each in self.masters.items()}
        self.count = 0

    def zero(self) -> None:
        """Forget gradients."""
        for each in self.parameters.values():
            each.grad = None

    @torch.no_grad()
    def step(self, part: float) -> bool:
        """One step at a part of the rate; False, and no step, where gradients are not finite."""
        gradients = []
        total = torch.zeros((), dtype=torch.float64)
        for size, (name, each) in zip(self.sizes, self.parameters.items(), strict=True):
            master = self.masters[name]
            gradient = each.grad
            found = torch.zeros_like(master) if gradient is None else gradient.to(master.dtype)
            if name in self.coordinates:
                found = self.coordinates[name].inverse(found)
            gradients.append(found)
            total += (found.norm().double() * size).square().cpu()
        norm = float(total.sqrt())
        if not math.isfinite(norm):
            return False
        self.count += 1
        clip = min(1.0, LONGEST / norm) if norm else 1.0
        first, second = BETAS
        unbiased = math.sqrt(1 - second**self.count) / (1 - first**self.count)
        for size, gradient, (name, master) in zip(
            self.sizes, gradients, self.masters.items(), strict=True
        ):
            gradient = gradient * (clip * size)  # of the tensor in units of its size
            mean, square = self.mean[name], self.square[name]
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            rate = self.rate * part * size * unbiased
            step = mean / square.sqrt().add_(SMALLEST)
            if name in self.coordinates:
                step = self.coordinates[name].inverse(step)
            master.sub_(step, alpha=rate)
            parameter = self.parameters[name]
            if parameter.data_ptr() != master.data_ptr():
                parameter.copy_(master)
            parameter.grad = None
        return True

    def tensors(self) -> dict[str, dict[str, torch.Tensor]]:
        """Parameters and both moments, as they are."""
        return {"now": self.masters, "mean": self.mean, "square": self.square}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Mapping[str, torch.Tensor]], count: int) -> None:
        """Go on from there."""
        for name, mean in self.mean.items():
            mean.copy_(tensors["mean"][name])
            self.square[name].copy_(tensors["square"][name])
        self.count = count
        self.put(tensors["now"])

    @torch.no_grad()
    def put(self, values: Mapping[str, torch.Tensor]) -> None:
        """Parameters of these values."""
        for name, parameter in self.parameters.items():
            self.masters[name].copy_(values[name])
            parameter.copy_(self.masters[name])
