"""How large a fresh layer's output is: ours, and the peers that are installed here.

    python benchmarks/initialization.py [--peers]

Prints Markdown: the root mean square of the output, its bias left out, over 1,024 inputs of unit
variance, smallest and largest of five draws, for maps 512 → 512 seen as [8, 8, 8] → [8, 8, 8].
Then chains over 64 and 784 pixels u, uniform between 0 and 1, each seen as (1 - u, u).

With --peers it measures tensorly-torch, tednet and TensorKrowch too:
`pip install tensorly tensorly-torch tednet tensorkrowch`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import math
from collections.abc import Callable, Iterator
from importlib import import_module

import torch
from torch import Tensor, nn

import tncompile

SHAPE = [8, 8, 8]
FEATURES = 512
DRAWS = 5
SAMPLES = 1024

Build = Callable[[int], Callable[[Tensor], Tensor]]
"""A fresh layer for a seed."""

CUBE = "ins = [8, 8, 8], outs = [8, 8, 8]"
PAIR = "ins = [16, 32], outs = [16, 32]"

STANDARD = {
    "LowRank, rank 16": "LowRank(in_features = 512, out_features = 512, rank = 16)",
    "MPO, rank 16": f"MPO({CUBE}, ranks = 16)",
    "TensorRing, rank 8": f"TensorRing({CUBE}, ranks = 8)",
    "Tucker, ranks 4": f"Tucker({CUBE}, in_ranks = 4, out_ranks = 4)",
    "CP, rank 64": f"CP({CUBE}, rank = 64)",
    "BlockTerm, 2 terms, ranks 8": f"BlockTerm({CUBE}, terms = 2, ranks = 8)",
    "KroneckerSum, 4 terms": f"KroneckerSum({CUBE}, terms = 4)",
    "BTT, rank 4": f"BTT({PAIR}, rank = 4)",
    "Monarch": f"Monarch({PAIR})",
    "HierarchicalTucker, rank 8": f"HierarchicalTucker({CUBE}, rank = 8)",
    "TreeLinear, rank 8": f"TreeLinear({CUBE}, rank = 8)",
}


def ours() -> Iterator[tuple[str, Build]]:
    """The linear blocks of the standard library."""
    spec = tncompile.loads('import "std/linear.tn"')
    for name, target in STANDARD.items():
        arch = spec.instantiate(target)
        yield f"tncompile {name}", lambda seed, arch=arch: arch.module(seed=seed)


def our_chain(sites: int) -> Build:
    """Our chain over the pixels of an image."""
    spec = tncompile.loads('import "std/classifier.tn" { MPSClassifier }')
    arch = spec.instantiate("MPSClassifier", sites=sites, features=2, rank=10, classes=10)
    return lambda seed: arch.module(seed=seed)


def peers() -> Iterator[tuple[str, Build]]:
    """Linear layers of other libraries, as their documentation makes them."""
    factorized = import_module("tltorch").FactorizedLinear
    for name, kind, rank in (
        ("BlockTT", "blocktt", 16),
        ("CP", "cp", 64),
        ("Tucker", "tucker", 0.1),
    ):
        yield (
            f"tensorly-torch {name}, rank {rank}",
            lambda seed, kind=kind, rank=rank: seeded(
                seed, factorized, tuple(SHAPE), tuple(SHAPE), factorization=kind, rank=rank
            ),
        )
    train = import_module("tednet.tnn.tensor_train").TTLinear
    yield "tednet TT, rank 16", lambda seed: seeded(seed, train, SHAPE, SHAPE, [16, 16])
    ring = import_module("tednet.tnn.tensor_ring").TRLinear
    yield "tednet ring, rank 8", lambda seed: seeded(seed, ring, SHAPE, SHAPE, [8] * 6)
    cp = import_module("tednet.tnn.cp").CPLinear
    yield "tednet CP, rank 64", lambda seed: seeded(seed, cp, SHAPE, SHAPE, 64)
    terms = import_module("tednet.tnn.bt_tucker").BTTLinear
    yield (
        "tednet block term, 2 terms, rank 8",
        lambda seed: seeded(seed, terms, SHAPE, SHAPE, [8] * 3, 2),
    )


def peer_chain(sites: int) -> Build:
    """TensorKrowch's MPSLayer with its own initialization."""
    layer = import_module("tensorkrowch").models.MPSLayer
    return lambda seed: seeded(seed, layer, n_features=sites + 1, in_dim=2, out_dim=10, bond_dim=10)


def seeded(seed: int, kind: Callable[..., nn.Module], *given: object, **named: object) -> nn.Module:
    """A layer of some class drawn with a seed; what it prints meanwhile is dropped."""
    torch.manual_seed(seed)
    with contextlib.redirect_stdout(io.StringIO()):
        return kind(*given, **named)


@torch.no_grad()
def deviations(build: Build, x: Tensor) -> list[float]:
    """The root mean square of what the output owes to the inputs, one number a draw, sorted."""
    found: list[float] = []
    for seed in range(DRAWS):
        layer = build(seed)
        output = layer(x).double() - layer(torch.zeros_like(x[:1])).double()
        found.append(output.square().mean().sqrt().item())
    return sorted(found)


def row(name: str, build: Build, x: Tensor) -> str:
    """A line of the table."""
    found = deviations(build, x)
    if any(math.isnan(value) for value in found):
        return f"| {name} | NaN |"
    return f"| {name} | {found[0]:.2g} – {found[-1]:.2g} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", action="store_true", help="measure other libraries too")
    with_peers = parser.parse_args().peers
    generator = torch.Generator().manual_seed(2026)  # none of the seeds that draw the layers
    x = torch.randn(SAMPLES, FEATURES, generator=generator)
    print("| 512 → 512, fresh | output deviation |\n|---|---|")
    print(row("nn.Linear", lambda seed: seeded(seed, nn.Linear, FEATURES, FEATURES), x))
    for name, build in [*ours(), *(peers() if with_peers else ())]:
        print(row(name, build, x), flush=True)
    print("\n| chain, rank 10, fresh | output deviation |\n|---|---|")
    for sites in (64, 784):
        pixels = torch.rand(64, sites, generator=generator)
        features = torch.stack([1 - pixels, pixels], dim=-1)
        print(
            row(f"tncompile MPSClassifier, {sites} sites", our_chain(sites), features), flush=True
        )
        if with_peers:
            print(row(f"TensorKrowch MPSLayer, {sites} sites", peer_chain(sites), features))


if __name__ == "__main__":
    main()
