"""g2p-en's recurrent layers in fewer numbers: letters to phonemes, beside what the wheel says.

`python -m benchmarks.studies g2p --budget 0.5 --minutes 2`. Parts are those of all 834,890 numbers.
The two gated recurrent units have an nn.Linear for each matrix, so that these are calibrated, and
multiplied factor by factor. (Of nn.GRU `parameter` lines replace the weights, which it reads in one
call of its own: a network is contracted at each, so numbers are saved and no operations.)
Words are the 8,000 commonest of 3 to 10 letters; every tenth is held out. Nobody's pronunciations
are labels here: what counts is what the original says.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

import tncompile
from benchmarks.studies import baselines
from benchmarks.studies.baselines import Row
from benchmarks.studies.examples import example
from benchmarks.studies.methods import compared, fastest, of, renamed

BUDGETS = (0.5, 0.35, 0.25)
BATCH, LONGEST, WIDTH = 256, 20, 256
DRAWS = 2000

LAYERS = ("*.ih", "*.hh", "fc")
"""The tables of letters and phonemes, 3 % of the numbers, stay."""

HEAD = (
    "| parameters | MB | method | phonemes | words (5–95 %) | KL | ms | s |\n"
    "|---|---|---|---|---|---|---|---|"
)

Batch = tuple[Tensor, Tensor]
"""Letters, and the phonemes before each place, (words, length) each."""


def data() -> ModuleType:
    """What reads the wheels."""
    return example("g2p", "data")


class Unit(nn.Module):
    """A gated recurrent unit over (words, length) of ids; where these are 0 its state stays."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.emb = nn.Embedding(symbols, WIDTH)
        self.ih, self.hh = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, 3 * WIDTH)

    def forward(self, ids: Tensor, state: Tensor) -> Tensor:
        """The states (words, length, width)."""
        given, states = self.ih(self.emb(ids)), []
        for place in range(ids.shape[1]):
            own = self.hh(state)
            (xr, xz, xn), (hr, hz, hn) = given[:, place].chunk(3, -1), own.chunk(3, -1)
            update = torch.sigmoid(xz + hz)
            new = torch.tanh(xn + torch.sigmoid(xr + hr) * hn)
            changed = (1 - update) * new + update * state
            state = torch.where(ids[:, place, None] == 0, state, changed)
            states.append(state)
        return torch.stack(states, 1)


class Speller(nn.Module):
    """Letters (words, s) and the phonemes before (words, t) to scores (words, t, 74)."""

    def __init__(self) -> None:
        super().__init__()
        self.enc, self.dec, self.fc = Unit(29), Unit(74), nn.Linear(WIDTH, 74)

    def forward(self, letters: Tensor, before: Tensor) -> Tensor:
        """The scores of the phonemes at each place."""
        memory = self.enc(letters, self.fc.bias.new_zeros(len(letters), WIDTH))[:, -1]
        scores: Tensor = self.fc(self.dec(before, memory))
        return scores


def original() -> Speller:
    """The model of the wheel."""
    stored = data().weights()
    names = {"w": "weight", "b": "bias", "emb": "emb.weight"}
    for which in ("ih", "hh"):
        names |= {f"w_{which}": f"{which}.weight", f"b_{which}": f"{which}.bias"}
    state = {}
    for key, value in stored.items():
        part, _, name = key.partition(".")
        state[f"{part}.{names[name]}"] = value
    model = Speller()
    model.load_state_dict(state)
    return model.eval()


@torch.no_grad()
def say(model: nn.Module, letters: Tensor) -> Tensor:
    """The phonemes of words, the likeliest at each place, up to the end and zeros behind it."""
    memory = model.enc(letters, torch.zeros(len(letters), WIDTH))[:, -1]  # type: ignore[operator]
    said = [torch.full((len(letters), 1), data().START)]
    ended = torch.zeros(len(letters), 1, dtype=torch.bool)
    for _ in range(LONGEST):
        memory = model.dec(said[-1], memory)[:, -1]  # type: ignore[operator]
        chosen = model.fc(memory).argmax(-1, keepdim=True)  # type: ignore[operator]
        ended |= said[-1] == data().END
        said.append(chosen.masked_fill(ended, data().PAD))
    return torch.cat(said[1:], 1)


@dataclass(frozen=True)
class Words:
    """Letters, what the original says, and which words are held out."""

    letters: Tensor
    said: Tensor
    held: Tensor

    def batches(self, held: bool, size: int = BATCH) -> list[Batch]:
        """Letters and phonemes before, of the words that are held out or of the others."""
        chosen = self.held == held
        before = functional.pad(self.said[chosen], (1, 0), value=data().START)[:, :-1]
        pairs = zip(self.letters[chosen].split(size), before.split(size), strict=True)
        return list(pairs)


def words(model: Speller) -> Words:
    """The list, checked against the wheel's own code."""
    listed = data().words()
    letters = data().letters(listed)
    said = torch.cat([say(model, some) for some in letters.split(500)])
    reference = data().reference()
    few = range(0, len(listed), 40)
    wrong = [listed[k] for k in few if data().spelled(said[k]) != reference(listed[k])]
    print(f"{len(few)} words by g2p-en's own code and as here: {len(wrong)} differ\n", flush=True)
    said = said[:, : int((said != data().PAD).sum(1).max())]
    return Words(letters, said, torch.arange(len(listed)) % 10 == 0)


def output(model: nn.Module, batch: Batch) -> Tensor:
    """The scores less their mean at each place that is spoken: what the choice depends on."""
    scores = model(*batch)
    spoken = (batch[1] != data().PAD).unsqueeze(-1)
    return ((scores - scores.mean(-1, keepdim=True)) * spoken).flatten(1)


def divergence(ours: Tensor, theirs: Tensor, batch: Batch) -> Tensor:
    """The mean Kullback-Leibler divergence, in nats, of the places that are spoken."""
    spoken = batch[1] != data().PAD
    p, q = (each.unflatten(1, (spoken.shape[1], -1))[spoken] for each in (theirs, ours))
    return functional.kl_div(
        q.log_softmax(-1), p.log_softmax(-1), log_target=True, reduction="batchmean"
    )


class Table:
    """Rows of markdown, each beside the original."""

    def __init__(self, model: Speller) -> None:
        self.original, self.words = model, words(model)
        self.parameters = sum(p.numel() for p in model.parameters())
        print(HEAD, flush=True)

    def add(self, row: Row, seconds: float) -> None:
        """Score a model on the words that are held out, and print its row."""
        held = self.words.held
        wanted = self.words.said[held]
        got = say(row.model, self.words.letters[held])[:, : wanted.shape[1]]
        right = (got == wanted) | (wanted == data().PAD)
        phonemes = float(right[wanted != data().PAD].double().mean())
        whole = right.all(1).double()
        draws = torch.randint(
            len(whole), (DRAWS, len(whole)), generator=torch.Generator().manual_seed(0)
        )
        low, high = whole[draws].mean(1).quantile(torch.tensor([0.05, 0.95]).double()).tolist()
        batches = self.words.batches(True)
        with torch.no_grad():
            apart = [
                float(divergence(output(row.model, b), output(self.original, b), b))
                for b in batches
            ]
        divergent, milliseconds = (
            sum(apart) / len(apart),
            fastest(row.model, *(each[:64] for each in batches[0])),
        )
        print(
            f"| {row.parameters / self.parameters:.1%} | {row.bytes / 1e6:.2f} | {row.name} |"
            f" {phonemes:.1%} | {float(whole.mean()):.1%} ({low:.1%}–{high:.1%}) |"
            f" {divergent:.4f} | {milliseconds:.0f} | {seconds:.0f} |",
            flush=True,
        )


def study(table: Table, moments: tncompile.Moments, part: float, minutes: float) -> None:
    """All methods at one budget."""
    model, limit = table.original, int(part * table.parameters)
    start = time.perf_counter()
    found = tncompile.allocate(model, {"params": limit}, moments=moments, multiple=4)
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    row = of("two-sided, one threshold, tables too", done)
    table.add(row, time.perf_counter() - start)
    best = None
    for row, seconds, done in compared(model, limit, moments, LAYERS, multiple=4):
        table.add(row, seconds)
        if row.name == "two-sided, one threshold":
            best = row, done
    assert best is not None
    row, done = best
    if not minutes:
        return
    start = time.perf_counter()
    taught = tncompile.distill(
        model,
        done,
        table.words.batches(False),
        output=output,
        loss=divergence,
        moments=moments,
        minutes=minutes,
    )
    row = renamed(row, f"low rank, distilled, {taught.steps:,} steps", taught.model)
    table.add(row, time.perf_counter() - start)


def run(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.studies g2p")
    parser.add_argument("--budget", type=float, action="append", help="a part of the parameters")
    parser.add_argument("--minutes", type=float, default=2.0, help="of distillation, 0 for none")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    model = original()
    table = Table(model)
    size = 4.0 * table.parameters
    table.add(Row("g2p-en's weights", model, table.parameters, size), 0.0)
    for bits in (8, 4):
        start = time.perf_counter()
        table.add(baselines.rounded(model, bits), time.perf_counter() - start)  # type: ignore[arg-type]
    start = time.perf_counter()
    batches = table.words.batches(False)[::4]
    moments = tncompile.calibrate(model, batches, output=output)
    print(f"calibrated in {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    for part in chosen.budget or BUDGETS:
        study(table, moments, part, chosen.minutes)
