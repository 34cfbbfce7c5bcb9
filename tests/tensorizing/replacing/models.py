"""Models of the shapes of torchvision's and transformers', with random weights, in plain torch."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Conv1D(nn.Module):
    """transformers' linear map of GPT-2: its weight is (in, out)."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf, self.nx = nf, nx
        self.weight = nn.Parameter(torch.randn(nx, nf) * 0.2)
        self.bias = nn.Parameter(torch.randn(nf))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = torch.addmm(self.bias, x.reshape(-1, x.shape[-1]), self.weight)
        return out.view(*x.shape[:-1], self.nf)


class Attention(nn.Module):
    """Causal attention with one fused map for queries, keys and values."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_attn, self.c_proj = Conv1D(3 * width, width), Conv1D(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self.c_attn(x).chunk(3, -1)
        out: torch.Tensor = self.c_proj(
            functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        )
        return out


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln, self.attn = nn.LayerNorm(width), Attention(width)
        self.c_fc, self.c_proj = Conv1D(2 * width, width), Conv1D(width, 2 * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.ln(x))
        out: torch.Tensor = x + self.c_proj(functional.gelu(self.c_fc(x)))
        return out


class GPT2(nn.Module):
    """A head that is tied to the embedding."""

    def __init__(self, words: int = 24, width: int = 8, layers: int = 2) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(words, width), nn.Embedding(12, width)
        self.h = nn.ModuleList(Block(width) for _ in range(layers))
        self.lm_head = nn.Linear(width, words, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[-1]))
        for block in self.h:
            x = block(x)
        out: torch.Tensor = self.lm_head(x)
        return out


class Experts(nn.Module):
    """All experts in two parameters of three axes, as Mixtral has them in transformers."""

    def __init__(self, experts: int, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up_proj = nn.Parameter(torch.randn(experts, width, inner) * 0.3)
        self.down_proj = nn.Parameter(torch.randn(experts, inner, width) * 0.3)

    def forward(self, x: torch.Tensor, picked: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(x)
        for k in range(self.gate_up_proj.shape[0]):
            y = functional.silu(x @ self.gate_up_proj[k]) @ self.down_proj[k]
            out = out + y * (picked == k).unsqueeze(-1)
        return out


class Mixtral(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.experts = nn.Linear(6, 3, bias=False), Experts(3, 6, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.experts(x, self.gate(x).argmax(-1))
        return out


class ResNet(nn.Module):
    """Strided, dilated, depthwise and one-dimensional convolutions, batch norms, one shared."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 5, stride=2, padding=2, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding="same", groups=8)
        self.wide = nn.Conv2d(8, 12, 3, dilation=2, padding=(2, 1), padding_mode="circular")
        self.temporal = nn.Conv1d(12, 6, 3, padding=1, stride=2)
        self.again = self.depthwise
        self.fc = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again(self.depthwise(functional.relu(self.bn(self.stem(x)))))
        x = self.temporal(functional.relu(self.wide(x)).flatten(2))
        out: torch.Tensor = self.fc(x.mean(-1))
        return out


class Padded(nn.Module):
    """An embedding with a row of padding, and torch's attention, which reads weights itself."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(10, 8, padding_idx=3)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embed(ids)
        out: torch.Tensor = self.attend(x, x, x, need_weights=False)[0]
        return out


def seeded(make: type[nn.Module]) -> nn.Module:
    """A model with weights of its own, in eval mode."""
    torch.manual_seed(1)
    return make().eval()


def gpt2() -> nn.Module:
    """For commands, which name what makes a model."""
    return seeded(GPT2)


IDS = torch.tensor([[1, 5, 3, 9, 0], [3, 3, 2, 8, 7]])

TENSORS = """
import "std/linear.tn" { LowRank, MPO }
import "std/embedding.tn" { TTEmbedding }
import "std/convolution.tn" { GroupedConv, Tucker2Conv, TTConv }

network Experts(e: int, i: int, o: int, rank: int) {
  index  a = e, b = i, c = o
  bond   p = rank, q = rank
  tensor A(a, p)
  tensor B(p, b, q)
  tensor C(q, c)
  output y(a, b, c)
}
"""

FULL = {
    GPT2: """
  embedding "wte"      -> TTEmbedding(ranks = 64)
  embedding "*"        -> TTEmbedding(rows = [3, 4], columns = [4, 2], ranks = 64)
  conv1d "*.c_attn"    -> MPO(ins = [2, 4], outs = [6, 4], ranks = 64)
  conv1d "*"           -> LowRank(rank = min(in_features, out_features))
""",
    Mixtral: """
  parameter "experts.*" -> Experts(shape[0], shape[1], shape[2], rank = 24)
  linear "gate"         -> LowRank(rank = 3)
""",
    ResNet: """
  conv "depthwise" -> GroupedConv
  conv "temporal"  -> Tucker2Conv(in_rank = 12, out_rank = 6)
  conv "wide"      -> TTConv(ins = [2, 4], outs = [3, 4], ranks = 256)
  conv "*"         -> Tucker2Conv(in_rank = in_channels, out_rank = out_channels)
  any "*"          -> LowRank(rank = 5)
""",
    Padded: """
  embedding "*"                  -> TTEmbedding(ranks = 64)
  linear "attend.out_proj"       -> LowRank(rank = 8)
  parameter "attend.in_proj_weight" -> LowRank(8, 24, rank = 8, with_bias = false)
""",
}
"""Lines that replace every layer of a model, with ranks that lose nothing."""

INPUTS = {
    GPT2: IDS,
    Padded: IDS,
    Mixtral: torch.randn(2, 5, 6, generator=torch.Generator().manual_seed(0)),
    ResNet: torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0)),
}


def rewrite_text(lines: str) -> str:
    """A file with these lines."""
    return f"{TENSORS}\nrewrite R {{ {lines} }}"
