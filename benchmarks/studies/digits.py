"""A convolutional classifier of digits, made smaller by several networks, judged by `compare`.

`python -m benchmarks.studies digits [--quick] [--budget PART]`: the 8 × 8 digits of scikit-learn,
1,257 to train on and 540 to judge by. Four convolutions and a hidden layer; the first convolution
and the last layer stay dense. Every row has as many parameters as its budget, the whole model
counted, and is judged as it was fitted, and after some epochs on the training data. A dense network
of fewer channels, trained as long as the original, stands beside them.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

import tncompile
from benchmarks.studies.methods import LOW_RANK_CONVOLUTION as LOW_RANK
from tncompile import Metric, Moments, Verdict

BUDGETS = (0.5, 0.25, 0.1)
EPOCHS, HEALING = 20, 4
BATCH = 64
TRAINED = 1257


@dataclass(frozen=True)
class Data:
    """Images (n, 1, 8, 8) and labels, in an order that is always the same."""

    images: torch.Tensor
    labels: torch.Tensor

    @staticmethod
    def load() -> tuple[Data, Data]:
        """To train on, and to judge by."""
        given = load_digits()
        order = torch.randperm(len(given.target), generator=torch.Generator().manual_seed(0))
        images = torch.tensor(given.images).float()[order].unsqueeze(1) / 16
        labels = torch.tensor(given.target)[order]
        return Data(images[:TRAINED], labels[:TRAINED]), Data(images[TRAINED:], labels[TRAINED:])

    def batches(self) -> list[dict[str, torch.Tensor]]:
        """Arguments of models; the labels are found by the images."""
        return [{"input": images} for images in self.images.split(BATCH)]

    def labels_of(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Those of a batch of `batches`."""
        same = (self.images.flatten(1).unsqueeze(0) == batch["input"].flatten(1).unsqueeze(1)).all(
            2
        )
        return self.labels[same.int().argmax(1)]


def network(width: int = 32) -> nn.Sequential:
    """Four convolutions of 3 × 3, of `width` and twice as many channels, and two linear maps."""
    wide = 2 * width
    return nn.Sequential(
        *(nn.Conv2d(1, width, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(width, wide, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(wide, wide, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
        *(nn.Linear(4 * wide, 2 * wide), nn.ReLU(), nn.Linear(2 * wide, 10)),
    )


REPLACED = ("2", "5", "7", "11")
"""The layers that become networks."""


def trained(model: nn.Module, data: Data, epochs: int, rate: float) -> nn.Module:
    """The model after some epochs: AdamW, shifts by a pixel, a rate that falls to zero."""
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    steps = epochs * -(-len(data.labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, steps)
    model.train()
    for _ in range(epochs):
        for some in torch.randperm(len(data.labels), generator=generator).split(BATCH):
            shift = torch.randint(-1, 2, (2,), generator=generator).tolist()
            images = data.images[some].roll(shift, (2, 3))
            loss = functional.cross_entropy(model(images), data.labels[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def parameters(model: nn.Module) -> int:
    return sum(each.numel() for each in model.parameters())


def uniform(
    model: nn.Module, budget: float, conv: str, linear: str, moments: Moments | None
) -> nn.Module:
    """Every replaced layer with the same part of its parameters."""
    small = copy.deepcopy(model)
    layers = {name: model.get_submodule(name) for name in REPLACED}
    weights = sum(layer.weight.numel() for layer in layers.values())  # type: ignore[operator,union-attr]
    part = (budget * parameters(model) - (parameters(model) - weights)) / weights
    for name, layer in layers.items():
        metric: Metric | None = None if moments is None else moments.metric(name)
        if isinstance(layer, nn.Conv2d):
            block = tncompile.loads(LOW_RANK)[conv] if conv == "LowRankConv" else conv
            made = tncompile.from_conv(layer, block, budget=part, metric=metric)
        else:
            assert isinstance(layer, nn.Linear)
            made = tncompile.from_linear(layer, linear, budget=part, metric=metric)
        small.set_submodule(name, made)
    return small


def threshold(model: nn.Module, budget: float, moments: Moments) -> nn.Module:
    """Ranks of all layers by one threshold."""
    found = tncompile.allocate(model, budget, moments=moments, multiple=2, layers=REPLACED)
    return tncompile.tensorize(model, found.rewrite, moments=moments).model


def narrow(model: nn.Module, budget: float, data: Data, epochs: int) -> nn.Module:
    """The widest dense network that fits, trained from the start."""
    width = max(w for w in range(2, 32) if parameters(network(w)) <= budget * parameters(model))
    torch.manual_seed(0)
    return trained(network(width), data, epochs, 2e-3)


Method = tuple[str, Callable[[float], nn.Module]]


def methods(model: nn.Module, moments: Moments, data: Data, epochs: int) -> Sequence[Method]:
    """What is compared, by its name in the table."""

    def alike(conv: str, linear: str, known: Moments | None) -> Callable[[float], nn.Module]:
        return lambda budget: uniform(model, budget, conv, linear, known)

    return (
        ("fewer channels, trained", lambda budget: narrow(model, budget, data, epochs)),
        ("low rank, plain", alike("LowRankConv", "LowRank", None)),
        ("low rank, both sides", alike("LowRankConv", "LowRank", moments)),
        ("Tucker-2, plain", alike("Tucker2Conv", "LowRank", None)),
        ("Tucker-2, both sides", alike("Tucker2Conv", "LowRank", moments)),
        ("Tucker-2, threshold", lambda budget: threshold(model, budget, moments)),
        ("train and MPO, both sides", alike("TTConv", "MPO", moments)),
    )


def judged(model: nn.Module, small: nn.Module, data: Data, *, timed: bool) -> Verdict:
    """Against the original: what a user would ask for."""
    return tncompile.compare(
        model,
        small,
        data.batches(),
        labels=data.labels_of,
        thresholds={"kl": 0.05, "accuracy_lost": 0.01, "flips": 0.02},
        timing=2.0 if timed else False,
    )


HEAD = (
    "| | parameters | KL | flips | accuracy lost, 5–95 % | FLOPs | time, 5–95 % "
    "| after training: KL | flips | accuracy lost | |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|"
)


def row(name: str, fitted: Verdict, healed: Verdict) -> str:
    """A row of the table; the verdict is that after training."""
    lost, clock = fitted["accuracy_lost"], fitted["time"]
    busy = any(remark.startswith("the machine was busy") for remark in fitted.remarks)
    cells = [
        name,
        f"{fitted['parameters'].value:.1%}",
        f"{fitted['kl'].value:.3f}",
        f"{fitted['flips'].value:.1%}",
        f"{lost.value:.1%} ({_percent(lost.low)} – {_percent(lost.high)})",
        f"{fitted['flops'].value:.2f}",
        "busy" if busy else f"{clock.value:.2f} ({clock.low:.2f} – {clock.high:.2f})",
        f"{healed['kl'].value:.3f}",
        f"{healed['flips'].value:.1%}",
        f"{healed['accuracy_lost'].value:.1%}",
        healed.word,
    ]
    return f"| {' | '.join(cells)} |"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def rows(quick: bool, budgets: Sequence[float]) -> Iterator[str]:
    """The table, a line when it is known."""
    epochs, healing = (3, 1) if quick else (EPOCHS, HEALING)
    train, test = Data.load()
    torch.manual_seed(0)
    start = time.perf_counter()
    model = trained(network(), train, epochs, 2e-3)
    moments = tncompile.calibrate(model, train.batches())
    seconds = time.perf_counter() - start
    right = judged(model, model, test, timed=False)["accuracy"].original
    assert right is not None
    yield (
        f"{parameters(model):,} parameters, {right:.1%} right on {len(test.labels)} others; "
        f"trained and calibrated in {seconds:.0f} s of one thread"
    )
    for budget in budgets:
        yield f"\n**{budget:.0%} of the parameters**\n\n{HEAD}"
        for name, make in methods(model, moments, train, epochs):
            began = time.perf_counter()
            small = make(budget)
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            fitted = judged(model, small, test, timed=True)
            healed = copy.deepcopy(small)
            for parameter in healed.parameters():
                parameter.requires_grad_(True)
            torch.manual_seed(0)
            trained(healed, train, healing, 5e-4)
            yield row(name, fitted, judged(model, healed, test, timed=False))


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies digits")
    parser.add_argument("--budget", type=float, action="append", help="a part of the parameters")
    parser.add_argument("--quick", action="store_true", help="few epochs")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    for line in rows(chosen.quick, tuple(chosen.budget or BUDGETS)):
        print(line, flush=True)
