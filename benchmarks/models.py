"""Emitted models beside modules that a careful person writes: `python -m benchmarks.models`.

Both have the same weights. Rounds are interleaved, ratios are those of medians; the predicted
seconds and peak memory of `cost` stand beside what is measured.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

import tncompile
from benchmarks.measuring import settle_allocator
from tncompile.model import Model

WIDTH, HEADS, DEPTH, WORDS, CONTEXT = 256, 4, 6, 5000, 256


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(WIDTH, WIDTH)
        self.key = nn.Linear(WIDTH, WIDTH)
        self.value = nn.Linear(WIDTH, WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (HEADS, -1)).transpose(-3, -2)
            for part in (self.query, self.key, self.value)
        )
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(y.transpose(-3, -2).flatten(-2))


class Feed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(functional.gelu(self.up(x)))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(WIDTH), Attention()
        self.norm2, self.feed = nn.LayerNorm(WIDTH), Feed()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.feed(self.norm2(x))


class Transformer(nn.Module):
    """What `LanguageModel` of `std/transformer.tn` is."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, WIDTH)
        self.place = nn.Embedding(CONTEXT, WIDTH)
        self.block = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        places = torch.arange(ids.shape[-1], device=ids.device)
        x = self.embed(ids) + self.place(places)
        for block in self.block:
            x = block(x)
        return functional.linear(self.norm(x), self.embed.weight)


class Residual(nn.Module):
    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(ins, outs, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outs)
        self.conv2 = nn.Conv2d(outs, outs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            convolution = nn.Conv2d(ins, outs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(outs))

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """What `ResNet` of `std/resnet.tn` is at its defaults: ResNet-18."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        widths = [64, 128, 256, 512]
        blocks = []
        for s, width in enumerate(widths):
            blocks.append(Residual(widths[max(s - 1, 0)], width, 2 if s else 1))
            blocks.append(Residual(width, width, 1))
        self.stage = nn.Sequential(*blocks)
        self.fc = nn.Linear(512, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(functional.relu(self.bn1(self.conv1(x))))
        return self.fc(self.stage(x).mean((-2, -1)))


@dataclass(frozen=True)
class Subject:
    """A model of the library, its twin, and what both are given: rows × the sizes that follow."""

    name: str
    arch: Model
    twin: nn.Module
    inputs: Callable[[int], Tensor]
    sizes: dict[str, int]
    batches: tuple[int, ...]


def subjects() -> Iterator[Subject]:
    language = tncompile.load("std/transformer.tn").instantiate(
        "LanguageModel", depth=DEPTH, vocab=WORDS, context=CONTEXT, width=WIDTH, heads=HEADS
    )
    images = tncompile.load("std/resnet.tn").instantiate("ResNet")
    assert isinstance(language, Model)
    assert isinstance(images, Model)
    length, side = 128, 64
    yield Subject(
        f"transformer, {DEPTH} blocks of {WIDTH}, {length} places",
        language,
        Transformer(),
        lambda rows: torch.randint(WORDS, (rows, length)),
        {"t": length},
        (1, 8),
    )
    yield Subject(
        f"ResNet-18, {side} × {side}",
        images,
        ResNet(),
        lambda rows: torch.randn(rows, 3, side, side),
        {"h": side, "w": side},
        (1, 16),
    )


def given_weights(twin: nn.Module, module: nn.Module) -> None:
    """The twin gets the weights of the module: its tensors are in the same order."""
    ours = list(module.state_dict().values())
    theirs = list(twin.state_dict())
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} tensors here, {len(theirs)} there")
    twin.load_state_dict(dict(zip(theirs, ours, strict=True)), strict=True)


def step(module: nn.Module, x: Tensor, training: bool) -> Callable[[], object]:
    """A forward pass in `eval`, or a training step without the optimizer."""

    def infer() -> object:
        with torch.no_grad():
            return module(x)

    def train() -> object:
        module.zero_grad()
        module(x).square().mean().backward()
        return None

    return train if training else infer


def medians(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each, in interleaved rounds whose order turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for number in range(rounds):
        order = range(len(calls)) if number % 2 else reversed(range(len(calls)))
        for k in order:
            begin = time.perf_counter()
            calls[k]()
            seconds[k].append(time.perf_counter() - begin)
    return [statistics.median(each) for each in seconds]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--rounds", type=int, default=21, help="of each pair (21)")
    rounds = parser.parse_args().rounds
    settle_allocator()
    torch.manual_seed(0)
    print(f"{'model':45} {'rows':>4} {'mode':9} {'by hand':>9} {'ratio':>6} {'predicted':>10}")
    for subject in subjects():
        module = subject.arch.module(seed=0)
        given_weights(subject.twin, module)
        for rows in subject.batches:
            x = subject.inputs(rows)
            with torch.no_grad():
                due = subject.twin.eval()(x)
                torch.testing.assert_close(module.eval()(x), due, rtol=1e-4, atol=1e-4)
            cost = subject.arch.cost(batch=rows, sizes=subject.sizes)
            for mode in ("inference", "training"):
                training = mode == "training"
                pair = [step(one.train(training), x, training) for one in (module, subject.twin)]
                ours, theirs = medians(pair, rounds)
                figures = cost.training if training else cost.inference
                print(
                    f"{subject.name:45} {rows:4} {mode:9} {theirs * 1e3:6.1f} ms"
                    f" {ours / theirs:6.3f} {figures.seconds / ours:10.2f}"
                )


if __name__ == "__main__":
    main()
