"""Brute-force contraction: broadcast, multiply, sum, in float64. It shares no code with einsum."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Operand = tuple[Tensor, Sequence[str]]


def contract(operands: Sequence[Operand], output: Sequence[str]) -> Tensor:
    """The sum over every label that is not in `output` of the product of all operands.

    Each operand is a tensor and one label an axis; no label occurs twice on one of them. Labels of
    the output that no operand carries are an error.
    """
    sizes = {
        label: size
        for tensor, labels in operands
        for label, size in zip(labels, tensor.shape, strict=True)
    }
    order = [*output, *(label for label in sizes if label not in output)]
    total = torch.ones([1] * len(order), dtype=torch.float64)
    for tensor, labels in operands:
        axes = [labels.index(label) for label in order if label in labels]
        wide = [sizes[label] if label in labels else 1 for label in order]
        held = tensor if tensor.is_complex() else tensor.to(torch.float64)
        total = total * held.permute(axes).reshape(wide)
    total = total.expand([sizes[label] for label in order])
    return total.sum(list(range(len(output), len(order)))) if len(order) > len(output) else total
