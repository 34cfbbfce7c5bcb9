"""What the weight of a layer was applied to: rows, of a convolution the patches of its images."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from tncompile.tensorizing.calibrating.layers import Layer

PATCHES = 2**24
"""The most numbers of unfolded images at a time."""


def moment_of(rows: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Σ g gᵀ of gradients (rows, out), or its diagonal where the layer has many outputs."""
    return rows.square().sum(0) if len(layer.gradients) == 1 else rows.mT @ rows


def rows_of(
    module: nn.Module, layer: Layer, x: torch.Tensor, gradient: torch.Tensor
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What the weight was applied to, and the gradients of what came of it, some at a time.

    x (groups, rows, in) or, of an embedding, (rows,) ids; gradients (groups, rows, out of a group).
    """
    if layer.kind != "conv":
        into = x.reshape(-1) if layer.kind == "embedding" else x.reshape(1, -1, layer.inputs)
        yield into, gradient.reshape(1, -1, layer.outputs)
        return
    axes = len(module.kernel_size)  # type: ignore[arg-type]
    if x.dim() == axes + 1:  # no batch
        x, gradient = x.unsqueeze(0), gradient.unsqueeze(0)
    places = gradient[0, 0].numel()
    step = max(1, PATCHES // max(1, layer.inputs * layer.groups * places))
    for some, its in zip(torch.split(x, step), torch.split(gradient, step), strict=True):
        outputs = its.reshape(len(its), layer.groups, -1, places).permute(1, 0, 3, 2)
        yield (
            _patches(module, some).reshape(layer.groups, -1, layer.inputs),
            outputs.reshape(layer.groups, -1, layer.outputs // layer.groups),
        )


def _patches(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """(groups, n, places…, channels of a group, kernel…): the numbers each output is made of."""
    kernel, stride, dilation = _settings(conv)
    x = _padded(conv, x)
    for axis, (length, step, gap) in enumerate(zip(kernel, stride, dilation, strict=True)):
        x = x.unfold(2 + axis, gap * (length - 1) + 1, step)[..., ::gap]
    axes, groups = len(kernel), conv.groups
    assert isinstance(groups, int)
    x = x.reshape(len(x), groups, -1, *x.shape[2:])
    return x.permute(1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))


def axis_sums(
    conv: nn.Module, layer: Layer, x: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Σ |g|² x xᵀ of a convolution without groups, for each axis of its inputs by itself.

    x is a row with one axis, channels or an axis of the kernel; all other axes are summed over,
    that is partial traces of the moment of all. x (n, channels, …), gradients (n, out, …).
    """
    if x.dim() == len(layer.axes):  # no batch
        x, gradient = x.unsqueeze(0), gradient.unsqueeze(0)
    kernel, stride, dilation = _settings(conv)
    squares, padded = gradient.square().sum(1, keepdim=True), _padded(conv, x)
    counts = _spread(squares, padded, kernel, stride, dilation)
    heard = (padded * counts.sqrt()).transpose(0, 1).flatten(1)
    sums = [heard @ heard.mT]
    for axis, length in enumerate(kernel):
        lengths, steps = list(kernel), list(stride)
        lengths[axis] = steps[axis] = 1
        across = _spread(squares, padded, lengths, steps, dilation, axis)
        sums.append(_along(padded, across, 2 + axis, length, stride[axis], dilation[axis]))
    return tuple(sums)


def _spread(
    squares: torch.Tensor,
    x: torch.Tensor,
    lengths: list[int],
    steps: list[int],
    gaps: list[int],
    left: int | None = None,
) -> torch.Tensor:
    """What each number of the images x counts: the sum over the windows that read it.

    Along the axis that is `left`, where windows have length 1, there are windows still.
    """
    spread = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)
    ones = squares.new_ones(1, 1, *lengths)
    counts = spread[len(lengths) - 1](squares, ones, stride=steps, dilation=gaps).clamp(min=0)
    missing = [a - b for a, b in zip(x.shape[2:], counts.shape[2:], strict=True)]
    if left is not None:
        missing[left] = 0
    return functional.pad(counts, [n for each in reversed(missing) for n in (0, each)])


def _along(
    x: torch.Tensor, counts: torch.Tensor, axis: int, length: int, step: int, gap: int
) -> torch.Tensor:
    """Σ counts · x xᵀ, (length, length), of the windows of images along an axis.

    x (n, channels, …), counts (n, 1, …): places of windows along the axis, of numbers along others.
    From products of all pairs of numbers along the axis, as windows overlap.
    """
    others = [k for k in range(2, x.dim()) if k != axis]
    reach, places = gap * (length - 1) + 1, counts.shape[axis]
    rows = x.permute(0, *others, 1, axis).flatten(1, -3) if others else x.unsqueeze(1)
    weights = counts.permute(0, *others, 1, axis).flatten(1, -2)
    total = x.new_zeros(length, length)
    each = rows.shape[1] * (rows.shape[-1] ** 2 + places * length**2)
    at_once = max(1, PATCHES // each)
    pieces = zip(torch.split(rows, at_once), torch.split(weights, at_once), strict=True)
    for some, its in pieces:
        pairs = (some.mT @ some).unfold(2, reach, step).unfold(3, reach, step)
        windows = pairs.diagonal(dim1=2, dim2=3)[:, :, ::gap, ::gap, :places]
        total += torch.einsum("nrabp,nrp->ab", windows, its)
    return total


def _settings(conv: nn.Module) -> tuple[list[int], list[int], list[int]]:
    """Kernel, stride and dilation."""
    kernel, stride, dilation = (
        list(getattr(conv, name)) for name in ("kernel_size", "stride", "dilation")
    )
    return kernel, stride, dilation


def _padded(conv: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The images with their borders."""
    assert isinstance(conv.padding_mode, str)
    kernel, _, dilation = _settings(conv)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(conv.padding, str):
        same = conv.padding == "same"
        sides = [(r // 2, r - r // 2) if same else (0, 0) for r in reach]
    else:
        sides = [(p, p) for p in conv.padding]  # type: ignore[union-attr]
    mode = "constant" if conv.padding_mode == "zeros" else conv.padding_mode
    return functional.pad(x, [n for pair in reversed(sides) for n in pair], mode=mode)
