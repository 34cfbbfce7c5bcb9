"""Depthwise-separable convolutions: a kernel for each channel, then a matrix between channels."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contract import Workload
from benchmarks.workloads.convolution import convolution

SPEC = """
network Separable(channels: int, step: int = 1) {
  window h = conv(size = 3, stride = step, padding = 1)
  window w = conv(size = 3, stride = step, padding = 1)
  index  i = channels, o = channels
  input  x(..., i, h.in, w.in)
  tensor K(i, h.kernel, w.kernel)
  tensor P(i, o)
  output y(..., o, h.out, w.out)
}
"""
NONE = "it has no depthwise convolution"


def separable(channels: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in."""
    return convolution(
        f"conv-separable-{channels}" + (f"-s{stride}" if stride > 1 else ""),
        "depthwise-separable convolution",
        SPEC,
        f"Separable(channels = {channels}, step = {stride})",
        channels,
        stride,
        "ihw,io->oihw",
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
