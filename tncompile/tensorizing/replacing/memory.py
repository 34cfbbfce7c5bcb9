"""How much memory replacing layers takes, before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn

from tncompile.tensorizing.rewriting.replacements import Replacement

FIT_COPIES = 12
"""Float64 numbers that a fit holds at once for each entry of its weight. Measured: 1.6 GB for a
4096 × 4096 matrix onto a train; a model of three of 2048 × 2048, one replaced, takes 409 MiB
(low rank) or 310 MiB (a train), where 417 are said."""


def memory_needed(model: nn.Module, replaced: Iterable[Replacement]) -> int:
    """Bytes beside the model: the copy of what stays, the networks, and the largest fit."""
    replaced = list(replaced)
    gone = {id(each.layer.weight) for each in replaced}
    tensors = {id(t): t for t in (*model.parameters(), *model.buffers())}
    copy = sum(t.numel() * t.element_size() for key, t in tensors.items() if key not in gone)
    networks = 0
    fits = [0]
    for each in replaced:
        weight, network = each.layer.weight, each.architecture.network
        numbers = sum(math.prod(parameter.shape) for parameter in network.parameters)
        networks += numbers * weight.element_size()
        fits.append(FIT_COPIES * 8 * max(weight.numel(), numbers))
    return copy + networks + max(fits)


def written_bytes(count: float) -> str:
    """A number of bytes as people read it.

    >>> written_bytes(3 * 2**20)
    '3.0 MiB'
    """
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
