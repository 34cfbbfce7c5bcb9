"""Small models, and the moments of their layers by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import tncompile
from tests.tensorizing.networks import random_weight
from tncompile import Moments


class Conv1D(nn.Module):
    """As the one of transformers: a linear layer whose weight is (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(random_weight(nx, nf, seed=nf).float())
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight).view(
            *x.shape[:-1], self.nf
        )


class Tiny(nn.Module):
    """A transformer of one head: embedding, fused projection, feed-forward, one number a text."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.words = nn.Embedding(11, 6)
        self.qkv = Conv1D(18, 6)
        self.out = nn.Linear(6, 6)
        self.up = nn.Linear(6, 10)
        self.down = nn.Linear(10, 6, bias=False)
        self.unused = nn.Linear(6, 6)
        self.aside = nn.Linear(6, 6)
        self.head = nn.Linear(6, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = self.words(ids)
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = (q @ k.mT).masked_fill(~mask.unsqueeze(1), -torch.inf)
        x = x + self.drop(self.out(scores.softmax(-1) @ v))
        self.aside(x)
        x = x + self.down(torch.relu_(self.up(x)))
        x = (x * mask.unsqueeze(2)).sum(1)
        return self.head(x), x


def texts(count: int, seed: int) -> dict[str, torch.Tensor]:
    """A batch for `Tiny`; its id 0 is only where the mask says that there is nothing."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 11, (count, 5), generator=generator)
    mask = torch.arange(5) < torch.randint(2, 6, (count, 1), generator=generator)
    return {"ids": ids * mask, "mask": mask}


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    """Equal to the digits of float32."""
    scale = float(wanted.abs().max())
    torch.testing.assert_close(found, wanted.to(found), rtol=1e-4, atol=1e-5 * scale)


def require(
    moments: tncompile.Moments, name: str, inputs: torch.Tensor, gradients: torch.Tensor
) -> None:
    """The metric of a layer is that of inputs (rows, in) and gradients (rows, out)."""
    inputs, gradients = inputs.double(), gradients.double()
    squares = gradients.square().sum(1)
    metric = moments.metric(name)
    assert metric.inputs is not None
    assert metric.outputs is not None
    close(metric.inputs, (inputs * squares.unsqueeze(1)).mT @ inputs / squares.sum())
    close(metric.outputs, gradients.mT @ gradients / moments.samples)


CONVOLUTIONS = {
    "padded": nn.Conv2d(4, 6, 3, padding=1, stride=2),
    "dilated": nn.Conv2d(4, 6, (2, 3), padding=(1, 2), dilation=(2, 1), padding_mode="reflect"),
    "groups": nn.Conv2d(4, 6, 3, groups=2),
    "same": nn.Conv2d(4, 6, (2, 3), padding="same", padding_mode="circular"),
    "depthwise": nn.Conv2d(4, 4, 3, groups=4, padding=1),
}


def same(ours: Moments, theirs: Moments) -> None:
    """Equal but for the order of additions."""
    facts = ("unreached", "aliases", "samples", "batches")
    assert [getattr(ours, f) for f in facts] == [getattr(theirs, f) for f in facts]
    assert ours.output == pytest.approx(theirs.output)
    assert ours.layers.keys() == theirs.layers.keys()
    for name, sums in ours.layers.items():
        for what in ("inputs", "outputs", "rows"):
            wanted = getattr(theirs.layers[name], what)
            torch.testing.assert_close(getattr(sums, what), wanted, rtol=1e-9, atol=1e-12)
        for axis, wanted in zip(sums.axes, theirs.layers[name].axes, strict=True):
            torch.testing.assert_close(axis, wanted, rtol=1e-9, atol=1e-12)
