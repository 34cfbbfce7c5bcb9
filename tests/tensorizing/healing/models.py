"""Small models with residual streams, and data for them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

import tncompile
from tncompile import Moments, Tensorized

SIZE = 16


class Block(nn.Module):
    """Attention and two maps, each added to the stream; ids or states (n, t, SIZE) to states."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)
        self.q, self.k, self.v = (nn.Linear(SIZE, SIZE) for _ in range(3))
        self.out, self.drop = nn.Linear(SIZE, SIZE), nn.Dropout(0.1)
        self.up, self.down = nn.Linear(SIZE, 2 * SIZE), nn.Linear(2 * SIZE, SIZE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The stream behind the block."""
        seen = self.first(x)
        heads = functional.scaled_dot_product_attention(self.q(seen), self.k(seen), self.v(seen))
        x = x + self.drop(self.out(heads))
        return x + self.drop(self.down(functional.gelu(self.up(self.second(x)))))


def transformer() -> nn.Sequential:
    """A table, two blocks and a head, in training mode."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Embedding(40, SIZE), Block(), Block(), nn.Linear(SIZE, 8))


def ids(count: int, seed: int = 1) -> list[torch.Tensor]:
    """Batches for `transformer`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(0, 40, (6, 10), generator=generator) for _ in range(count)]


def made(model: nn.Module, data: list[torch.Tensor], text: str) -> tuple[Tensorized, Moments]:
    """A model with layers in low rank, and the moments that they were fitted with."""
    moments = tncompile.calibrate(model, data)
    head = 'import "std/linear.tn" { LowRank, MPO } import "std/embedding.tn" { TTEmbedding }'
    rewrite = tncompile.Rewrite.loads(f"{head} rewrite S {{ {text} }}")
    return tncompile.tensorize(model, rewrite, moments=moments), moments


def error(small: nn.Module, model: nn.Module, data: list[torch.Tensor]) -> float:
    """The relative error of the output, both as they are used."""
    modes = small.training, model.training
    with torch.no_grad():
        wanted = torch.cat([model.eval()(each) for each in data])
        found = torch.cat([small.eval()(each) for each in data])
    small.train(modes[0])
    model.train(modes[1])
    return float((found - wanted).norm() / wanted.norm())


def same(first: nn.Module, second: nn.Module) -> bool:
    """Whether two models have the same state to the bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)
