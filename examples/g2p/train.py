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

import tncompile
from tncompile import Model

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
        if ended.all():
            break
        said.append(scores.argmax(-1).masked_fill(ended, data.PAD))
    return nn.functional.pad(torch.cat(said[1:], dim=1), (0, LONGEST + 1 - len(said)))


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


def report(name: str, model: Model, module: nn.Module, words: Tensor, said: Tensor) -> str:
    """A line of the table: the phonemes and the whole words that are said as by g2p-en."""
    cost = model.cost(batch=BATCH, sizes={"s": words.shape[1], "t": said.shape[1]})
    got = say(module, words)[:, : said.shape[1]]
    right = (got == said) | (said == data.PAD)
    phonemes = right[said != data.PAD].double().mean()
    return (
        f"{name:24} {cost.parameters:10,} {cost.flops // BATCH:11,}  {phonemes:8.1%}"
        f"  {right.all(1).double().mean():6.1%}"
    )


def main() -> None:
    """Compare with g2p-en's own code, then train each model the same way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()

    model = SPEC.instantiate("G2P")
    trained = model.module(batch=BATCH)
    trained.load_state_dict(data.weights(), strict=True)
    listed = data.words()
    words = data.letters(listed)
    said = torch.cat([say(trained, some) for some in words.split(500)])

    reference = data.reference()
    few = range(0, len(listed), 20)
    wrong = [listed[k] for k in few if data.spelled(said[k]) != reference(listed[k])]
    print(f"{len(few)} words by g2p-en's own code and by g2p.tn: {len(wrong)} differ {wrong[:5]}")
    for word in ("tensor", "activationist"):
        print(f"  {word}: {' '.join(data.spelled(say(trained, data.letters([word]))[0]))}")

    said = said[:, : int((said != data.PAD).sum(1).max())]
    held = torch.arange(len(words)) % 10 == 0
    print(f"\n{'':24} parameters       FLOPs  phonemes   words    step")
    print(report("g2p-en's weights", model, trained, words[held], said[held]), flush=True)
    for name, arguments in MODELS.items():
        model = SPEC.instantiate("G2P", **arguments)
        module = model.module(seed=0, batch=BATCH)
        seconds = train(module, words[~held], said[~held], given.steps)
        line = report(name, model, module, words[held], said[held])
        print(f"{line}  {seconds * 1e3:3.0f} ms", flush=True)


if __name__ == "__main__":
    main()
