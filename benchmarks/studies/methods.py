"""Linear layers of any model in fewer numbers, by the methods that studies compare."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

import torch
from torch import nn

import tncompile
from benchmarks.studies.baselines import Row, one_sided
from tncompile import Moments, Tensorized

LOW_RANK_CONVOLUTION = """
network LowRankConv(
  in_channels: int, out_channels: int, kernel_size: int[axes] = [3, 3], rank: int = 8,
  stride: int[axes] = 1, padding: int[axes] = 0, with_bias: bool = true,
) {
  window h[a in 0..axes] = conv(size = kernel_size[a], stride = stride[a], padding = padding[a])
  index  i = in_channels, o = out_channels
  bond   r = rank
  input  x(..., i, h[*].in)
  tensor K(r, i, h[*].kernel)
  tensor V(o, r)
  bias   c(o) if with_bias
  output y(..., o, h[*].out)
}
"""
"""The matrix (outputs, inputs × kernel) of low rank: a convolution to fewer channels, then one of
kernel length 1 (Jaderberg, Vedaldi and Zisserman, 2014, have the same along one axis)."""


def compared(
    model: nn.Module, limit: int, moments: Moments, layers: Sequence[str], multiple: int
) -> Iterator[tuple[Row, float, Tensorized]]:
    """Rows of one budget with the seconds that they took: low rank four times, then trains.

    `layers` are patterns of the names of linear layers; all else is kept.
    """
    start = time.perf_counter()
    ranks = uniform(model, limit, layers)
    text = _text("LowRank", {name: f"rank = {rank}" for name, rank in ranks.items()})
    for name, given in (
        ("plain SVD, uniform", None),
        ("inputs whitened, uniform", one_sided(moments, ranks)),
        ("two-sided, uniform", moments),
    ):
        done = tncompile.tensorize(model, tncompile.Rewrite.loads(text), moments=given)
        yield of(name, done), time.perf_counter() - start, done
        start = time.perf_counter()
    found = tncompile.allocate(
        model, {"params": limit}, moments=moments, layers=layers, multiple=multiple
    )
    done = tncompile.tensorize(model, found.rewrite, moments=moments)
    yield of("two-sided, one threshold", done), time.perf_counter() - start, done
    start = time.perf_counter()
    trained = tncompile.tensorize(model, trains(model, found), moments=moments)
    row = of("the same numbers in trains of two sites", trained)
    yield row, time.perf_counter() - start, trained


def uniform(model: nn.Module, limit: int, layers: Sequence[str]) -> dict[str, int]:
    """The same part of every layer, the largest that fits."""
    shapes = {
        name: tuple(module.weight.shape)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and any(fnmatchcase(name, each) for each in layers)
    }
    whole = sum(p.numel() for p in model.parameters())
    for part in range(1000, 0, -1):
        ranks, count = {}, whole
        for name, (out, into) in shapes.items():
            rank = max(1, int(part * out * into / (1000 * (out + into))))
            saved = out * into - rank * (out + into)
            if saved > 0:
                ranks[name], count = rank, count - saved
        if count <= limit:
            return ranks
    raise ValueError(f"no ranks leave {limit:,} numbers")


def trains(model: nn.Module, found: tncompile.Allocation) -> tncompile.Rewrite:
    """Tensor trains of two sites with as many numbers as low rank was given, a layer each."""
    block = tncompile.load("std/linear.tn")["MPO"]
    calls: dict[str, str] = {}
    for name, (_, given) in found.choices.items():
        layer = model.get_submodule(name)
        assert isinstance(layer, nn.Linear)
        out, into = layer.weight.shape
        limit = int(str(given["rank"])) * (out + into)
        ins, outs, rank = _split(into), _split(out), 1
        sizes = {"ins": ins, "outs": outs, "with_bias": False}
        while block.instantiate(**sizes, ranks=rank + 1).network.parameter_count <= limit:
            rank += 1
        calls[name] = f"ins = {ins}, outs = {outs}, ranks = {rank}"
    return tncompile.Rewrite.loads(_text("MPO", calls))


def _split(width: int) -> list[int]:
    first = next(k for k in range(int(width**0.5), 0, -1) if width % k == 0)
    return [first, width // first]


def _text(block: str, calls: dict[str, str]) -> str:
    lines = [f'  linear "{name}" -> {block}({given})' for name, given in calls.items()]
    return f'import "std/linear.tn" {{ {block} }}\nrewrite R {{\n' + "\n".join(lines) + "\n}\n"


def of(name: str, done: Tensorized) -> Row:
    """A row of what `tensorize` made."""
    return Row(name, done.model, done.report.after, float(done.report.bytes_after))


def renamed(row: Row, name: str, model: nn.Module) -> Row:
    """The row of a model of the same sizes."""
    return replace(row, name=name, model=model)


@torch.no_grad()
def fastest(model: nn.Module, *inputs: torch.Tensor, repeats: int = 7) -> float:
    """Milliseconds of a forward pass, the fastest of some."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        model(*inputs)
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)
