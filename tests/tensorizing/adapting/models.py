"""A model with every kind of layer that adapters are for, and what is done to it."""

from __future__ import annotations

import torch
from torch import nn

from tests.tensorizing.replacing.models import Conv1D

IDS = torch.tensor([[1, 5, 3, 9, 0], [3, 3, 2, 8, 7]])


class Mixed(nn.Module):
    """An embedding with a row of padding, whose weight is that of the head, and three layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(12, 8, padding_idx=3)
        self.up, self.down = nn.Linear(8, 16), Conv1D(8, 16)
        self.conv = nn.Conv1d(8, 8, 3, padding="same", padding_mode="circular")
        self.head = nn.Linear(8, 12, bias=False)
        self.head.weight = self.embed.weight
        self.norm = nn.BatchNorm1d(8)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        x = x + self.down(torch.relu(self.up(x)))
        out: torch.Tensor = self.head(self.norm(self.conv(x.mT)).mT)
        return out


LAYERS = ["embed", "up", "down", "conv", "head"]


def mixed(dtype: torch.dtype = torch.float32) -> nn.Module:
    """The same weights every time, in eval mode."""
    torch.manual_seed(1)
    return Mixed().to(dtype).eval()


def stack(width: int = 16, layers: int = 2) -> nn.Module:
    """Linear layers under the names of blocks: `0.q`, `0.v`, `1.q`, …"""
    torch.manual_seed(1)
    return nn.Sequential(
        *(
            nn.Sequential(nn.ModuleDict({"q": nn.Linear(width, width), "v": nn.Linear(width, 8)}))
            for _ in range(layers)
        )
    )


def disturb(model: nn.Module, seed: int = 0) -> None:
    """Change all that is trained."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(noise.to(parameter.dtype), alpha=0.1)


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """Whether two state dicts are the same to the bit, in the same order."""
    return [*first] == [*second] and all(torch.equal(second[k], t) for k, t in first.items())


def copied(model: nn.Module) -> dict[str, torch.Tensor]:
    """The state of a model as it is now."""
    return {key: tensor.clone() for key, tensor in model.state_dict().items()}
