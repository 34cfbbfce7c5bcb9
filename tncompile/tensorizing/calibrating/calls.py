"""What calls of a model give a layer: how many rows, and how long images are.

A call is (rows, lengths…): of a convolution images and their lengths, of other layers entries of
all leading axes, of a table ids.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tncompile.tensorizing.calibrating.layers import Layer

if TYPE_CHECKING:
    import torch
    from torch import nn

    from tncompile.tensorizing.calibrating.model_moments import Moments
    from tncompile.tensorizing.calibrating.sums import LayerSums

Call = tuple[int, ...]

MOST = 1000
"""Different calls of a layer that are counted; later ones that are new are not."""


def call_of(module: nn.Module, layer: Layer, x: torch.Tensor) -> Call:
    """The call that gave a layer x."""
    if layer.kind == "embedding":
        return (x.numel(),)
    if layer.kind != "conv":
        return (x.numel() // layer.inputs,)
    axes = len(module.kernel_size)  # type: ignore[arg-type]
    return (x.shape[0] if x.dim() > axes + 1 else 1, *x.shape[-axes:])


def counted(calls: Mapping[Call, int], others: Mapping[Call, int]) -> dict[Call, int]:
    """How often there was each call, in both."""
    found = dict(calls)
    for call, count in others.items():
        if call in found or len(found) < MOST:
            found[call] = found.get(call, 0) + count
    return found


def usual_call(moments: Moments, sums: LayerSums, module: nn.Module) -> Call:
    """The call of a layer, with its sums, that a plan is made for.

    It is the median by how many numbers it has, so one that there was, and the most frequent one
    where most are alike. Moments of files that do not say it know numbers of rows: images are taken
    to be square then.
    """
    if not sums.calls:
        places = float(sums.rows.sum())
        return _guessed(module, sums.layer, places, moments.samples, moments.batches)
    left = sum(sums.calls.values()) / 2
    for call, count in sorted(sums.calls.items(), key=lambda each: (math.prod(each[0]), each[0])):
        left -= count
        if left <= 0:
            return call
    raise AssertionError("counts are positive")


def _guessed(module: nn.Module, layer: Layer, rows: float, samples: int, batches: int) -> Call:
    if layer.kind != "conv":
        return (max(1, round(rows / batches)),)
    conv: nn.Conv2d = module  # type: ignore[assignment]
    axes = range(len(conv.kernel_size))
    long = [k for k in axes if conv.kernel_size[k] > 1] or [*axes]
    side = max(1, round((rows / samples) ** (1 / len(long))))
    lengths = []
    for k in axes:
        reach = conv.dilation[k] * (conv.kernel_size[k] - 1)
        same = reach if conv.padding == "same" else 0
        padded = same if isinstance(conv.padding, str) else 2 * conv.padding[k]
        places = side if k in long else 1
        lengths.append(max(1, (places - 1) * conv.stride[k] + reach + 1 - padded))
    return (max(1, round(samples / batches)), *lengths)
