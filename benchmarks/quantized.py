"""Weights of eight and four bits beside float32: seconds of one layer, eager and compiled.

`python -m benchmarks.quantized` prints rows of markdown: the fastest of calls that take turns,
which says most where other things run. Torch has a product with weights of eight bits on the CPU
(`torch.ops.aten._weight_int8pack_mm`, private and for bfloat16); its time stands beside the others
and nothing of ours calls it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import tncompile

SIZES = ((384, 1536), (4096, 4096))
BATCHES = (1, 64)
HEAD = "| map | batch | way | ms | of float32 | MB |\n|---|---|---|---|---|---|"

Call = Callable[[Tensor], Tensor]


def bytes_of(module: nn.Module) -> int:
    """Parameters and buffers."""
    return sum(t.numel() * t.element_size() for t in module.state_dict().values())


def ways(into: int, out: int, compiled: bool) -> dict[str, tuple[Call, int]]:
    """What is timed, by name, and the bytes that it holds."""
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(into, out)).eval()
    rank = into * out // (2 * (into + out))
    half = tncompile.from_linear(dense[0], "LowRank", rank=rank)  # type: ignore[arg-type]
    found: dict[str, nn.Module] = {"float32": dense, f"low rank {rank}": half}
    for kind in ("int8", "int4"):
        found[kind] = tncompile.quantize(dense, kind).model  # type: ignore[arg-type]
        factors = half_quantized(half, into, out, rank, kind)
        found[f"low rank {rank}, {kind}"] = factors
    calls: dict[str, tuple[Call, int]] = {}
    for name, module in found.items():
        calls[name] = module, bytes_of(module)
        if compiled:
            calls[f"{name}, compiled"] = torch.compile(module, dynamic=False), bytes_of(module)
    weight = dense[0].weight.detach()  # type: ignore[union-attr]
    scale = (weight.abs().amax(1) / 127).bfloat16()
    codes = (weight / scale.float().unsqueeze(1)).round().clamp(-127, 127).to(torch.int8)
    kernel = getattr(torch.ops.aten, "_weight_int8pack_mm", None)
    if kernel is not None:
        size = codes.numel() + 2 * scale.numel()
        calls["torch's own int8, bfloat16"] = (lambda x: kernel(x.bfloat16(), codes, scale)), size
    return calls


def half_quantized(half: nn.Module, into: int, out: int, rank: int, kind: str) -> nn.Module:
    """The factors as integers."""
    spec = tncompile.load("std/linear.tn")
    arch = spec.instantiate("LowRank", in_features=into, out_features=out, rank=rank)
    small = arch.module(weights=kind, search="fast")  # type: ignore[arg-type]
    state = tncompile.quantized_state(arch, half.state_dict(), kind)  # type: ignore[arg-type]
    small.load_state_dict(state)
    return small.eval()


def timed(calls: Sequence[Call], x: Tensor, seconds: float) -> list[float]:
    """The fewest seconds of each call, in turn."""
    found: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call(x)
        call(x)
    end = time.monotonic() + seconds
    while time.monotonic() < end or len(found[0]) < 5:
        for times, call in zip(found, calls, strict=True):
            start = time.perf_counter()
            call(x)
            times.append(time.perf_counter() - start)
    return [min(times) for times in found]


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quantized")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each map and batch")
    parser.add_argument("--without-compile", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    print(HEAD)
    for into, out in SIZES:
        for batch in BATCHES:
            torch.compiler.reset()
            calls = ways(into, out, not chosen.without_compile)
            x = torch.randn(batch, into)
            fastest = timed([call for call, _ in calls.values()], x, chosen.seconds)
            for (name, (_, size)), each in zip(calls.items(), fastest, strict=True):
                print(
                    f"| {into} → {out} | {batch} | {name} | {1e3 * each:.3f} |"
                    f" {each / fastest[0]:.2f} | {size / 1e6:.2f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
