"""Convolutions of one kind each: their sizes, their reference, their contenders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from benchmarks.byhand import convolutions
from benchmarks.byhand.convolutions import AFTER_A_CONVOLUTION, LAYOUTS, Factors, Layout
from benchmarks.contenders.dense import dense_convolutions
from benchmarks.contract import Contender, Kind, Network, Parameters, Workload, in_order
from benchmarks.workloads.linear import by_hand

LIBRARY = "std/convolution.tn"
IMAGES = {64: 56, 128: 28, 256: 14, 512: 7}
"""Channels and the height and width of the image, as in the four stages of a ResNet-18."""
BATCHES = (1, 16, 64)
SIZE = 3
"""Height and width of every kernel; images are padded to their own size."""
NO_CONVOLUTION = "it has linear maps only, no convolution"
NO_EQUATION = "an einsum equation has no window"
OMITTED = {
    "TensorKrowch": NO_CONVOLUTION,
    "opt_einsum": NO_EQUATION,
    "cotengra": NO_EQUATION,
    "torch.einsum": NO_EQUATION,
}
"""Whom the linear maps are measured beside, and why not here."""

Shape = tuple[int, int, int, int]
"""Of a dense kernel: outputs, inputs, height, width."""


def kernel_shape(channels: int) -> Shape:
    """The dense kernel of a block of a ResNet."""
    return (channels, channels, SIZE, SIZE)


def same(channels: int, stride: int) -> str:
    """Arguments of the library's blocks that all of them have here: as many channels out as in."""
    return (
        f"in_channels = {channels}, out_channels = {channels}, padding = {SIZE // 2}, "
        f"stride = {stride}, with_bias = false"
    )


def images(channels: int) -> Callable[[int, torch.Generator], tuple[Tensor, ...]]:
    """Row-major images of standard normal numbers."""
    length = IMAGES[channels]
    return lambda batch, generator: (
        torch.randn(batch, channels, length, length, generator=generator),
    )


def versions(formats: Sequence[tuple[str, Factors]], first_step: bool = True) -> list[Contender]:
    """Each format by hand in every layout, with what its name begins with."""
    layouts: dict[str, Layout] = LAYOUTS if first_step else AFTER_A_CONVOLUTION
    return [
        by_hand(
            f"{format_name}{name}",
            partial(convolutions.in_steps, factors=factors, layout=layout),
            partial(convolutions.folded_steps, factors=factors, layout=layout),
        )
        for format_name, factors in formats
        for name, layout in layouts.items()
    ]


def whole_kernel(weight: Callable[[Sequence[Tensor]], Tensor], stride: int) -> list[Contender]:
    """The dense kernel made by hand, at every call or once."""
    whole = partial(convolutions.materialized, weight=weight, stride=stride)
    once = partial(whole, folded=True)
    turned = partial(once, channels_last=True)
    names = {"by hand: kernel": once, "by hand: kernel, channels-last": turned}
    return [
        by_hand("kernel materialized", whole),
        *(
            Contender(name, Kind.HAND, in_order, build, build, only_folded=True)
            for name, build in names.items()
        ),
    ]


def convolution(
    name: str,
    title: str,
    network: Network,
    channels: int,
    stride: int,
    equation: str,
    formats: Sequence[tuple[str, Factors]],
    *,
    peers: Sequence[Contender] = (),
    more: Sequence[Contender] = (),
    omitted: dict[str, str] | None = None,
    quick: tuple[int, ...] = (),
    axes: tuple[str, str] = ("h.0", "h.1"),
    order: tuple[str, ...] = (),
    first_step: bool = True,
) -> Workload:
    """A convolution given by an einsum equation from its tensors to the dense kernel, (o, i, h, w).

    `formats` are ways to write its steps by hand, with what their names begin with, and `more` are
    other versions; `axes` are the windows of the network.
    """

    def weight(held: Sequence[Tensor]) -> Tensor:
        return torch.einsum(equation, *held).reshape(kernel_shape(channels))

    def kernel(parameters: Parameters) -> Tensor:
        return weight(tuple(parameters.values()))

    length = IMAGES[channels]
    strided = f", stride {stride}" if stride > 1 else ""
    return Workload(
        name=name,
        title=f"{title}, {channels} channels at {length}²{strided}",
        networks=(replace(network, sizes=tuple((name, length) for name in axes)),),
        batches=BATCHES,
        inputs=images(channels),
        reference=lambda parameters, x: conv2d(x, kernel(parameters), None, stride, SIZE // 2),
        contenders=(
            *dense_convolutions(kernel, stride, SIZE // 2),
            *peers,
            *versions(formats, first_step),
            *more,
            *whole_kernel(weight, stride),
        ),
        omitted={**OMITTED, **(omitted or {})},
        quick=quick,
        order=order,
    )
