"""all-MiniLM-L6-v2 at half of its parameters, and less: ranks for a budget, refit, distillation.

`python -m benchmarks.studies minilm --budget 0.5 --minutes 15`. Parts are those of all 22,713,216
numbers in the file; the pooler, 0.65 % of them, which vectors of sentences do not depend on, is
dropped. Nothing that is scored is trained or calibrated on: paragraphs that are held out, the texts
of the three tests, and words and phrases that are among them.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

import tncompile
from benchmarks.studies import baselines, scores, texts
from benchmarks.studies.baselines import WORDS
from benchmarks.studies.encoder import Batch, batched, encoded, loaded, size, tokens
from tncompile import Moments
from tncompile.network.packing import Weights

BUDGETS = (0.5, 0.35, 0.25)

CALIBRATION = 1200, 2400
"""Paragraphs, and words and phrases, of which moments are taken and to which layers are fitted.
Paragraphs are as long as the model sees them, 256 tokens: of moments of ones cut to 48, texts of
128 and more come to a cosine of 0.84, shorter ones to 0.91."""

LONGEST = 128
"""Tokens of a text in training: with 256 it is no better, and takes longer."""

KINDS: tuple[tuple[Weights, int | None], ...] = (("int8", None), ("int4", 64), ("int4", 32))
"""Integers, and how many neighbors have a scale; None is a row."""

HEAD = (
    "| parameters | MB | method | cosine, paragraphs | words | Lee | Lee, WordSim, SimLex, %"
    " | mean, % | s (CPU s) |\n|---|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Texts:
    """What is trained on, and what is scored."""

    paragraphs: list[str]
    words: list[str]
    held_out: list[str]
    test_words: list[str]
    watched: list[str]  # held out as well: what tells when to stop


@cache
def given() -> Texts:
    """All texts, in an order that is always the same."""
    tests = set(scores.test_texts())
    known, held = texts.split(texts.all_paragraphs())
    words, _ = texts.split(each for each in texts.words() if each not in tests)
    more = (*texts.pairs(), *texts.phrases())
    phrases, _ = texts.split(each for each in more if each.lower() not in tests)
    draw = random.Random(0)
    for each in (known, held, words, phrases):
        draw.shuffle(each)
    mixed = [each for pair in zip(words, phrases, strict=False) for each in pair]
    singles = [each for test in scores.TESTS[1:] for each in scores.judged(test).texts]
    return Texts(known, mixed, held[:400], list(dict.fromkeys(singles)), held[400:500])


def output(model: nn.Module, batch: Batch) -> torch.Tensor:
    """The direction of each text (texts, 384), times the root of its number of tokens.

    So each text counts alike in the moments: squared gradients of the mean of T tokens add up to
    1 / T. Times the number itself each token does, and words count for next to nothing.
    """
    vectors = nn.functional.normalize(model(*batch), dim=1)
    return vectors * batch[1].sum(1, keepdim=True).sqrt()


def calibration(part: float = 1.0) -> list[Batch]:
    """Batches of paragraphs, then of words; or of so many times as many texts."""
    paragraphs, words = (int(part * count) for count in CALIBRATION)
    some = given().paragraphs[:paragraphs]
    return batched(some, 1536) + batched(given().words[:words], 1024)


def calibrated(folder: Path | None) -> Moments:
    """The moments of both studies of this model, kept in a folder."""
    file = None if folder is None else folder / "minilm-moments.safetensors"
    data = calibration()
    return with_frequencies(tncompile.calibrate(loaded().model, data, output=output, file=file))


def with_frequencies(moments: Moments) -> Moments:
    """Moments in which rows of the table count as often as all of the texts have them."""
    counts = torch.zeros(loaded().model.bert.config.vocab_size, dtype=torch.float64)  # type: ignore
    for ids in tokens([*given().paragraphs, *given().words]):
        counts += torch.bincount(torch.tensor(ids), minlength=len(counts))
    sums = replace(moments.layers[WORDS], rows=counts + 0.1)
    return replace(moments, layers={**moments.layers, WORDS: sums})


@dataclass
class Clock:
    """Seconds on the wall, and of all threads."""

    wall: float = 0.0
    cpu: float = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Count the body."""
        wall, cpu = time.monotonic(), time.process_time()
        try:
            yield
        finally:
            self.wall += time.monotonic() - wall
            self.cpu += time.process_time() - cpu

    def __str__(self) -> str:
        return f"{self.wall:,.0f} ({self.cpu:,.0f})"


class Table:
    """Rows of markdown, each scored beside the original."""

    def __init__(self) -> None:
        self.original = loaded()
        held = given()
        lee = list(scores.judged("Lee").texts)
        self.texts = {"paragraphs": held.held_out, "words": held.test_words, "Lee": lee}
        model = self.original.model
        self.wanted = {name: encoded(model, own) for name, own in self.texts.items()}
        self.scores = scores.scores(lambda own: encoded(model, own))
        values = ", ".join(f"{value:.4f}" for value in self.scores.values)
        print(f"the original: Lee, WordSim, SimLex {values}\n\n{HEAD}", flush=True)

    def add(self, name: str, model: nn.Module, count: int, bytes: float, clock: Clock) -> None:
        """Score a model, and print its row."""
        cosines = []
        for which, own in self.texts.items():
            cosines.append(float((encoded(model, own) * self.wanted[which]).sum(1).mean()))
        found = scores.scores(lambda own: encoded(model, own))
        parts = found.relative(self.scores)
        low = scores.intervals(found, self.scores)
        each = ", ".join(
            f"{100 * part:.1f} ({100 * a:.0f}–{100 * b:.0f})"
            for part, (a, b) in zip(parts, low, strict=False)
        )
        mean = 100 * sum(parts) / len(parts)
        span = f"{100 * low[-1][0]:.0f}–{100 * low[-1][1]:.0f}"
        part, near = count / self.original.parameters, " | ".join(f"{c:.4f}" for c in cosines)
        print(
            f"| {part:.1%} | {bytes / 1e6:.1f} | {name} | {near} |"
            f" {each} | {mean:.1f} ({span}) | {clock} |",
            flush=True,
        )


def study(table: Table, moments: Moments, part: float, chosen: argparse.Namespace) -> None:
    """All steps of one budget."""
    original, clock = table.original, Clock()
    limit = int(part * original.parameters)
    with clock.running():
        share = chosen.share * part
        found = tncompile.allocate(
            original.model,
            {"params": limit},
            moments=moments,
            candidates=chosen.candidates.split(","),
            embedding_share=share,
        )
        done = tncompile.tensorize(original.model, found.rewrite, moments=moments)
    report = done.report
    table.add("two-sided, one threshold", done.model, report.after, report.bytes_after, clock)
    with clock.running():
        data = calibration(chosen.refit)
        again = tncompile.refit(original.model, done, data, output=output, moments=moments)
    name = f"refitted, {size(data):,} tokens"
    table.add(name, again.model, report.after, report.bytes_after, clock)
    if not chosen.minutes:
        return
    with clock.running():
        taught = taught_by(original.model, again.tensorized, moments, part, chosen)
    print(taught, file=sys.stderr, flush=True)
    name = f"distilled, {taught.steps:,} steps, {taught.tokens:,} tokens"
    table.add(name, taught.model, report.after, report.bytes_after, clock)
    assert taught.tensorized is not None
    quantized(table, taught.tensorized, "distilled, ", moments, kinds=KINDS[::2])


def quantized(
    table: Table,
    done: tncompile.Tensorized | None,
    name: str,
    moments: Moments | None = None,
    *,
    kinds: Sequence[tuple[Weights, int | None]] = KINDS,
) -> None:
    """A row for each kind of weights, of a smaller model or of the original."""
    model = table.original.model
    for kind, group in kinds:
        clock = Clock()
        with clock.running():
            small = tncompile.quantize(done or model, kind, group=group, moments=moments)
        shared = "" if group is None else f", {group} a scale"
        report = small.report
        table.add(f"{name}{kind}{shared}", small.model, report.after, report.bytes_after, clock)


def taught_by(
    model: nn.Module,
    small: tncompile.Tensorized,
    moments: Moments,
    part: float,
    chosen: argparse.Namespace,
) -> tncompile.Distilled:
    """Distilled on all texts, three tokens of paragraphs to one of words."""
    known = given()
    folder: Path | None = chosen.folder
    data = batched(known.paragraphs, 1024, longest=LONGEST, trim=True)
    words = batched(known.words, 768, trim=True, seed=1)
    data += words[: len(data) // 3]
    held = batched(known.watched, 1024, longest=LONGEST)
    held += batched(texts.split(texts.words())[1][:400], 1024)
    return tncompile.distill(
        model,
        small,
        data,
        minutes=chosen.minutes,
        rate=chosen.rate,
        moments=moments,
        held_out=held,
        layers=("bert.encoder.layer.1", "bert.encoder.layer.3", "bert.encoder.layer.5"),
        checkpoint=folder and folder / f"minilm-{part:g}.safetensors",
        memory_limit=2**28,  # texts come once or twice: nearly nothing to keep
    )


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies minilm")
    parser.add_argument("--budget", type=float, action="append", help="a part of the parameters")
    parser.add_argument("--minutes", type=float, default=15.0, help="of distillation, 0 for none")
    parser.add_argument("--rate", type=float, default=0.002, help="of distillation")
    parser.add_argument(
        "--candidates",
        default="Interpolative,MixedEmbedding",
        help="blocks that layers may become, with commas",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where moments and checkpoints are kept")
    parser.add_argument(
        "--share", type=float, default=0.7, help="what the table keeps, in parts of the budget"
    )
    parser.add_argument("--refit", type=float, default=1.0, help="texts, in parts of CALIBRATION")
    parser.add_argument("--rows", choices=("ours", "baselines", "both"), default="both")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    table, clock = Table(), Clock()
    model = table.original.model
    with clock.running():
        moments = calibrated(chosen.folder)
    print(f"calibrated in {clock} s", file=sys.stderr, flush=True)
    others = chosen.rows != "ours"
    if others:
        for make in baselines.BYTES:
            own = Clock()
            with own.running():
                row = make(model)
            table.add(row.name, row.model, row.parameters, row.bytes, own)
    for part in chosen.budget or BUDGETS:
        for whitened in (False, True) if others else ():
            own = Clock()
            with own.running():
                limit = int(part * table.original.parameters)
                row = baselines.uniform(model, limit, moments, whitened=whitened)
            table.add(row.name, row.model, row.parameters, row.bytes, own)
        if chosen.rows != "baselines":
            study(table, moments, part, chosen)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\ncalibration {clock} s, not in the rows; at most {peak:.1f} GB of memory")
