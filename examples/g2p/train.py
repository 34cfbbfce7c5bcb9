"""Read g2p-en's weights, say what it says, and teach that to tensor trains and to a dense twin.

python examples/g2p/train.py [--steps N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import data
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import tncompile

SPEC = tncompile.load(Path(__file__).with_name("g2p.tn"))
BATCH, RATE, LONGEST = 64, 4e-3, 20
MODELS = {
    "dense twin": {"dense": True},
    "tensor trains, rank 16": {"dense": False, "rank": 16},
}


@torch.no_grad()
def say(model: nn.Module, words: Tensor) -> Tensor:
    """The phonemes of words, the likeliest at each `step`, up to the end and pads behind it."""
    said = [torch.full((len(words), 1), data.START)]
    state, ended = None, torch.zeros(len(words), 1, dtype=torch.bool)
    for _ in range(LONGEST):
        scores, state = model.step(words, said[-1], state)
        ended |= said[-1] == data.END
        said.append(scores.argmax(-1).masked_fill(ended, data.PAD))
    return torch.cat(said[1:], dim=1)


def train(model: nn.Module, words: Tensor, said: Tensor, steps: int) -> float:
    """Teach the phonemes by AdamW with one cycle of the rate; the seconds that a step took."""
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps + 1)
    before = nn.functional.pad(said, (1, 0), value=data.START)[:, :-1]
    start = time.perf_counter()
    for _ in range(steps):
        chosen = torch.randint(len(words), (BATCH,), generator=generator)
        scores = model(words[chosen], before[chosen])
        loss = nn.functional.cross_entropy(
            scores.flatten(0, 1), said[chosen].flatten(), ignore_index=data.PAD
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return (time.perf_counter() - start) / max(1, steps)


def flops(model: nn.Module, words: Tensor, said: Tensor) -> int:
    """The floating-point operations of one word, in a batch of training."""
    with FlopCounterMode(display=False) as counter:
        model(words[:BATCH], said[:BATCH])
    return counter.get_total_flops() // BATCH


def report(name: str, model: nn.Module, words: Tensor, said: Tensor, step: str) -> None:
    """A line of the table: the phonemes and the whole words that are said as by g2p-en."""
    got = say(model, words)[:, : said.shape[1]]
    right = (got == said) | (said == data.PAD)
    phonemes = right[said != data.PAD].double().mean().item()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(
        f"{name:24} {parameters:10,} {flops(model, words, said):12,} {step:>8}"
        f"  {phonemes:8.1%}  {right.all(1).double().mean().item():6.1%}",
        flush=True,
    )


def main() -> None:
    """Compare with g2p-en's own code, then train each model the same way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    given = parser.parse_args()

    trained = SPEC.instantiate("G2P").module(batch=BATCH)
    trained.load_state_dict(data.weights(), strict=True)
    listed = data.words()
    words = data.letters(listed)
    said = say(trained, words)

    reference = data.reference()
    few = range(0, len(listed), 20)
    wrong = [listed[k] for k in few if data.spelled(said[k]) != reference(listed[k])]
    print(f"{len(few)} words by g2p-en's own code and by g2p.tn: {len(wrong)} differ {wrong[:5]}")
    for word in ("tensor", "activationist"):
        print(f"  {word}: {' '.join(data.spelled(say(trained, data.letters([word]))[0]))}")

    said = said[:, : int((said != data.PAD).sum(1).max())]
    held = torch.arange(len(words)) % 10 == 0
    print(f"\n{'':24} parameters        FLOPs     step  phonemes   words")
    report("g2p-en's weights", trained, words[held], said[held], "")
    for name, arguments in MODELS.items():
        model = SPEC.instantiate("G2P", **arguments).module(seed=0, batch=BATCH)
        seconds = train(model, words[~held], said[~held], given.steps)
        report(name, model, words[held], said[held], f"{seconds * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
