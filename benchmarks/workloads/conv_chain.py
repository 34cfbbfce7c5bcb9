"""Convolutions as tensor trains: inputs, height, width, outputs, one convolution an axis."""

from functools import partial

from benchmarks.byhand import convolutions
from benchmarks.contenders import tensorly_torch_convolutions
from benchmarks.contract import Network, Workload
from benchmarks.workloads.convolution import convolution, kernel_shape

SPEC = """
network Chain(channels: int, rank: int, step: int = 1) {
  window h = conv(size = 3, stride = step, padding = 1)
  window w = conv(size = 3, stride = step, padding = 1)
  index  i = channels, o = channels
  bond   a = rank, b = rank, c = rank
  input  x(..., i, h.in, w.in)
  tensor U(i, a)
  tensor K(a, h.kernel, b)
  tensor L(b, w.kernel, c)
  tensor V(c, o)
  output y(..., o, h.out, w.out)
}
"""
OTHER_TRAIN = "its trains split the channels into digits, the kernel's axes stay together"


def train(channels: int, rank: int, stride: int = 1, quick: tuple[int, ...] = ()) -> Workload:
    """As many channels out as in, all bonds alike."""
    return convolution(
        f"conv-chain-{channels}-r{rank}" + (f"-s{stride}" if stride > 1 else ""),
        f"TT convolution, rank {rank}",
        Network(SPEC, f"Chain(channels = {channels}, rank = {rank}, step = {stride})"),
        channels,
        stride,
        "ia,ahb,bwc,co->oihw",
        [
            ("", partial(convolutions.train, stride=stride)),
            ("axes merged, ", partial(convolutions.train_in_one, stride=stride)),
        ],
        peers=tensorly_torch_convolutions.train(kernel_shape(channels), stride, rank),
        omitted={"tednet": OTHER_TRAIN},
        quick=quick,
        axes=("h", "w"),
    )


WORKLOADS = (
    train(64, 32),
    train(64, 8),
    train(128, 64),
    train(128, 16, quick=(16,)),
    train(128, 64, stride=2),
    train(256, 128),
    train(256, 32),
    train(512, 256),
    train(512, 64),
)
