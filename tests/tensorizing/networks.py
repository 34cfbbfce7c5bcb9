"""Networks to fit weights onto, and weights that they are equal to."""

from __future__ import annotations

from random import Random

import torch

import tncompile

LINEAR = tncompile.load("std/linear.tn")


def architecture(text: str) -> tncompile.Architecture:
    """The one network of a text."""
    return tncompile.loads(text).instantiate()


def weight_of(arch: tncompile.Architecture, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """The weight that the emitted module has with some parameters: a way of its own to it."""
    module = arch.module(dtype=torch.float64, search="fast")
    module.load_state_dict(state)
    weight: torch.Tensor = module.weight.detach()
    return weight


def own_weight(arch: tncompile.Architecture, seed: int = 5) -> torch.Tensor:
    """A weight that the network has for some parameters."""
    return weight_of(arch, arch.module(dtype=torch.float64, seed=seed, search="fast").state_dict())


def random_weight(*shape: int, seed: int = 0) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def distance(found: torch.Tensor, weight: torch.Tensor) -> float:
    """The relative error in the Frobenius norm."""
    return float(torch.linalg.vector_norm(found - weight) / torch.linalg.vector_norm(weight))


def random_tree(seed: int, rank: int) -> tncompile.Architecture:
    """A network without loops: a random tree whose tensors have legs of the input and the output.

    Some tensors inside have none.
    """
    rng = Random(seed)
    count = rng.randint(2, 5)
    legs: list[list[str]] = [[] for _ in range(count)]
    lines, ins, outs, bonds = [], [], [], []
    for node in range(1, count):
        bond = f"b_{node}"
        legs[node].append(bond)
        legs[rng.randrange(node)].append(bond)
        bonds.append(bond)
    for node in range(count):
        leaf = len(legs[node]) == 1
        for kind, names in (("i", ins), ("o", outs)):
            if rng.random() < (0.8 if leaf else 0.5):
                names.append((f"{kind}_{node}", rng.randint(2, 3)))
                legs[node].append(f"{kind}_{node}")
        if leaf and len(legs[node]) == 1:
            ins.append((f"i_{node}", 2))
            legs[node].append(f"i_{node}")
        rng.shuffle(legs[node])
    for kind, names in (("i", ins), ("o", outs)):
        if not names:
            names.append((f"{kind}_all", 2))
            legs[0].append(f"{kind}_all")
    lines.append("index " + ", ".join(f"{name} = {size}" for name, size in (*ins, *outs)))
    lines.append("bond " + ", ".join(f"{name} = {rank}" for name in bonds))
    lines.append(f"input x(..., ({' '.join(name for name, _ in ins)}))")
    lines += [f"tensor T_{node}({', '.join(legs[node])})" for node in range(count)]
    lines.append(f"output y(..., ({' '.join(name for name, _ in outs)}))")
    return architecture("network Tree() {\n" + "\n".join(lines) + "\n}")
