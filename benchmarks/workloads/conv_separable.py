"""Depthwise-separable convolutions: a kernel for each channel, then a matrix between channels."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contract import Network, Workload
from benchmarks.workloads.convolution import LIBRARY, convolution, same

NONE = "it has no depthwise convolution"


def separable(channels: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in."""
    return convolution(
        f"conv-separable-{channels}" + (f"-s{stride}" if stride > 1 else ""),
        "depthwise-separable convolution",
        Network(LIBRARY, f"DepthwiseSeparable({same(channels, stride)})"),
        channels,
        stride,
        "imhw,oim->oihw",
        [("", partial(convolutions.separable, stride=stride))],
        omitted={"tensorly-torch": NONE, "tednet": NONE},
        quick=quick,
        first_step=False,
    )


WORKLOADS = (
    separable(64),
    separable(128, quick=(16,)),
    separable(128, stride=2),
    separable(256),
    separable(512),
)
