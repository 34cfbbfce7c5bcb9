"""Convolutions in CP format: a matrix to the rank, one depthwise convolution an axis, one back."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contenders import tednet_convolutions, tensorly_torch_convolutions
from benchmarks.contract import Network, Workload
from benchmarks.workloads.convolution import LIBRARY, convolution, kernel_shape, same


def cp(channels: int, rank: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in."""
    shape = kernel_shape(channels)
    return convolution(
        f"conv-cp-{channels}-r{rank}" + (f"-s{stride}" if stride > 1 else ""),
        f"CP convolution, rank {rank}",
        Network(LIBRARY, f"CPConv({same(channels, stride)}, rank = {rank})"),
        channels,
        stride,
        "ri,rh,rw,or->oihw",
        [
            ("", partial(convolutions.cp, stride=stride)),
            ("axes merged, ", partial(convolutions.cp_in_one, stride=stride)),
        ],
        peers=(
            *tensorly_torch_convolutions.cp(shape, stride, rank),
            tednet_convolutions.cp(shape, stride, rank),
        ),
        quick=quick,
        order=("U", "K", "V"),
    )


WORKLOADS = (
    cp(64, 32, quick=(16,)),
    cp(64, 8),
    cp(128, 64),
    cp(128, 16),
    cp(128, 16, stride=2),
    cp(256, 128),
    cp(256, 32, quick=(1,)),
    cp(512, 256),
    cp(512, 64),
)
