"""wordllama, a table of 32,000 × 256 half-precision numbers: what a quarter of its bytes can hold.

`python -m benchmarks.studies wordllama`. A text is the mean of the rows of its tokens. Bytes are
those of all that is stored, 16,384,096 in the wheel; scales and factors are of half precision, too.
Ways are chosen by `similarities`: how well the similarities of held-out paragraphs agree with the
original's (Pearson's r), whatever the number of features. Rotations are not stored where only
similarities are asked for.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

import tncompile
from benchmarks.studies import scores, texts
from tncompile.network.packing import Weights

HEAD = (
    "| MB | of the file | features | way | similarities | Lee | WordSim | SimLex | (5–95 %) |"
    "\n|---|---|---|---|---|---|---|---|---|"
)

HALF = 2
"""Bytes of a number in half precision."""


@dataclass(frozen=True)
class Made:
    """A table (tokens, features) that stands for the original, and the bytes of what is stored."""

    name: str
    table: Tensor
    bytes: float


@cache
def original() -> Tensor:
    """The table, in half precision as it is stored."""
    folder = texts.files("wordllama") / "weights"
    return load_file(folder / "l2_supercat_256.safetensors")["embedding.weight"]


@cache
def _tokenizer() -> Tokenizer:
    folder = texts.files("wordllama") / "tokenizers"
    return Tokenizer.from_file(str(folder / "l2_supercat_tokenizer_config.json"))


@cache
def _ids(text: str) -> tuple[int, ...]:
    return tuple(_tokenizer().encode(text, add_special_tokens=False).ids)


def encoded(table: Tensor, own: Sequence[str]) -> Tensor:
    """The vectors of texts."""
    return torch.stack([table[list(_ids(text))].float().mean(0) for text in own])


@cache
def given() -> tuple[list[str], list[str]]:
    """Texts to learn from, paragraphs and words, and paragraphs that are held out."""
    known, held = texts.split(texts.all_paragraphs())
    tests = set(scores.test_texts())
    words = [word for word in texts.words() if word not in tests]
    return [*known[:8000], *words[:8000]], held[:400]


@cache
def frequencies() -> Tensor:
    """How often each token occurs in the texts to learn from, one tenth more."""
    counts = torch.zeros(len(original()))
    for text in given()[0]:
        counts += torch.bincount(torch.tensor(_ids(text)), minlength=len(counts))
    return counts + 0.1


# ── ways ──────────────────────────────────────────────────────────────────────────────────────────


def _quantized(table: Tensor, kind: str, group: int | None) -> tuple[Tensor, int]:
    """A table of integers as `tncompile.quantize` makes it, dequantized, and its bytes."""
    model = nn.Sequential(nn.Embedding.from_pretrained(table.half()))
    done = tncompile.quantize(model, kind, group=group)  # type: ignore[arg-type]
    ids = torch.arange(len(table))
    return done.model(ids).float(), done.report.bytes_after


def whole(kind: str, group: int | None = None, columns: int = 256) -> Made:
    """All columns, or the first ones: the table was trained so that they mean most."""
    table, size = _quantized(original()[:, :columns], kind, group)
    shared = "" if group is None else f", {group} a scale"
    first = "" if columns == 256 else f"the first {columns} columns, "
    return Made(f"{first}{kind}{shared}", table, size)


def three_bits(group: int = 64) -> Made:
    """Three bits, of which there is no module: counted as if they were packed."""
    flat = original().float().reshape(-1, group)
    best, least = flat, torch.full((len(flat), 1), torch.inf)
    for part in np.linspace(0.6, 1, 9):
        scale = (flat.abs().amax(1, keepdim=True) * float(part) / 3.5).half().float()
        tried = ((flat / scale - 0.5).round().clamp(-4, 3) + 0.5) * scale
        error = (tried - flat).square().sum(1, keepdim=True)
        best = torch.where(error < least, tried, best)
        least = torch.minimum(error, least)
    table = best.reshape(original().shape)
    return Made(f"int3, {group} a scale", table, table.numel() * 3 / 8 + HALF * len(flat))


def products(features: int, rounds: int = 6) -> Made:
    """A byte for so many numbers, which names one of 256 centers (product quantization)."""
    table, generator = original().float().clone(), torch.Generator().manual_seed(0)
    for start in range(0, table.shape[1], features):
        part = table[:, start : start + features]
        centers = part[torch.randperm(len(part), generator=generator)[:256]].clone()
        for _ in range(rounds):
            nearest = torch.cdist(part, centers).argmin(1)
            counts = torch.bincount(nearest, minlength=256).unsqueeze(1)
            sums = torch.zeros_like(centers).index_add_(0, nearest, part)
            centers = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        table[:, start : start + features] = centers[torch.cdist(part, centers).argmin(1)]
    size = table.numel() // features + 256 * table.shape[1] * HALF
    return Made(f"product quantization, {features} numbers a byte", table, size)


def rotated(which: str, columns: int, kind: str = "", group: int | None = None) -> Made:
    """The table along the first directions of something, as half numbers or as integers."""
    table = original().float()
    if which == "singular values":
        moment = table.mT @ table
    elif which == "frequencies^½":
        moment = table.mT @ (table * frequencies().sqrt().unsqueeze(1))
    else:  # what texts become
        pooled = nn.functional.normalize(encoded(table, given()[0]), dim=1)
        moment = pooled.mT @ pooled
    directions = torch.linalg.eigh(moment).eigenvectors.flip(1)[:, :columns]
    turned = table @ directions
    if not kind:
        return Made(f"low rank {columns}, {which}", turned.half(), HALF * turned.numel())
    found, size = _quantized(turned, kind, group)
    shared = "" if group is None else f", {group} a scale"
    return Made(f"low rank {columns}, {which}, {kind}{shared}", found, size)


@cache
def by_frequency(part: float) -> tncompile.Tensorized:
    """All words with a few numbers, frequent ones with more, in one basis: `MixedEmbedding`."""
    model = nn.Sequential(nn.Embedding.from_pretrained(original().float(), freeze=False))
    ids = torch.tensor([each for text in given()[0] for each in _ids(text)])
    moments = tncompile.calibrate(model, list(ids.split(8192)))
    sums = replace(moments.layers["0"], rows=frequencies().double())
    moments = replace(moments, layers={**moments.layers, "0": sums})
    limit = int(part * original().numel())
    found = tncompile.allocate(
        model, {"params": limit}, moments=moments, candidates=["MixedEmbedding"]
    )
    return tncompile.tensorize(model, found.rewrite, moments=moments)


def mixed(part: float, kind: Weights | None = None) -> Made:
    """The table by frequency, as half numbers or as integers.

    What has more than two bytes counts two: half precision, and where a word stands.
    """
    done, name = by_frequency(part), f"by frequency, {part:.0%} of the numbers"
    if kind is not None:
        done, name = tncompile.quantize(done, kind), f"{name}, {kind}"
    stored = done.model.state_dict().values()
    size = sum(each.numel() * min(each.element_size(), HALF) for each in stored)
    with torch.no_grad():
        table = done.model(torch.arange(len(original())))
    return Made(name, table.half(), size)


WAYS: tuple[Callable[[], Made], ...] = (
    lambda: whole("int8"),
    lambda: whole("int4", 64),
    lambda: whole("int4", 128),
    lambda: whole("int4", 256),
    three_bits,
    lambda: products(4),
    lambda: rotated("singular values", 64),
    lambda: rotated("frequencies^½", 64),
    lambda: rotated("texts", 64),
    lambda: Made("the first 64 columns", original()[:, :64], HALF * 64 * len(original())),
    lambda: whole("int8", None, 126),
    lambda: whole("int4", 256, 248),
    lambda: whole("int4", 128, 240),
    lambda: whole("int4", 256, 128),
    lambda: rotated("texts", 126, "int8"),
    lambda: rotated("texts", 248, "int4", 256),
    lambda: rotated("texts", 240, "int4", 128),
    lambda: rotated("texts", 128, "int4", 128),
    lambda: rotated("texts", 64, "int8"),
    lambda: mixed(0.24),
    lambda: mixed(0.48, "int8"),
    lambda: mixed(0.72, "int8"),
    lambda: mixed(0.9, "int4"),
)
"""The original's bytes first, then a quarter and less."""


def similarities(table: Tensor) -> Tensor:
    """The cosines of all pairs of held-out paragraphs."""
    vectors = nn.functional.normalize(encoded(table, given()[1]), dim=1)
    first, second = torch.triu_indices(len(vectors), len(vectors), 1)
    return (vectors @ vectors.mT)[first, second]


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies wordllama")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    start, due = time.monotonic(), similarities(original())
    first = scores.scores(lambda own: encoded(original(), own))
    size = HALF * original().numel()
    print(f"the original: {', '.join(f'{value:.4f}' for value in first.values)}\n\n{HEAD}")
    for make in WAYS:
        made = make()
        near = float(torch.corrcoef(torch.stack([similarities(made.table), due]))[0, 1])
        table = made.table
        found = scores.scores(lambda own, table=table: encoded(table, own))  # type: ignore[misc]
        parts = " | ".join(f"{100 * part:.1f}" for part in found.relative(first))
        span = ", ".join(f"{100 * a:.0f}–{100 * b:.0f}" for a, b in _spans(found, first))
        print(
            f"| {made.bytes / 1e6:.2f} | {made.bytes / size:.1%} | {made.table.shape[1]} |"
            f" {made.name} | {near:.4f} | {parts} | {span} |",
            flush=True,
        )
    print(f"\n{time.monotonic() - start:.0f} s")


def _spans(found: scores.Scores, first: scores.Scores) -> tuple[tuple[float, float], ...]:
    return scores.intervals(found, first, draws=200)[:3]
