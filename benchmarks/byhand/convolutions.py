"""Convolutions with a factorized kernel by hand: their steps in several memory layouts.

A step between channels alone is a convolution with a kernel of one point or a matrix product on a
view of the image; which layout the image has in between is what the versions differ in. Images are
(batch, channels, height, width); row-major is the layout of a contiguous one, and in channels-last
the channels are what lies together in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.contract import Run

Pointwise = Callable[[Tensor, Tensor], Tensor]
"""A step between channels: of an image and a matrix (channels in, channels out)."""


@dataclass(frozen=True)
class Kernel:
    """A convolution: weight (channels out, channels in of a group, height, width)."""

    weight: Tensor
    stride: tuple[int, int]
    groups: int = 1

    def __call__(self, x: Tensor) -> Tensor:
        height, width = self.weight.shape[2:]
        padding = (height // 2, width // 2)
        return conv2d(x, self.weight, None, self.stride, padding, groups=self.groups)


@dataclass(frozen=True)
class Steps:
    """A convolution in steps: a matrix to its rank, convolutions there, a matrix back."""

    first: Tensor | None
    kernels: tuple[Kernel, ...]
    last: Tensor | None


Factors = Callable[[Sequence[Tensor]], Steps]
"""The steps of a format, out of the parameters of an emitted module."""


# ── steps between channels ───────────────────────────────────────────────────────────────────────


def convolved(x: Tensor, matrix: Tensor) -> Tensor:
    """A convolution with a kernel of one point, in the layout of the image."""
    return conv2d(x, matrix.t()[:, :, None, None])


def as_columns(x: Tensor, matrix: Tensor) -> Tensor:
    """Matrix products on a row-major image, the points as columns.

    `torch.matmul` would copy the image where it trains: to one large product.
    """
    held = torch.bmm(matrix.t().expand(len(x), -1, -1), x.flatten(2))
    return held.view(*held.shape[:2], *x.shape[2:])


def as_rows(x: Tensor, matrix: Tensor) -> Tensor:
    """One matrix product on a channels-last image, the points as rows."""
    return (x.permute(0, 2, 3, 1) @ matrix).permute(0, 3, 1, 2)


def to_rows(x: Tensor, matrix: Tensor) -> Tensor:
    """Matrix products of a row-major image whose result is channels-last: no copy in between."""
    held = torch.bmm(x.flatten(2).transpose(1, 2), matrix.expand(len(x), -1, -1))
    return held.view(len(x), *x.shape[2:], -1).permute(0, 3, 1, 2)


def to_columns(x: Tensor, matrix: Tensor) -> Tensor:
    """Matrix products of a channels-last image whose result is row-major."""
    held = x.permute(0, 2, 3, 1).flatten(1, 2).transpose(1, 2)
    return torch.bmm(matrix.t().expand(len(x), -1, -1), held).view(len(x), -1, *x.shape[2:])


def to_channels_last(x: Tensor) -> Tensor:
    """A copy of an image, channels last."""
    return x.contiguous(memory_format=torch.channels_last)


@dataclass(frozen=True)
class Layout:
    """How the steps between channels are done, and whether the image is copied before them."""

    first: Pointwise
    last: Pointwise
    copied: bool = False

    @property
    def channels_last(self) -> bool:
        """Whether the convolutions meet a channels-last image."""
        return self.copied or self.first is to_rows


LAYOUTS = {
    "row-major": Layout(convolved, convolved),
    "channels-last": Layout(convolved, convolved, copied=True),
    "products on views": Layout(as_columns, as_columns),
    "products in channels-last": Layout(as_rows, as_rows, copied=True),
    "products to channels-last and back": Layout(to_rows, to_columns),
}
"""Every layout of steps in a row."""
AFTER_A_CONVOLUTION = {
    "row-major": Layout(convolved, convolved),
    "row-major, product on a view": Layout(convolved, as_columns),
    "channels-last": Layout(convolved, convolved, copied=True),
    "channels-last, product back": Layout(convolved, to_columns, copied=True),
}
"""Those that differ where there is no first step between channels."""


def run_steps(x: Tensor, steps: Steps, layout: Layout) -> Tensor:
    """All steps; a last one that leaves channels-last is followed by a copy of the caller."""
    if layout.copied:
        x = to_channels_last(x)
    if steps.first is not None:
        x = layout.first(x, steps.first)
    for kernel in steps.kernels:
        x = kernel(x)
    return x if steps.last is None else layout.last(x, steps.last)


def in_steps(leaves: Sequence[Tensor], factors: Factors, layout: Layout) -> Run:
    """The steps out of the parameters at every call."""
    return lambda x: run_steps(x, factors(leaves), layout)


def folded_steps(leaves: Sequence[Tensor], factors: Factors, layout: Layout) -> Run:
    """The same with weights laid out once."""
    made = factors(leaves)
    form = torch.channels_last if layout.channels_last else torch.contiguous_format
    steps = Steps(
        _laid_out(made.first, layout.first),
        tuple(
            Kernel(k.weight.contiguous(memory_format=form), k.stride, k.groups)
            for k in made.kernels
        ),
        _laid_out(made.last, layout.last),
    )
    return lambda x: run_steps(x, steps, layout)


def _laid_out(matrix: Tensor | None, step: Pointwise) -> Tensor | None:
    """A matrix as its step reads it: as it is where points are rows, else transposed."""
    if matrix is None:
        return None
    return matrix.contiguous() if step in (as_rows, to_rows) else matrix.t().contiguous().t()


# ── formats ──────────────────────────────────────────────────────────────────────────────────────


def tucker(leaves: Sequence[Tensor], stride: int) -> Steps:
    """Tucker-2: (a, i), (b, a, height, width), (o, b)."""
    U, K, V = leaves
    return Steps(U.t(), (Kernel(K, (stride, stride)),), V.t())


def cp(leaves: Sequence[Tensor], stride: int) -> Steps:
    """CP: (r, i), (r, height), (r, width), (o, r); one depthwise convolution an axis."""
    A, B, C, D = leaves
    vertical = Kernel(B[:, None, :, None], (stride, 1), len(B))
    horizontal = Kernel(C[:, None, None, :], (1, stride), len(C))
    return Steps(A.t(), (vertical, horizontal), D.t())


def cp_in_one(leaves: Sequence[Tensor], stride: int) -> Steps:
    """CP with one depthwise convolution for both axes."""
    A, B, C, D = leaves
    weight = (B[:, :, None] * C[:, None])[:, None]
    return Steps(A.t(), (Kernel(weight, (stride, stride), len(B)),), D.t())


def train(leaves: Sequence[Tensor], stride: int) -> Steps:
    """A tensor train: (i, a), (a, height, b), (b, width, c), (c, o); a convolution an axis."""
    U, K, L, V = leaves
    vertical = Kernel(K.permute(2, 0, 1)[:, :, :, None], (stride, 1))
    horizontal = Kernel(L.permute(2, 0, 1)[:, :, None, :], (1, stride))
    return Steps(U, (vertical, horizontal), V)


def train_in_one(leaves: Sequence[Tensor], stride: int) -> Steps:
    """A tensor train with one convolution for both axes."""
    U, K, L, V = leaves
    weight = torch.einsum("ahb,bwc->cahw", K, L)
    return Steps(U, (Kernel(weight, (stride, stride)),), V)


def separable(leaves: Sequence[Tensor], stride: int) -> Steps:
    """A depthwise convolution (i, 1, height, width), then (o, i, 1)."""
    K, P = leaves
    return Steps(None, (Kernel(K, (stride, stride), len(K)),), P.squeeze(2).t())


def materialized(
    leaves: Sequence[Tensor],
    weight: Callable[[Sequence[Tensor]], Tensor],
    stride: int,
    folded: bool = False,
    channels_last: bool = False,
) -> Run:
    """One dense convolution with the kernel (o, i, height, width), made at every call or once."""
    form = torch.channels_last if channels_last else torch.contiguous_format
    held = weight(leaves).contiguous(memory_format=form) if folded else None

    def run(x: Tensor) -> Tensor:
        if channels_last:
            x = to_channels_last(x)
        kernel = weight(leaves) if held is None else held
        return Kernel(kernel, (stride, stride))(x)

    return run
