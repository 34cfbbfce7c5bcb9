"""What a sceptic tries first: bytes rounded, rows quantized in groups, layers left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import nn

import tncompile
from benchmarks.studies.encoder import Encoder
from tncompile import Moments

WORDS = "bert.embeddings.word_embeddings"


@dataclass(frozen=True)
class Row:
    """A way to make the model smaller: parameters and bytes are those of all of it."""

    name: str
    model: nn.Module
    parameters: int
    bytes: float


def matrices(model: nn.Module) -> dict[str, nn.Module]:
    """The linear layers and the table of words, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) or name == WORDS
    }


def rounded(model: Encoder, bits: int) -> Row:
    """All matrices rounded to `bits` bits a number, with one float32 scale a row."""
    small = deepcopy(model)
    size = float(sum(p.numel() for p in model.parameters()) * 4)
    largest = 2 ** (bits - 1) - 1
    for module in matrices(small).values():
        weight = module.weight
        assert isinstance(weight, nn.Parameter)
        scale = weight.detach().abs().amax(1, keepdim=True).clamp(min=1e-12) / largest
        weight.data = (weight.detach() / scale).round().clamp(-largest, largest) * scale
        size += weight.numel() * (bits / 8 - 4) + 4 * len(weight)
    return Row(f"int{bits}, a scale a row", small, _count(small), size)


def product_quantized(model: Encoder, features: int = 4, rounds: int = 8) -> Row:
    """The table of words, a byte for each `features` numbers: one of 256 centers (k-means)."""
    small = deepcopy(model)
    table = matrices(small)[WORDS].weight
    assert isinstance(table, nn.Parameter)
    generator = torch.Generator().manual_seed(0)
    for start in range(0, table.shape[1], features):
        part = table.detach()[:, start : start + features]
        centers = part[torch.randperm(len(part), generator=generator)[:256]].clone()
        for _ in range(rounds):
            nearest = torch.cdist(part, centers).argmin(1)
            counts = torch.bincount(nearest, minlength=256).clamp(min=1).unsqueeze(1)
            sums = torch.zeros_like(centers).index_add_(0, nearest, part)
            centers = torch.where(counts > 0, sums / counts, centers)
        table.data[:, start : start + features] = centers[torch.cdist(part, centers).argmin(1)]
    groups = table.shape[1] // features
    whole = sum(p.numel() for p in model.parameters()) * 4
    size = whole - table.numel() * 4 + len(table) * groups + 256 * table.shape[1] * 4
    name = f"words: product quantization, {features} numbers a byte"
    return Row(name, small, _count(small), float(size))


def without_layers(model: Encoder, kept: tuple[int, ...]) -> Row:
    """Some of the six layers, the others left out."""
    small = deepcopy(model)
    encoder = small.bert.encoder
    layers = encoder.layer  # type: ignore[union-attr]
    encoder.layer = nn.ModuleList([layers[k] for k in kept])  # type: ignore[union-attr,index]
    count = _count(small)
    return Row(f"layers {', '.join(map(str, kept))} of 0 to 5", small, count, 4.0 * count)


def uniform(model: Encoder, limit: int, moments: Moments, *, whitened: bool) -> Row:
    """The same part of every matrix in low rank, plain or in the metric of its inputs."""
    layers, whole = matrices(model), _count(model)
    for percent in range(1000, 0, -1):
        ranks, count = {}, whole
        for name, module in layers.items():
            out, into = module.weight.shape  # type: ignore[union-attr,misc]
            rank = max(1, int(percent * out * into / (1000 * (out + into))))
            saved = out * into - rank * (out + into)
            if saved > 0:
                ranks[name], count = rank, count - saved
        if count <= limit:
            break
    lines = [_line(name, layers[name], rank) for name, rank in ranks.items()]
    imports = 'import "std/linear.tn" { LowRank }\nimport "std/embedding.tn" { TTEmbedding }\n'
    text = imports + "rewrite Uniform {\n" + "\n".join(lines) + "\n}\n"
    given = one_sided(moments, ranks) if whitened else None
    done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=given)
    name = "inputs whitened, uniform" if whitened else "plain SVD, uniform"
    return Row(name, done.model, done.report.after, float(done.report.bytes_after))


def _line(name: str, module: nn.Module, rank: int) -> str:
    if name != WORDS:
        return f'  linear "{name}" -> LowRank(rank = {rank})'
    rows, columns = module.weight.shape  # type: ignore[union-attr,misc]
    shape = f"rows = [{rows}], columns = [1, {columns}], ranks = {rank}"
    return f'  embedding "{name}" -> TTEmbedding({shape})'


def one_sided(moments: Moments, names: Mapping[str, object]) -> Moments:
    """The same moments with outputs that count alike."""
    layers = dict(moments.layers)
    for name in names:
        sums = layers[name]
        alike = torch.ones_like(sums.heard) * (sums.squares / sums.layer.outputs)
        outputs = alike if sums.outputs.dim() == 1 else torch.diag(alike)
        layers[name] = replace(sums, outputs=outputs)
    return replace(moments, layers=layers)


def _count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


BYTES: tuple[Callable[[Encoder], Row], ...] = (
    lambda model: rounded(model, 8),
    lambda model: rounded(model, 4),
    product_quantized,
    lambda model: without_layers(model, (0, 1, 3, 5)),
    lambda model: without_layers(model, (0, 2, 5)),
)
"""Those that need no budget."""
