"""One way to train them all, so that the comparison is of models and nothing else."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from data import Digits, Splits, warped
from torch import nn

EPOCHS = 100
BATCH = 64
RATE = 1e-2
WARMUP = 100
"""Steps over which the learning rate rises before it falls along a cosine."""


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    name: str
    parameters: int
    validation: float
    test: float
    seconds: float


def train(
    name: str, build: Callable[[], nn.Module], splits: Splits, epochs: int = EPOCHS
) -> Outcome:
    """Train on the training split; the test split is looked at once, at the very end."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = build()
    start = time.perf_counter()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    steps = epochs * math.ceil(len(splits.train) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_at(step, steps))
    for _ in range(epochs):
        for chosen in torch.randperm(len(splits.train), generator=generator).split(BATCH):
            images = warped(splits.train.images[chosen], generator)
            loss = nn.functional.cross_entropy(model(images), splits.train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return Outcome(
        name,
        sum(parameter.numel() for parameter in model.parameters()),
        accuracy(model, splits.validation),
        accuracy(model, splits.test),
        time.perf_counter() - start,
    )


def rate_at(step: int, steps: int) -> float:
    """The part of the learning rate at a step: a short rise, then half a cosine down to zero."""
    return min(1.0, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / max(1, steps))) / 2


@torch.no_grad()
def accuracy(model: nn.Module, digits: Digits) -> float:
    """The part of the digits that the model names right."""
    return (model(digits.images).argmax(1) == digits.labels).double().mean().item()
