"""Convolutions in CP format: a matrix to the rank, one depthwise convolution an axis, one back."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contenders import tednet_convolutions, tensorly_torch_convolutions
from benchmarks.contract import Workload
from benchmarks.workloads.convolution import convolution, kernel_shape

SPEC = """
network CPConv(channels: int, rank: int, step: int = 1) {
  window h = conv(size = 3, stride = step, padding = 1)
  window w = conv(size = 3, stride = step, padding = 1)
  index  i = channels, o = channels
  hyper  r = rank
  input  x(..., i, h.in, w.in)
  tensor A(i, r)
  tensor B(h.kernel, r)
  tensor C(w.kernel, r)
  tensor D(r, o)
  output y(..., o, h.out, w.out)
}
"""


def cp(channels: int, rank: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in."""
    shape = kernel_shape(channels)
    return convolution(
        f"conv-cp-{channels}-r{rank}" + (f"-s{stride}" if stride > 1 else ""),
        f"CP convolution, rank {rank}",
        SPEC,
        f"CPConv(channels = {channels}, rank = {rank}, step = {stride})",
        channels,
        stride,
        "ir,hr,wr,ro->oihw",
        [
            ("", partial(convolutions.cp, stride=stride)),
            ("axes merged, ", partial(convolutions.cp_in_one, stride=stride)),
        ],
        peers=(
            *tensorly_torch_convolutions.cp(shape, stride, rank),
            tednet_convolutions.cp(shape, stride, rank),
        ),
        quick=quick,
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
