"""Convolutions in Tucker-2 format: a matrix to the rank, a small convolution, a matrix back."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contenders import tednet_convolutions, tensorly_torch_convolutions
from benchmarks.contract import Network, Workload
from benchmarks.workloads.convolution import LIBRARY, convolution, kernel_shape, same


def tucker2(channels: int, rank: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in, the same rank on either side."""
    shape = kernel_shape(channels)
    return convolution(
        f"conv-tucker2-{channels}-r{rank}" + (f"-s{stride}" if stride > 1 else ""),
        f"Tucker-2 convolution, rank {rank}",
        Network(
            LIBRARY,
            f"Tucker2Conv({same(channels, stride)}, in_rank = {rank}, out_rank = {rank})",
        ),
        channels,
        stride,
        "ai,bahw,ob->oihw",
        [("", partial(convolutions.tucker, stride=stride))],
        peers=(
            *tensorly_torch_convolutions.tucker(shape, stride, rank),
            tednet_convolutions.tucker(shape, stride, rank),
        ),
        quick=quick,
    )


WORKLOADS = (
    tucker2(64, 32),
    tucker2(64, 8, quick=(16,)),
    tucker2(128, 64),
    tucker2(128, 16),
    tucker2(128, 64, stride=2),
    tucker2(256, 128, quick=(1,)),
    tucker2(256, 32),
    tucker2(512, 256),
    tucker2(512, 64, quick=(16,)),
)
