"""Train a residual network with Tucker-2 convolutions, beside the same one with ordinary ones.

python examples/fashion/train.py [--steps N] [--digits]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import data
import torch
from torch import nn

import tncompile

SPEC = tncompile.load(Path(__file__).with_name("fashion.tn"))
BATCH = 128
RATE = 4e-3
MODELS = {
    "dense twin": {"dense": True},
    "Tucker-2, a quarter of the channels": {"share": 4},
    "Tucker-2, half of the channels": {"share": 2},
}


def train(model: nn.Module, train: data.Images, steps: int) -> float:
    """Train by AdamW with one cycle of the learning rate; the seconds that a step took."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    start, step = time.perf_counter(), 0
    while step < steps:
        order = torch.randperm(len(train.labels), generator=generator)
        for chosen in order.split(BATCH)[: steps - step]:
            loss = nn.functional.cross_entropy(model(train.images[chosen]), train.labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
    return (time.perf_counter() - start) / steps


@torch.no_grad()
def accuracy(model: nn.Module, test: data.Images) -> float:
    """The part of the images whose class is named right."""
    named = torch.cat([model(images).argmax(1) for images in test.images.split(500)])
    return (named == test.labels).double().mean().item()


def main() -> None:
    """Train each model the same way and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=469, help="469 are an epoch")
    parser.add_argument("--digits", action="store_true", help="scikit-learn's digits instead")
    given = parser.parse_args()
    there = data.FOLDER.is_dir() and not given.digits
    training, test = data.fashion() if there else data.digits()
    print(f"{'Fashion-MNIST' if there else 'digits':36} parameters      FLOPs    step  accuracy")
    for name, arguments in MODELS.items():
        model = SPEC.instantiate("Residual", **arguments)
        cost = model.cost(batch=BATCH)
        module = model.module(seed=0, batch=BATCH)
        seconds = train(module, training, given.steps)
        print(
            f"{name:36} {cost.parameters:10,} {cost.flops // BATCH:10,} {seconds * 1e3:4.0f} ms"
            f"  {accuracy(module.eval(), test):8.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
