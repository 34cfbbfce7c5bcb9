"""Tensors to integers and scales, and back."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from tncompile.network.packing import Packing

CLIPPED = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6)
"""Scales of four bits that are tried, as parts of the one that clips nothing."""

REFITS = 2
"""How often a scale is fitted to the integers by least squares, and these are rounded anew."""

AT_ONCE = 2**21
"""Entries that are quantized at once."""


def packed(
    tensor: Tensor, packing: Packing, importance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The codes and the scale of a tensor of the shape of the parameter.

    Eight bits are rounded to multiples of the largest magnitude of a slice (or group) divided by
    127: no entry is further away than half a scale. Four bits take the scale, positive or negative,
    whose integers from -8 to 7 leave the least squared error in the group, weighted by the
    `importance` of each entry where it is given. Scales have the dtype of the tensor.

    >>> from tncompile.network.packing import packings, quantization
    >>> arch = tncompile.load("std/linear.tn").instantiate("LowRank", 64, 64)
    >>> packing = packings(arch.network, quantization("int8"))["A"]
    >>> codes, scale = packed(torch.ones(64, 16), packing)
    >>> codes.dtype, scale.shape, codes.unique().tolist()
    (torch.int8, torch.Size([1, 16]), [127])
    """
    tensor = tensor.detach()
    wide = torch.promote_types(tensor.dtype, torch.float32)
    if packing.group is None:
        kept = [k for k, length in enumerate(packing.scale.shape) if length == 1]
        scale = (tensor.abs().amax(kept, keepdim=True).to(wide) / 127).to(tensor.dtype)
        codes = torch.empty(packing.codes.shape, dtype=torch.int8, device=tensor.device)
        for rows in _parts(tensor.shape):
            slices = scale[rows] if scale.shape[0] > 1 else scale
            codes[rows] = _rounded(tensor[rows].to(wide), slices.to(wide), 127, 127).to(torch.int8)
        return codes, scale
    flat = _grouped(tensor, packing)
    weights = None if importance is None else _grouped(importance, packing)
    codes = torch.empty(packing.codes.shape, dtype=torch.int8, device=tensor.device)
    if packing.bits == 4:
        codes = codes.to(torch.uint8)
    scale = torch.empty(packing.scale.shape, dtype=tensor.dtype, device=tensor.device)
    for place in _parts(tuple(flat.shape)):
        part = flat[place].to(wide)
        own = None if weights is None else weights[place].to(wide)
        if packing.bits == 8:
            found = (part.abs().amax(-1, keepdim=True) / 127).to(tensor.dtype)
            codes[place] = _rounded(part, found.to(wide), 127, 127).to(torch.int8)
        else:
            found = _best(part, own, tensor.dtype)
            low, high = (_rounded(part, found.to(wide), 8, 7) + 8).to(torch.uint8).chunk(2, -1)
            codes[place] = low | high << 4
        scale[place] = found
    return codes, scale


def unpacked(codes: Tensor, scale: Tensor, packing: Packing) -> Tensor:
    """The tensor that codes and scale stand for, in the dtype of the scale."""
    if packing.group is None:
        return codes.to(scale.dtype) * scale
    if packing.bits == 4:
        halves = [codes & 15, codes >> 4]
        codes = torch.cat(halves, -1).to(torch.int8) - 8
    flat = (codes.to(scale.dtype) * scale).reshape(packing.rows, -1)
    return flat[:, : packing.columns].reshape(packing.parameter.shape)


def _grouped(tensor: Tensor, packing: Packing) -> Tensor:
    """Rows, groups, entries; zeros fill the last group of each row."""
    assert packing.group is not None
    flat = tensor.reshape(packing.rows, packing.columns)
    missing = packing.groups * packing.group - packing.columns
    if missing:
        flat = torch.nn.functional.pad(flat, (0, missing))
    return flat.reshape(packing.rows, packing.groups, packing.group)


def _parts(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices along the first axis, of so many entries each that memory stays small."""
    each = 1
    for length in shape[1:]:
        each *= length
    step = max(1, AT_ONCE // max(1, each))
    for start in range(0, shape[0], step):
        yield slice(start, min(start + step, shape[0]))


def _rounded(tensor: Tensor, scale: Tensor, below: int, above: int) -> Tensor:
    """The nearest multiples of the scale; zeros where that is zero."""
    return (tensor / torch.where(scale == 0, 1, scale)).round().clamp(-below, above)


def _best(groups: Tensor, importance: Tensor | None, dtype: torch.dtype) -> Tensor:
    """The scale of each group (…, entries) with the least squared error, in this dtype.

    A negative one gives the largest entry the code -8, the only one of that magnitude.
    """
    largest = groups.abs().amax(-1, keepdim=True)
    signed = groups.gather(-1, groups.abs().argmax(-1, keepdim=True))
    best = (largest / 7).to(dtype)
    least = _squared(groups, best, importance)
    tried = [largest / 7 * part for part in CLIPPED[1:]] + [-signed / 8 * part for part in CLIPPED]
    for candidate in tried:
        best, least = _better(groups, importance, candidate.to(dtype), best, least)
    for _ in range(REFITS):
        codes = _rounded(groups, best.to(groups.dtype), 8, 7)
        weighted = codes if importance is None else codes * importance
        power = (weighted * codes).sum(-1, keepdim=True)
        product = (weighted * groups).sum(-1, keepdim=True)
        fitted = torch.where(power > 0, product / power.clamp(min=1e-30), best.to(groups.dtype))
        best, least = _better(groups, importance, fitted.to(dtype), best, least)
    return best


def _better(
    groups: Tensor, importance: Tensor | None, scale: Tensor, best: Tensor, least: Tensor
) -> tuple[Tensor, Tensor]:
    """For each group the better one of two scales."""
    error = _squared(groups, scale, importance)
    better = error < least
    return torch.where(better, scale, best), torch.where(better, error, least)


def _squared(groups: Tensor, scale: Tensor, importance: Tensor | None) -> Tensor:
    """The squared error of each group."""
    wide = scale.to(groups.dtype)
    error = (groups - _rounded(groups, wide, 8, 7) * wide).square()
    return (error if importance is None else error * importance).sum(-1, keepdim=True)
