"""Convolutions as tensor trains over the digits of their channels, by hand.

The kernel (height, width, a) is the first core; those of the channels are (a, i, p, b) and
(b, j, q), with i and j the digits of the inputs, p and q those of the outputs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import conv3d

from benchmarks.byhand.convolutions import Kernel, Steps
from benchmarks.contract import Run


def _matrix(leaves: Sequence[Tensor]) -> Tensor:
    """The cores of the channels in one: (i, j, a, p, q)."""
    return torch.einsum("aipb,bjq->ijapq", leaves[1], leaves[2])


def kernel_first(leaves: Sequence[Tensor], stride: int) -> Steps:
    """Every channel convolved to as many as the rank, then one matrix."""
    matrix = _matrix(leaves)
    i, j, a, p, q = matrix.shape
    weight = leaves[0].permute(2, 0, 1)[:, None].repeat(i * j, 1, 1, 1)
    kernel = Kernel(weight, (stride, stride), i * j)
    return Steps(None, (kernel,), matrix.reshape(i * j * a, p * q))


def kernel_last(leaves: Sequence[Tensor], stride: int) -> Steps:
    """One matrix to every output as often as the rank says, then their convolutions, summed up."""
    matrix = _matrix(leaves)
    i, j, a, p, q = matrix.shape
    weight = leaves[0].permute(2, 0, 1).expand(p * q, -1, -1, -1)
    first = matrix.permute(0, 1, 3, 4, 2).reshape(i * j, p * q * a)
    return Steps(first, (Kernel(weight, (stride, stride), p * q),), None)


def core_by_core(leaves: Sequence[Tensor], stride: int) -> Run:
    """The kernel, then a product a core; axes lie so that every operand is a view."""
    kernel, first, last = leaves
    a, i, p, b = first.shape
    _, j, q = last.shape

    def run(x: Tensor) -> Tensor:
        weight = kernel.permute(2, 0, 1)[:, None, None]  # (a, 1, 1, height, width)
        held = conv3d(x[:, None], weight, None, (1, stride, stride), (0, 1, 1))  # a, (i j), h, w
        n, height, width = len(x), *held.shape[3:]
        left = first.permute(2, 3, 0, 1).reshape(1, p * b, a * i).expand(n, -1, -1)
        held = torch.bmm(left, held.view(n, a * i, j * height * width))
        right = last.permute(2, 0, 1).reshape(1, q, b * j).expand(n * p, -1, -1)
        held = torch.bmm(right, held.view(n * p, b * j, height * width))
        return held.view(n, p * q, height, width)

    return run


def core_by_core_backward(leaves: Sequence[Tensor], stride: int) -> Run:
    """The cores of the channels from the last to the first, then the kernel."""
    kernel, first, last = leaves
    a, i, p, b = first.shape
    _, j, q = last.shape

    def run(x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        right = last.permute(0, 2, 1).reshape(1, b * q, j).expand(n * i, -1, -1)
        held = torch.bmm(right, x.reshape(n * i, j, height * width))
        left = first.permute(0, 2, 1, 3).reshape(1, a * p, i * b).expand(n, -1, -1)
        held = torch.bmm(left, held.view(n, i * b, q * height * width))
        held = held.view(n, a, p * q, height, width)
        weight = kernel.permute(2, 0, 1)[None, :, None]  # (1, a, 1, height, width)
        return conv3d(held, weight, None, (1, stride, stride), (0, 1, 1))[:, 0]

    return run
